//! From files to quotes, with and without a server on the folder.

use serde_json::Value;

use crate::place::{Place, Ran};

const LEAVE: &str = "# Leave\n\n## Parental leave\n\nBirth parents take 26 weeks of paid leave.\n";
const TRAVEL: &str = "# Travel\n\nA hotel in Kobe may cost up to 190 euros a night.\n";

fn library() -> Place {
    let place = Place::new();
    place.write("docs/people/leave.md", LEAVE);
    place.write("docs/travel.txt", TRAVEL);
    place.write(
        "docs/page.html",
        "<title>Parking</title><p>Bay 7 is for visitors.</p>",
    );
    place
}

/// Every citation's offsets point at its quote in the document's own text.
#[track_caller]
fn assert_quotes_are_verbatim(place: &Place, answer: &Value) {
    let citations = answer["citations"].as_array().unwrap();
    assert!(!citations.is_empty(), "{answer}");
    for citation in citations {
        let id = citation["document"].as_str().unwrap();
        let shown = place
            .run(&["documents", "show", id, "--text", "--json"])
            .ok()
            .json();
        let text: Vec<char> = shown["text"].as_str().unwrap().chars().collect();
        let at = |key: &str| usize::try_from(citation[key].as_u64().unwrap()).unwrap();
        let quoted: String = text[at("start")..at("end")].iter().collect();
        assert_eq!(quoted, citation["quote"].as_str().unwrap());
    }
}

fn the_whole_path_works(place: &Place) {
    let summary = place
        .run(&["ingest", "docs", "--acl", "public", "--json"])
        .ok()
        .json();
    assert_eq!(
        (summary["read"].as_u64(), summary["stored"].as_u64()),
        (Some(3), Some(3)),
        "{summary}"
    );
    let again = place
        .run(&["ingest", "docs", "--acl", "public", "--json"])
        .ok()
        .json();
    assert_eq!(
        (again["stored"].as_u64(), again["unchanged"].as_u64()),
        (Some(0), Some(3)),
        "{again}"
    );

    let found = place
        .run(&["search", "paid leave for parents", "--json"])
        .ok()
        .json();
    assert_eq!(found["hits"][0]["document"], "people/leave.md", "{found}");

    let question = "How many weeks of paid leave do birth parents take?";
    let answer = place
        .run(&["ask", question, "--mode", "extractive", "--json"])
        .ok()
        .json();
    assert_eq!(answer["status"], "answered", "{answer}");
    assert_quotes_are_verbatim(place, &answer);

    let grounded = place
        .run(&["ask", question, "--mode", "grounded", "--json"])
        .ok()
        .json();
    if grounded["status"] == "answered" {
        assert_quotes_are_verbatim(place, &grounded);
    } else {
        assert!(grounded["answer"].is_null(), "{grounded}");
    }

    place.run(&["documents", "delete", "people/leave.md"]).ok();
    let found = place
        .run(&["search", "paid leave for parents", "--json"])
        .ok()
        .json();
    let hits = found["hits"].as_array().unwrap();
    assert!(
        hits.iter().all(|hit| hit["document"] != "people/leave.md"),
        "{found}"
    );
}

#[test]
fn the_whole_path_works_without_a_server() {
    the_whole_path_works(&library());
}

#[test]
fn the_whole_path_works_through_a_server() {
    let place = library();
    place.write("quoin.toml", "[server]\nsamples = false\n");
    let _server = place.serve(&["--config", "quoin.toml"]);
    the_whole_path_works(&place);
}

#[test]
fn an_answer_reads_well_in_a_terminal() {
    let place = library();
    place.run(&["ingest", "docs", "--acl", "public"]).ok();
    let question = "How many weeks of paid leave do birth parents take?";
    let Ran { stdout, .. } = place.run(&["ask", question, "--mode", "extractive"]).ok();
    assert!(stdout.contains("[1] “"), "{stdout}");
    assert!(
        stdout.contains("people/leave.md · Leave > Parental leave · "),
        "{stdout}"
    );
    let streamed = place
        .run(&["ask", question, "--mode", "extractive", "--stream"])
        .ok();
    assert!(streamed.stdout.contains("26 weeks"), "{}", streamed.stdout);
}

#[test]
fn no_answer_is_said_plainly_and_is_no_error() {
    let place = library();
    place.run(&["ingest", "docs", "--acl", "public"]).ok();
    let ran = place
        .run(&["ask", "zzzz qqqq xxxx?", "--mode", "extractive"])
        .ok();
    assert!(ran.stdout.starts_with("no answer: "), "{}", ran.stdout);
}

#[test]
fn asking_as_someone_else_reads_only_what_they_may() {
    let place = library();
    place
        .run(&["ingest", "docs/people", "--acl", "group:hr"])
        .ok();
    place
        .run(&["ingest", "docs/travel.txt", "--acl", "public"])
        .ok();
    let documents = |arguments: &[&str]| {
        let found = place
            .run(&[&["search", "weeks of leave", "--json"], arguments].concat())
            .ok()
            .json();
        let hits = found["hits"].as_array().unwrap().clone();
        hits.iter().any(|hit| hit["document"] == "leave.md")
    };
    assert!(documents(&[]), "the owner reads everything");
    assert!(documents(&["--as", "group:hr"]));
    assert!(!documents(&["--as", "group:sales"]));
}

#[test]
fn what_a_page_says_of_its_readers_holds_against_the_list_of_the_batch() {
    let place = library();
    place.write(
        "docs/people/bonus.md",
        b"---\nacl: group:hr, group:board\n---\n\nThe bonus pool holds nine crowns.\n",
    );
    place.run(&["ingest", "docs", "--acl", "public"]).ok();
    let finds = |token: &str| {
        let found = place.run(&["search", "bonus pool", "--as", token]).ok();
        found.stdout.contains("nine crowns")
    };
    assert!(finds("group:hr") && finds("group:board"));
    assert!(!finds("public"));
}

#[test]
fn one_bad_file_costs_one_error_and_the_rest_goes_on() {
    let place = library();
    place.write("docs/broken.md", b"---\nacl: [\n---\n\nText.\n");
    place.write("docs/image.md", b"\x89PNG\0\0\0");
    place.write("docs/notes.key", b"a format that nobody reads");
    place.write("docs/.hidden.md", b"# Hidden");
    let ran = place
        .run(&["ingest", "docs", "--json"])
        .fails(1, "1 file could not be ingested");
    let summary = ran.json();
    assert_eq!(summary["stored"].as_u64(), Some(3), "{summary}");
    let failed = summary["failed"].as_array().unwrap();
    assert!(
        failed[0]["path"].as_str().unwrap().ends_with("broken.md"),
        "{summary}"
    );
    let skipped = summary["skipped"].as_array().unwrap();
    assert_eq!(skipped.len(), 3, "{summary}");
}

#[test]
fn a_path_that_does_not_exist_is_named() {
    let place = Place::new();
    place.run(&["ingest", "nowhere"]).fails(1, "`nowhere`");
    place.write("empty/readme.key", "");
    place.run(&["ingest", "empty"]).fails(1, "nothing was read");
}

#[test]
fn many_documents_go_in_several_requests() {
    let place = Place::new();
    for number in 0..150 {
        place.write(
            &format!("docs/{number:03}.txt"),
            format!("Fact {number} stands alone."),
        );
    }
    let summary = place.run(&["ingest", "docs", "--json"]).ok().json();
    assert_eq!(summary["stored"].as_u64(), Some(150), "{summary}");
    let listed = place.run(&["documents", "list", "--json"]).ok().json();
    assert_eq!(listed["documents"].as_array().unwrap().len(), 150);
    let some = place
        .run(&[
            "documents",
            "list",
            "--limit",
            "2",
            "--after",
            "007.txt",
            "--json",
        ])
        .ok()
        .json();
    let ids: Vec<_> = some["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["008.txt", "009.txt"]);
}

#[test]
fn deleting_what_is_not_there_is_an_error_and_the_rest_is_deleted() {
    let place = library();
    place.run(&["ingest", "docs"]).ok();
    place
        .run(&["documents", "delete", "nothing.md", "travel.txt"])
        .fails(1, "nothing.md");
    place
        .run(&["documents", "show", "travel.txt"])
        .fails(1, "error: ");
    place.run(&["documents", "show", "page.html"]).ok();
}

#[test]
fn the_index_can_be_rebuilt_verified_and_listed() {
    let place = library();
    place.run(&["ingest", "docs"]).ok();
    let rebuilt = place.run(&["index", "rebuild", "--json"]).ok().json();
    let number = rebuilt["generation"].as_u64().unwrap().to_string();
    let activated = place.run(&["index", "activate", &number]).ok();
    assert_eq!(activated.stdout, format!("generation {number} is active\n"));
    place.run(&["index", "activate", "4711"]).fails(1, "4711");
    place.run(&["index", "verify"]).ok();
    let listed = place.run(&["index", "list", "--json"]).ok().json();
    assert_eq!(listed["generations"][0]["active"], true, "{listed}");
    let found = place
        .run(&["search", "hotel in Kobe", "--json"])
        .ok()
        .json();
    assert_eq!(found["hits"][0]["document"], "travel.txt", "{found}");
}
