//! HTML: the text that a reader of the page sees, block by block.
//!
//! Works on html5ever's token stream without building a tree: a million open elements cost linear time, no stack and
//! no memory beyond the text. Scripts, styles, navigation and margins are left out; where a page marks its `<main>`, only that is kept.
//! Exports of wikis mark it by an id, and say around it what becomes metadata.

mod builder;
mod elements;
mod export;

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{
    BufferQueue, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use self::builder::Builder;
use self::elements::raw_text;
use super::{Budget, ReadDocument, Reader};
use crate::RetrieverError;

/// Fed to the tokenizer at once; between two pieces the limits are checked.
const PIECE_BYTES: usize = 16 << 10;

pub(super) struct Html;

impl Reader for Html {
    fn read(&self, text: String, budget: &Budget) -> Result<ReadDocument, RetrieverError> {
        let sink = Sink {
            builder: RefCell::new(Builder::default()),
        };
        let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
        let queue = BufferQueue::default();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            budget.check_time()?;
            budget.check_text(tokenizer.sink.builder.borrow().text_bytes())?;
            let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
            queue.push_back(StrTendril::from_slice(piece));
            feed(&tokenizer, &queue);
            rest = after;
        }
        feed(&tokenizer, &queue);
        tokenizer.end();
        Ok(tokenizer.sink.builder.into_inner().finish())
    }
}

/// The tokenizer hands back control after each `<script>`; scripts are skipped like any other raw text.
fn feed(tokenizer: &Tokenizer<Sink>, queue: &BufferQueue) {
    while let html5ever::TokenizerResult::Script(()) = tokenizer.feed(queue) {}
}

struct Sink {
    builder: RefCell<Builder>,
}

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut builder = self.builder.borrow_mut();
        match token {
            Token::CharacterTokens(text) => builder.text(&text),
            Token::TagToken(tag) => match tag.kind {
                TagKind::StartTag => {
                    let raw = raw_text(&tag);
                    builder.open(&tag);
                    if let Some(kind) = raw {
                        return TokenSinkResult::RawData(kind);
                    }
                }
                TagKind::EndTag => builder.close(&tag.name),
            },
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

/// Whether HTML that is not UTF-8 names Latin-1 (or Windows-1252) as its encoding.
pub(super) fn says_latin1(bytes: &[u8], content_type: &str) -> bool {
    let head = &bytes[..bytes.len().min(2048)];
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let content_type = content_type.to_ascii_lowercase();
    ["iso-8859-1", "latin1", "windows-1252"].iter().any(|name| {
        content_type.contains(&format!("charset={name}"))
            || head.contains(&format!("charset={name}"))
            || head.contains(&format!("charset=\"{name}"))
    })
}

/// Windows-1252, which is what browsers take Latin-1 for.
pub(super) fn decode_latin1(bytes: &[u8]) -> String {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    bytes
        .iter()
        .map(|byte| match byte {
            0x80..=0x9f => HIGH[usize::from(byte - 0x80)],
            _ => char::from(*byte),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::time::Duration;

    use super::super::{BlockKind, Stated};
    use super::*;
    use crate::growth::assert_bounded;
    use crate::settings::Limits;

    fn read(html: &str) -> ReadDocument {
        Html.read(html.to_owned(), &Budget::new(&Limits::default()))
            .unwrap()
    }

    #[test]
    fn structure_becomes_text_with_blocks() {
        use BlockKind::{Code, Heading, ListItem, Paragraph, TableHead, TableRow};
        let html = "<html><head><title>Pumps &amp; more</title><style>p{}</style></head><body>
            <nav><a>Home</a></nav><h1>Pump <em>A</em></h1>
            <p>First   line<br>second &lt;line&gt;.</p><ul><li>one<ul><li>inner</li></ul></li><li>two</ul>
            <table><tr><th>Size</th><th>Price</th></tr><tr><td>1</td><td><p>2 €</p></td></tr></table>
            <pre>  fn x() {\n    y();\n  }</pre><script>alert('no')</script><footer>legal</footer></body></html>";
        let read = read(html);
        assert_eq!(
            read.text,
            "Pump A\n\nFirst line\nsecond <line>.\n\n- one\n  - inner\n- two\n\nSize | Price\n1 | 2 €\n\n  fn x() {\n    y();\n  }"
        );
        let kinds: Vec<_> = read.outline.iter().map(|block| block.kind).collect();
        assert_eq!(
            kinds,
            [
                Heading(1),
                Paragraph,
                ListItem,
                ListItem,
                ListItem,
                TableHead,
                TableRow,
                Code
            ]
        );
        assert_eq!(
            read.stated,
            Stated {
                title: Some("Pumps & more".into()),
                ..Stated::default()
            }
        );
    }

    #[test]
    fn only_the_main_part_is_kept_where_it_is_marked() {
        let read = read("<p>menu</p><main><p>content</p></main><p>legal</p>");
        assert_eq!(read.text, "content");
    }

    #[test]
    fn the_trail_and_the_margin_of_a_page_are_left_out() {
        let read = read(
            "<div id=\"main-header\"><div id=\"breadcrumb-section\"><ol><li>Space</li></ol></div><h1>Title</h1></div>
             <aside>related</aside><p>content</p>",
        );
        assert_eq!(read.text, "Title\n\ncontent");
    }

    #[test]
    fn navigation_that_is_never_closed_does_not_swallow_the_page() {
        let read = read("<nav><a>Home</a><main><p>content</p></main>");
        assert_eq!(read.text, "content");
    }

    #[test]
    fn a_million_bytes_of_open_elements_are_read_in_bounded_time() {
        for tag in [
            "<div>",
            "<ul><li>",
            "<table><tr><td>",
            "<b>",
            "<nav>",
            "<pre>",
        ] {
            assert_bounded(tag, 1_000_000 / tag.len(), |count| {
                let read = read(&format!("{}end", tag.repeat(count)));
                assert!(read.text.len() < 4 << 20, "{tag} {}", read.text.len());
            });
        }
    }

    /// The tokenizer compares each attribute with all before it: without the limit this tag takes minutes, and is read.
    #[test]
    fn a_tag_with_very_many_attributes_ends_at_the_time_limit() {
        let limits = Limits {
            read_time: Duration::from_millis(500),
            ..Limits::default()
        };
        let mut html = String::from("<p ");
        for number in 0..400_000 {
            write!(html, "a{number} ").unwrap();
        }
        let error = Html.read(html, &Budget::new(&limits)).unwrap_err();
        assert!(
            matches!(error, RetrieverError::TooLarge { unit: "ms", .. }),
            "{error}"
        );
    }

    #[test]
    fn one_huge_attribute_is_left_out() {
        let read = read(&format!("<p title='{}'>text</p>", "x".repeat(10 << 20)));
        assert_eq!(read.text, "text");
    }

    #[test]
    fn latin1_is_decoded_where_the_page_says_so() {
        let bytes = b"<meta charset=\"iso-8859-1\"><p>caf\xe9 \x80</p>";
        assert!(says_latin1(bytes, "text/html"));
        assert!(decode_latin1(bytes).contains("café €"));
        assert!(!says_latin1(b"<p>caf\xe9</p>", "text/html"));
    }
}
