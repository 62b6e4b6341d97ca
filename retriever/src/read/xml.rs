//! The XML of Office files, event by event: names without prefixes, text with its references resolved. Declarations of entities are
//! refused, and depth is bounded.

use std::borrow::Cow;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::Budget;
use crate::RetrieverError;

const MAX_DEPTH: usize = 256;
const MAX_ATTRIBUTES: usize = 64;
/// Events between two looks at the clock.
const EVENTS_UNTIMED: usize = 1024;

/// What comes next.
pub(super) enum Node {
    Open(Tag),
    /// The name of the element that ends.
    Close(String),
    Text(String),
}

/// An element that begins.
pub(super) struct Tag {
    pub name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    /// The value of an attribute, by its name with its prefix, or without where it is the only one.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name || key.rsplit(':').next() == Some(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Reads one part.
pub(super) struct Xml<'a> {
    reader: Reader<&'a [u8]>,
    format: &'static str,
    depth: usize,
    events: usize,
    budget: &'a Budget,
}

impl<'a> Xml<'a> {
    pub(super) fn new(text: &'a str, format: &'static str, budget: &'a Budget) -> Self {
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        Self {
            reader,
            format,
            depth: 0,
            events: 0,
            budget,
        }
    }

    /// `None` at the end.
    ///
    /// # Errors
    /// Not well-formed, entities are declared, nested too deep, or out of time.
    pub(super) fn next(&mut self) -> Result<Option<Node>, RetrieverError> {
        loop {
            self.events += 1;
            if self.events.is_multiple_of(EVENTS_UNTIMED) {
                self.budget.check_time()?;
            }
            let event = self.reader.read_event();
            let node = match event.map_err(|error| self.broken(&error.to_string()))? {
                Event::Start(start) => {
                    self.deeper()?;
                    Node::Open(tag(&start))
                }
                Event::End(end) => {
                    self.depth = self.depth.saturating_sub(1);
                    Node::Close(end.local_name().as_ref().to_owned())
                }
                Event::Text(text) => Node::Text(text.to_string()),
                Event::CData(text) => Node::Text(text.to_string()),
                Event::GeneralRef(reference) => {
                    let resolved = match reference.resolve_char_ref() {
                        Ok(Some(character)) => Some(character.to_string()),
                        _ => quick_xml::escape::resolve_predefined_entity(&reference)
                            .map(str::to_owned),
                    };
                    Node::Text(resolved.ok_or_else(|| self.broken("an unknown entity"))?)
                }
                Event::DocType(_) => return Err(self.broken("it has a document type declaration")),
                Event::Eof if self.depth > 0 => {
                    return Err(self.broken("it ends in the middle of an element"));
                }
                Event::Eof => return Ok(None),
                _ => continue,
            };
            return Ok(Some(node));
        }
    }

    fn deeper(&mut self) -> Result<(), RetrieverError> {
        self.depth += 1;
        if self.depth <= MAX_DEPTH {
            return Ok(());
        }
        Err(RetrieverError::TooLarge {
            what: "the XML of a document",
            limit: MAX_DEPTH as u64,
            got: self.depth as u64,
            unit: "elements inside one another",
        })
    }

    fn broken(&self, problem: &str) -> RetrieverError {
        RetrieverError::Unreadable {
            format: self.format,
            problem: format!("its XML is broken: {problem}"),
        }
    }
}

fn tag(start: &BytesStart<'_>) -> Tag {
    let mut attributes = start.attributes();
    let attributes = attributes
        .with_checks(false)
        .flatten()
        .take(MAX_ATTRIBUTES)
        .map(|attribute| {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map(Cow::into_owned).unwrap_or_default();
            (attribute.key.as_ref().to_owned(), value)
        });
    Tag {
        attributes: attributes.collect(),
        name: start.local_name().as_ref().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Limits;

    fn error(text: &str) -> String {
        let budget = Budget::new(&Limits::default());
        let mut xml = Xml::new(text, "docx", &budget);
        loop {
            match xml.next() {
                Ok(Some(_)) => {}
                Ok(None) => return String::new(),
                Err(error) => return error.to_string(),
            }
        }
    }

    #[test]
    fn entities_and_depth_are_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><x>&b;</x>";
        assert!(error(bomb).contains("document type declaration"));
        assert!(error("<x>&b;</x>").contains("an unknown entity"));
        assert!(error(&"<a>".repeat(100_000)).contains("at most 256 elements"));
        assert!(error("<a><b></a>").contains("broken"));
        assert_eq!(error("<a b='1&amp;'>&#65;&lt;</a>"), "");
    }
}
