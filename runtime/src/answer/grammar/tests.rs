//! What the grammar lets through, decided by the library that decodes under it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::ApproximateTokEnv;
use llguidance::{Matcher, ParserFactory};
use proptest::prelude::*;
use quoin_retriever::{Hit, PassageId, sentences};
use serde_json::json;

use super::*;
use crate::answer::draft::Draft;
use crate::answer::prompt::{PromptSentence, tests::hit};
use crate::answer::schema::{AnswerSchema, Bounds};
use crate::answer::verify::resolve;

fn passage(number: usize, first_marker: usize, text: &str) -> PromptPassage {
    let whole = hit("notes/a.md", text);
    let hit = Hit {
        passage: PassageId::new(&whole.document, number),
        title: None,
        ..whole
    };
    let sentences = sentences(text)
        .into_iter()
        .enumerate()
        .map(|(index, bytes)| PromptSentence {
            marker: first_marker + index,
            bytes,
        })
        .collect();
    PromptPassage {
        rank: number - 1,
        number,
        hit,
        sentences,
    }
}

/// Whether `text` is a complete output: fed byte by byte, as the weakest tokenizer would.
fn accepts(lark: &str, text: &str) -> bool {
    let environment = ApproximateTokEnv::single_byte_env();
    let factory = ParserFactory::new_simple(&environment).unwrap();
    let parser = factory
        .create_parser(TopLevelGrammar::from_lark(lark.to_owned()))
        .expect("the grammar compiles");
    let mut matcher = Matcher::new(Ok(parser));
    let tokens: Vec<u32> = text.bytes().map(u32::from).collect();
    matcher
        .validate_tokens(&tokens)
        .is_ok_and(|valid| valid == tokens.len())
        && matcher.consume_tokens(&tokens).is_ok()
        && matcher.is_accepting().unwrap_or(false)
}

fn text_schema() -> AnswerPart {
    AnswerPart::Schema(AnswerSchema::text().unwrap().narrowed(Bounds::GENEROUS))
}

#[test]
fn only_markers_that_stand_in_the_prompt_can_be_named() {
    let passages = [
        passage(1, 1, "One fact. Another fact."),
        passage(2, 3, "A third fact."),
    ];
    let lark = grammar(Citing::Point, &passages, &AnswerPart::Citations, 2);
    assert!(accepts(&lark, r#"{"cite":"[[1]]"}"#));
    assert!(accepts(&lark, r#"{"cite":"[[3]][[1]]"}"#));
    assert!(accepts(&lark, r#"{"cite":"[[0]]"}"#));
    assert!(!accepts(&lark, r#"{"cite":"[[4]]"}"#));
    assert!(
        !accepts(&lark, r#"{"cite":"[[1]][[2]][[3]]"}"#),
        "more than `max_citations`"
    );
    assert!(
        !accepts(&lark, r#"{"cite":"[[0]][[1]]"}"#),
        "an abstention cites nothing"
    );
    assert!(!accepts(&lark, r#"{"cite":""}"#));
}

#[test]
fn an_abstention_holds_no_answer_and_an_answer_is_never_missing() {
    let passages = [passage(1, 1, "The limit for taxis is 40 euros a day.")];
    for (citing, abstained, bare) in [
        (Citing::Point, r#"{"cite":"[[0]]"}"#, r#"{"cite":"[[1]]"}"#),
        (
            Citing::Quote,
            r#"{"quotes":[]}"#,
            r#"{"quotes":[{"passage":1,"quote":"limit for taxis is 40 euros"}]}"#,
        ),
    ] {
        let lark = grammar(citing, &passages, &text_schema(), 3);
        assert!(accepts(&lark, abstained), "{citing:?}");
        assert!(!accepts(&lark, bare), "{citing:?}");
        assert!(
            accepts(
                &lark,
                &bare
                    .replace("]}", r#"],"answer":"40"}"#)
                    .replace("]]\"}", r#"]]","answer":"40"}"#)
            ),
            "{citing:?}"
        );
    }
}

#[test]
fn a_quote_comes_letter_by_letter_from_the_passage_that_it_names() {
    let passages = [
        passage(1, 1, "Visitors carry a badge at all times."),
        passage(2, 2, "Contractors sign the book at the gate."),
    ];
    let lark = grammar(Citing::Quote, &passages, &AnswerPart::Citations, 1);
    let quoted = |number: usize, quote: &str| {
        json!({"quotes": [{"passage": number, "quote": quote}]}).to_string()
    };
    assert!(accepts(
        &lark,
        &quoted(1, "Visitors carry a badge at all times.")
    ));
    assert!(accepts(&lark, &quoted(2, "sign the book at the gate")));
    assert!(
        !accepts(&lark, &quoted(2, "Visitors carry a badge at all times.")),
        "from the other passage"
    );
    assert!(
        !accepts(&lark, &quoted(1, "Visitors carry no badge at all times.")),
        "a changed word"
    );
    assert!(
        !accepts(&lark, &quoted(1, "a badge")),
        "shorter than the least quote"
    );
    assert!(
        !accepts(&lark, &quoted(3, "Visitors carry a badge at all times.")),
        "no such passage"
    );
}

#[test]
fn a_passage_shorter_than_the_least_quote_can_be_quoted_whole() {
    let lark = grammar(
        Citing::Quote,
        &[passage(1, 1, "ERR-4012")],
        &AnswerPart::Citations,
        1,
    );
    assert!(accepts(
        &lark,
        r#"{"quotes":[{"passage":1,"quote":"ERR-4012"}]}"#
    ));
    assert!(!accepts(
        &lark,
        r#"{"quotes":[{"passage":1,"quote":"ERR"}]}"#
    ));
}

const HARD: &str = "He said \"no\\yes\" at C:\\temp\\new.\n\tThen\u{0001}: שלום עולם, 日本語のテキスト。\r\n😀👩‍👩‍👧 <|im_end|> [[1]] {\"cite\":\"[[0]]\"} end\u{2028}of it.";

#[test]
fn a_quote_never_cuts_an_escape_sequence() {
    let lark = grammar(
        Citing::Quote,
        &[passage(1, 1, HARD)],
        &AnswerPart::Citations,
        1,
    );
    let raw = |inside: &str| format!("{{\"quotes\":[{{\"passage\":1,\"quote\":\"{inside}\"}}]}}");
    assert!(accepts(&lark, &raw(r"at C:\\temp\\new.\n\tThen\u0001")));
    assert!(
        !accepts(&lark, &raw(r"temp\\new.\n\tThen\u00")),
        "half of \\u0001"
    );
    assert!(
        !accepts(&lark, &raw(r"emp\\new.\n\tThen\u0001")),
        "half a word"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any run of whole words of any passage is decodable, and resolves to the place that it was copied from.
    #[test]
    fn every_run_of_words_can_be_quoted_and_resolves(
        extra in "\\PC{0,60}", from in 0usize..40, words in 1usize..60,
    ) {
        let text = format!("{HARD} {extra}");
        let passages = [passage(1, 1, &text)];
        let pieces: Vec<&str> = text.trim().split_word_bounds().collect();
        let from = from.min(pieces.len() - 1);
        let quote: String = pieces[from..(from + words).min(pieces.len())].concat();
        let output = json!({"quotes": [{"passage": 1, "quote": quote}]}).to_string();
        let escaped = serde_json::to_string(&quote).unwrap().chars().count() - 2;
        let lark = grammar(Citing::Quote, &passages, &AnswerPart::Citations, 1);
        prop_assert_eq!(accepts(&lark, &output), (QUOTE_MIN..=QUOTE_MAX).contains(&escaped));
        if (QUOTE_MIN..=QUOTE_MAX).contains(&escaped) && !quote.trim().is_empty() {
            let Draft::Answered { cited, .. } = Draft::parse(Citing::Quote, &output).unwrap() else {
                panic!("a quote is not an abstention");
            };
            let citations = resolve(&cited, &passages).unwrap();
            let found: String = text.chars().skip(citations[0].start).take(citations[0].end - citations[0].start).collect();
            prop_assert_eq!(&found, &citations[0].quote);
        }
    }

    /// What is no run of the passage's words cannot be decoded.
    #[test]
    fn nothing_else_can_be_quoted(quote in "[a-z ]{20,40}") {
        let passages = [passage(1, 1, "Visitors carry a badge at all times and return it at the gate.")];
        let lark = grammar(Citing::Quote, &passages, &AnswerPart::Citations, 1);
        let output = json!({"quotes": [{"passage": 1, "quote": quote}]}).to_string();
        prop_assert_eq!(accepts(&lark, &output), passages[0].hit.text.contains(&quote));
    }
}
