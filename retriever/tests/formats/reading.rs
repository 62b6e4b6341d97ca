//! What is read of files that are whole.

use quoin_retriever::{Access, Format, SearchRequest};

use super::{Test, fixture, id, input, open, read, refusal, settings};

pub const TESTS: &[Test] = &[
    ("a_pdf_is_read_page_by_page", a_pdf_is_read_page_by_page),
    (
        "a_hit_in_a_pdf_names_its_page",
        a_hit_in_a_pdf_names_its_page,
    ),
    ("a_running_head_is_kept_once", a_running_head_is_kept_once),
    (
        "text_that_was_turned_is_read_along_its_lines",
        text_that_was_turned_is_read_along_its_lines,
    ),
    (
        "pdfs_without_text_or_key_are_refused",
        pdfs_without_text_or_key_are_refused,
    ),
    (
        "a_word_document_keeps_its_structure",
        a_word_document_keeps_its_structure,
    ),
    ("slides_are_pages_with_notes", slides_are_pages_with_notes),
    (
        "a_workbook_is_rows_under_sheet_names",
        a_workbook_is_rows_under_sheet_names,
    ),
    ("a_wrong_name_is_told", a_wrong_name_is_told),
    (
        "without_a_child_the_same_is_read",
        without_a_child_the_same_is_read,
    ),
];

const PAGE_2: &str = "page 2 has no text (an image?)";

fn a_pdf_is_read_page_by_page() {
    let (stored, text, retriever, _folder) = read("manual.pdf");
    assert_eq!(
        text,
        "Maintenance\n\nThe pump must be maintained once a year by a person who was trained for it.\n\n\
         A second paragraph stands apart.\n\n| Part | Number | Price |\n| Seal | A-17 | 4.20 |\n| Rotor | B-02 | 39.00 |\n\n\
         The third page names ERR-4012."
    );
    assert_eq!(stored.warnings, [PAGE_2]);
    let document = retriever
        .document(&id("manual.pdf"), &Access::admin())
        .unwrap();
    assert_eq!(document.warnings, [PAGE_2]);
    assert_eq!(document.format, Format::Pdf);
    assert_eq!(document.title.as_deref(), Some("Pump manual"));
    let again = retriever
        .put(input("manual.pdf", fixture("manual.pdf")))
        .unwrap();
    assert!(again.unchanged);
    assert_eq!(again.warnings, [PAGE_2]);
}

fn a_hit_in_a_pdf_names_its_page() {
    let (_, text, retriever, _folder) = read("manual.pdf");
    let request = SearchRequest::new("ERR-4012", 5);
    let result = retriever.search(&request, &Access::admin()).unwrap();
    let hit = &result.hits[0];
    let slice: String = text
        .chars()
        .skip(hit.start)
        .take(hit.end - hit.start)
        .collect();
    assert_eq!(hit.text, slice);
    assert!(slice.contains("ERR-4012"));
    assert_eq!(hit.page, Some(4));
    for hit in &result.hits {
        assert!(
            !(hit.text.contains("ERR-4012") && hit.text.contains("maintained")),
            "{}",
            hit.text
        );
    }
}

fn a_running_head_is_kept_once() {
    let (_, text, ..) = read("heads.pdf");
    assert_eq!(
        text,
        "ACME pump manual - internal\n\nPage 1 of 4\n\nPump 1 stands in hall A.\n\nPump 2 stands in hall B.\n\n\
         Pump 3 stands in hall C.\n\nPump 4 stands in hall D."
    );
}

fn text_that_was_turned_is_read_along_its_lines() {
    let (_, text, ..) = read("turned.pdf");
    assert_eq!(
        text,
        "This table was too wide, so it was turned with its page.\n\nDraft of March"
    );
}

fn pdfs_without_text_or_key_are_refused() {
    let image = refusal("image.pdf", fixture("image.pdf"), settings());
    assert!(image.contains("no page has text"), "{image}");
    let locked = refusal("locked.pdf", fixture("locked.pdf"), settings());
    assert!(locked.contains("encrypted"), "{locked}");
}

fn a_word_document_keeps_its_structure() {
    let (stored, text, retriever, _folder) = read("leave.docx");
    assert_eq!(
        text,
        "Leave\n\nEveryone has 30 days & more.\n\nKinds\n\n- Annual leave\n- Sick leave\n\n\
         | Kind | Days |\n|---|---|\n| Annual | 30 |\n| Parental | 60 |\n\nAfter the table."
    );
    assert!(stored.warnings.is_empty());
    let request = SearchRequest::new("parental", 1);
    let result = retriever.search(&request, &Access::admin()).unwrap();
    assert_eq!(result.hits[0].heading, ["Leave", "Kinds"]);
    assert_eq!(result.hits[0].title.as_deref(), Some("Leave policy"));
}

fn slides_are_pages_with_notes() {
    let (stored, text, _retriever, _folder) = read("quarter.pptx");
    assert_eq!(
        text,
        "Results\n\n- Sales grew by 7 %\n- Costs fell\n\nSay thanks to the team.\n\nRegions\n\n\
         | Region | Share |\n|---|---|\n| North | 40 % |"
    );
    assert_eq!(stored.warnings, ["slide 3 has no text (an image?)"]);
}

fn a_workbook_is_rows_under_sheet_names() {
    let (stored, text, _retriever, _folder) = read("prices.xlsx");
    let far = text.find("\n\nFar\n\n").unwrap();
    assert_eq!(
        &text[..far],
        "Prices\n\n| Item | Price | Since |\n|---|---|---|\n| Pump | 19.5 | 2026-03-01 |\n| Hose | 0.3 | 2026-03-01 08:30:00 |"
    );
    assert!(text.ends_with("| far |"));
    assert!(!text.contains("secret"));
    assert_eq!(stored.warnings, ["1 hidden sheets were not read"]);
}

fn a_wrong_name_is_told() {
    let error = refusal("notes.txt", fixture("manual.pdf"), settings());
    assert!(error.contains("a PDF"), "{error}");
    let error = refusal("report.pdf", fixture("leave.docx"), settings());
    assert!(error.contains("a zip"), "{error}");
    let error = refusal("slides.pptx", fixture("leave.docx"), settings());
    assert!(error.contains("no `ppt/presentation.xml`"), "{error}");
}

fn without_a_child_the_same_is_read() {
    for name in ["manual.pdf", "leave.docx", "quarter.pptx", "prices.xlsx"] {
        let (_, text, _retriever, _folder) = read(name);
        let (alone, _folder) = open(quoin_retriever::RetrieverSettings::default());
        alone.put(input(name, fixture(name))).unwrap();
        assert_eq!(alone.text(&id(name), &Access::admin()).unwrap(), text);
    }
}
