//! Zips of documents, whole and hostile, and exports of wikis.

use std::io::{Cursor, Write};
use std::path::PathBuf;

use quoin_retriever::{
    Access, Archive, ArchiveLimits, Content, DocumentInput, Retriever, SearchRequest,
};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{Test, fixture, id, open, settings};

pub const TESTS: &[Test] = &[
    (
        "a_zip_is_read_as_a_folder_would_be",
        a_zip_is_read_as_a_folder_would_be,
    ),
    (
        "entries_that_are_not_read_have_a_reason_and_the_rest_goes_on",
        entries_that_are_not_read_have_a_reason_and_the_rest_goes_on,
    ),
    (
        "what_an_entry_says_of_its_size_is_not_believed",
        what_an_entry_says_of_its_size_is_not_believed,
    ),
    (
        "a_zip_costs_no_more_than_its_limits",
        a_zip_costs_no_more_than_its_limits,
    ),
    (
        "a_damaged_zip_costs_errors_and_nothing_else",
        a_damaged_zip_costs_errors_and_nothing_else,
    ),
    (
        "an_export_of_a_wiki_is_clean_text",
        an_export_of_a_wiki_is_clean_text,
    ),
];

/// A zip of files.
fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The same bytes with one text in place of another of the same length, wherever it stands.
fn replaced(mut bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> = bytes
        .windows(from.len())
        .enumerate()
        .filter(|(_, window)| *window == from.as_bytes())
        .map(|(place, _)| place)
        .collect();
    assert!(!places.is_empty(), "{from}");
    for place in places {
        bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

fn on_disk(bytes: &[u8]) -> (PathBuf, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.zip");
    std::fs::write(&path, bytes).unwrap();
    (path, folder)
}

fn opened(bytes: &[u8]) -> (Archive, TempDir) {
    let (path, folder) = on_disk(bytes);
    (
        Archive::open(&path, ArchiveLimits::default()).unwrap(),
        folder,
    )
}

/// Puts every file of a zip that is to be read.
fn put_all(retriever: &Retriever, archive: &mut Archive) {
    for entry in archive.entries().to_vec() {
        let content = Content::Bytes {
            bytes: archive.read(&entry).unwrap(),
            content_type: entry.format.media_type().to_owned(),
        };
        let input = DocumentInput::new(id(&entry.path), content);
        retriever.put(input).unwrap();
    }
}

fn found(retriever: &Retriever, query: &str) -> String {
    let request = SearchRequest::new(query, 1);
    let hits = retriever.search(&request, &Access::admin()).unwrap().hits;
    hits[0].document.to_string()
}

fn paths(archive: &Archive) -> Vec<&str> {
    let entries = archive.entries().iter();
    entries.map(|entry| entry.path.as_str()).collect()
}

fn a_zip_is_read_as_a_folder_would_be() {
    let word = fixture("leave.docx");
    let bytes = zipped(&[
        ("handbook/vpn.md", b"# VPN\n\nA session lasts twelve hours."),
        ("handbook/leave.docx", &word),
        ("prices\\new.csv", b"part,price\nseal,4.20\n"),
        ("d\u{e9}j\u{e0}.txt", "d\u{e9}j\u{e0} vu".as_bytes()),
    ]);
    let (mut archive, _folder) = opened(&bytes);
    assert_eq!(
        paths(&archive),
        [
            "handbook/vpn.md",
            "handbook/leave.docx",
            "prices/new.csv",
            "d\u{e9}j\u{e0}.txt"
        ]
    );
    assert!(archive.left_out().is_empty(), "{:?}", archive.left_out());
    let (retriever, _data) = open(settings());
    put_all(&retriever, &mut archive);
    assert_eq!(
        found(&retriever, "how long is a session"),
        "handbook/vpn.md"
    );
    assert_eq!(found(&retriever, "price of a seal"), "prices/new.csv");
    assert_eq!(retriever.statistics().documents, 4);
}

fn entries_that_are_not_read_have_a_reason_and_the_rest_goes_on() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let plain = SimpleFileOptions::default();
    for name in [
        "UP/up.md",
        "Xroot.md",
        "one.md",
        "two.md",
        "secret.md",
        ".git/x.md",
        "in.zip",
        "a.png",
        "Makefile",
        "good.md",
    ] {
        zip.start_file(name, plain).unwrap();
        zip.write_all(format!("this is {name}").as_bytes()).unwrap();
    }
    zip.add_symlink("link.md", "/etc/passwd", plain).unwrap();
    zip.add_directory("folder", plain).unwrap();
    let bytes = zip.finish().unwrap().into_inner();
    let bytes = replaced(bytes, "UP/up.md", "../up.md");
    let bytes = replaced(bytes, "Xroot.md", "/root.md");
    let mut bytes = replaced(bytes, "two.md", "one.md");
    // Bit 0 of the flags, 38 bytes before the name in the directory: the entry is encrypted.
    let directory = |name: &str| {
        let last = bytes
            .windows(name.len())
            .rposition(|w| w == name.as_bytes());
        last.unwrap() - 38
    };
    let flags = directory("secret.md");
    bytes[flags] |= 1;
    let (mut archive, _folder) = opened(&bytes);
    assert_eq!(paths(&archive), ["one.md", "good.md"]);
    let left_out = archive.left_out().iter();
    let left_out: Vec<_> = left_out
        .map(|left| (left.path.as_str(), left.reason.as_str(), left.is_failure))
        .collect();
    assert_eq!(
        left_out,
        [
            ("../up.md", "its path leads out of the zip", true),
            ("/root.md", "its path is absolute", true),
            ("one.md", "another entry has the same name", true),
            ("secret.md", "it is encrypted", true),
            (".git/x.md", "hidden", false),
            ("in.zip", "a zip inside a zip is not opened", false),
            ("a.png", "no reader for .png", false),
            (
                "Makefile",
                "no reader for a file without an extension",
                false
            ),
            ("link.md", "a link inside a zip", false),
        ]
    );
    let entries = archive.entries().to_vec();
    assert_eq!(archive.read(&entries[0]).unwrap(), b"this is one.md");
    assert_eq!(archive.read(&entries[1]).unwrap(), b"this is good.md");
}

fn what_an_entry_says_of_its_size_is_not_believed() {
    let large = vec![b' '; 8 << 20];
    let mut bytes = zipped(&[("large.txt", &large), ("good.md", b"good")]);
    // The size when inflated, 22 bytes before the name in the directory and 8 in the entry's own head, of `large.txt` is said to be 4.
    let places = |bytes: &[u8]| {
        let first = bytes.windows(9).position(|window| window == b"large.txt");
        let last = bytes.windows(9).rposition(|window| window == b"large.txt");
        [first.unwrap() - 8, last.unwrap() - 22]
    };
    for place in places(&bytes) {
        bytes[place..place + 4].copy_from_slice(&4_u32.to_le_bytes());
    }
    let (mut archive, _folder) = opened(&bytes);
    let entries = archive.entries().to_vec();
    assert_eq!(entries[0].bytes, 4);
    let error = archive.read(&entries[0]).unwrap_err().to_string();
    assert!(
        error.contains("cannot read the document as zip") || error.contains("may have at most"),
        "{error}"
    );
    assert_eq!(archive.read(&entries[1]).unwrap(), b"good");
}

fn a_zip_costs_no_more_than_its_limits() {
    let large = vec![b'x'; 3 << 20];
    let noise: Vec<u8> = (0..3_u32 << 18)
        .flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes())
        .collect();
    let bytes = zipped(&[
        ("bomb.txt", &large),
        ("one.txt", &noise),
        ("two.txt", &noise),
        ("small.txt", b"small"),
    ]);
    let (path, _folder) = on_disk(&bytes);
    let with = |change: fn(&mut ArchiveLimits)| {
        let mut limits = ArchiveLimits::default();
        change(&mut limits);
        Archive::open(&path, limits)
    };
    let error = with(|limits| limits.entries = 3).err().unwrap();
    assert_eq!(error.to_string(), "a zip may have at most 3 entries, got 4");
    let archive = with(|limits| limits.entry_bytes = 1 << 20).unwrap();
    assert_eq!(paths(&archive), ["small.txt"]);
    assert!(archive.left_out()[0].reason.contains("more than 1048576"));

    let mut archive = with(|_| {}).unwrap();
    let entries = archive.entries().to_vec();
    let error = archive.read(&entries[0]).unwrap_err().to_string();
    assert!(error.contains("by its compressed form"), "{error}");
    assert_eq!(archive.read(&entries[1]).unwrap(), noise);

    let mut archive = with(|limits| limits.expanded_bytes = 4 << 20).unwrap();
    assert_eq!(archive.read(&entries[1]).unwrap(), noise);
    let error = archive.read(&entries[2]).unwrap_err().to_string();
    assert!(
        error.contains("what is read of a zip may have at most 4194304 bytes"),
        "{error}"
    );
}

/// Whatever is wrong with the bytes, opening and reading end with an answer, and what is read is what was written.
fn a_damaged_zip_costs_errors_and_nothing_else() {
    let first = "the first ".repeat(300).into_bytes();
    let whole = zipped(&[("one.md", &first), ("two.md", b"the second")]);
    let (mut answered, mut refused) = (0, 0);
    for round in 0..whole.len() {
        let mut bytes = whole.clone();
        if round % 3 == 0 {
            bytes.truncate(round);
        } else {
            bytes[round] ^= 1 << (round % 8);
        }
        let (path, _folder) = on_disk(&bytes);
        let Ok(mut archive) = Archive::open(&path, ArchiveLimits::default()) else {
            refused += 1;
            continue;
        };
        for entry in archive.entries().to_vec() {
            match archive.read(&entry) {
                Ok(read) => assert!(read == first || read == b"the second", "{round}"),
                Err(_) => refused += 1,
            }
        }
        answered += 1;
    }
    assert!(answered > 10 && refused > 10, "{answered} {refused}");
}

const PAGE: &str = r#"<!DOCTYPE html><html><head><title>Pump Team : Changing a seal</title>
<link rel="stylesheet" href="styles/site.css" type="text/css" /></head>
<body class="theme-default aui-theme-default"><div id="page"><div id="main" class="aui-page-panel">
<div id="main-header"><div id="breadcrumb-section"><ol id="breadcrumbs">
<li class="first"><span><a href="index.html">Pump Team</a></span></li>
<li><span><a href="Maintenance_17.html">Maintenance</a></span></li></ol></div>
<h1 id="title-heading" class="pagetitle"><span id="title-text"> Pump Team : Changing a seal </span></h1></div>
<div id="content" class="view"><div class="page-metadata">
    Created by <span class='author'> Ann Lee</span>, last modified by <span class='editor'> Bob Ray</span> on Jan 05, 2023 </div>
<div id="main-content" class="wiki-content group">
<div class="toc-macro"><ul><li><a href='#a'>Before</a></li></ul></div>
<h1 id="a">Before</h1><p>Close the <strong>valve</strong>.</p>
<div class="table-wrap"><table class="confluenceTable"><tbody><tr><th class="confluenceTh">Seal</th><th class="confluenceTh">Torque</th></tr>
<tr><td class="confluenceTd">A-17</td><td class="confluenceTd"><div>12 Nm</div></td></tr></tbody></table></div></div>
<div class="pageSection group"><div class="pageSectionHeader"><h2 id="attachments" class="pageSectionTitle">Attachments:</h2></div>
<div class="greybox" align="left"><a href="attachments/17/18.png">photo.png</a> (image/png)<br/></div></div>
<div class="pageSection group"><div class="pageSectionHeader"><h2 id="comments" class="pageSectionTitle">Comments:</h2></div>
<table border="0" width="100%"><tr><td><a name="comment-19"></a><font class="smallfont"><p>Use grease B as well.</p></font>
<div class="smallfont">Posted by cid at Jan 06, 2023 10:00</div></td></tr></table></div>
</div></div><div id="footer" role="contentinfo"><section class="footer-body">
<p>Document generated by Confluence on Jan 10, 2023 12:00</p></section></div></div></body></html>"#;

const INDEX: &str = r#"<!DOCTYPE html><html><head><title>Pump Team (PUMP)</title></head><body><div id="page"><div id="main">
<div id="main-header"><h1 id="title-heading" class="pagetitle"><span id="title-text">Space Details:</span></h1></div>
<div id="content"><div id="main-content" class="pageSection"><table class="confluenceTable"><tr><th class="confluenceTh">Key</th>
<td class="confluenceTd">PUMP</td></tr></table></div>
<div class="pageSection"><h2 class="pageSectionTitle">Available Pages:</h2><ul><li><a href="Maintenance_17.html">Maintenance</a></li></ul></div>
</div></div></div></body></html>"#;

fn an_export_of_a_wiki_is_clean_text() {
    let bytes = zipped(&[
        ("PUMP/index.html", INDEX.as_bytes()),
        ("PUMP/Changing-a-seal_18.html", PAGE.as_bytes()),
        ("PUMP/attachments/17/18.png", b"\x89PNG"),
    ]);
    let (mut archive, _folder) = opened(&bytes);
    let (retriever, _data) = open(settings());
    put_all(&retriever, &mut archive);
    let page = id("PUMP/Changing-a-seal_18.html");
    let admin = Access::admin();
    assert_eq!(
        retriever.text(&page, &admin).unwrap(),
        "Before\n\nClose the valve.\n\nSeal | Torque\nA-17 | 12 Nm\n\nComments:\n\n\
         Use grease B as well. Posted by cid at Jan 06, 2023 10:00"
    );
    let document = retriever.document(&page, &admin).unwrap();
    assert_eq!(document.title.as_deref(), Some("Changing a seal"));
    assert_eq!(
        serde_json::Value::Object(document.metadata),
        serde_json::json!({
            "breadcrumb": ["Pump Team", "Maintenance"],
            "created_by": "Ann Lee",
            "modified_by": "Bob Ray",
            "modified": "2023-01-05",
        })
    );
    let index = id("PUMP/index.html");
    assert_eq!(retriever.text(&index, &admin).unwrap(), "Key | PUMP");
    assert_eq!(
        found(&retriever, "torque of a seal"),
        "PUMP/Changing-a-seal_18.html"
    );
}
