//! The model's chat template, rendered without ever seeing what the messages say.
//!
//! Each part of a message goes in as a placeholder; the rendered text is cut at the placeholders. So no content can be
//! taken for template text, and the template cannot change content.

use minijinja::{Environment, Error, ErrorKind, Value, context, value::Kwargs};
use serde::Serialize;

use crate::{EngineError, Message, Part, Role};

/// Private-use characters: a template that holds one is refused.
const OPEN: char = '\u{F8F0}';
const CLOSE: char = '\u{F8F1}';

/// Texts of special tokens that templates refer to.
#[expect(clippy::struct_field_names, reason = "the names that templates use")]
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct SpecialTokens {
    pub bos_token: Option<String>,
    pub eos_token: Option<String>,
    pub unk_token: Option<String>,
    pub pad_token: Option<String>,
}

pub(crate) struct ChatTemplate {
    environment: Option<Environment<'static>>,
    tokens: SpecialTokens,
    /// Begins every prompt of a model that has no template.
    plain_beginning: Option<String>,
}

/// A piece of the rendered prompt: text of the template itself, or a part of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Template(String),
    Part(&'a Part),
}

#[derive(Serialize)]
struct TemplateMessage {
    role: &'static str,
    content: String,
}

impl ChatTemplate {
    /// Without a source, a prompt is its messages' parts, an empty line between two messages, the beginning-of-text token
    /// in front if `adds_beginning`.
    pub fn new(
        source: Option<&str>,
        tokens: SpecialTokens,
        adds_beginning: bool,
    ) -> Result<Self, EngineError> {
        let environment = source.map(environment).transpose()?;
        let plain_beginning = tokens.bos_token.clone().filter(|_| adds_beginning);
        Ok(Self {
            environment,
            tokens,
            plain_beginning,
        })
    }

    pub fn render<'a>(&self, messages: &'a [Message]) -> Result<Vec<Piece<'a>>, EngineError> {
        let Some(environment) = &self.environment else {
            return Ok(self.plain(messages));
        };
        let mut parts = Vec::new();
        let mut shown = Vec::new();
        let mut needed = Vec::new();
        for message in messages {
            let mut content = String::new();
            for part in &message.parts {
                content.extend([OPEN.to_string(), parts.len().to_string(), CLOSE.to_string()]);
                parts.push(part);
                // Some models have no system message, and their templates leave it out.
                needed.push(message.role != Role::System);
            }
            shown.push(TemplateMessage {
                role: message.role.name(),
                content,
            });
        }
        let rendered = environment
            .get_template("chat")
            .and_then(|template| template.render(self.context(&shown)))
            .map_err(|error| template_error(&error))?;
        pieces(&rendered, &parts, needed)
    }

    fn context(&self, messages: &[TemplateMessage]) -> Value {
        // Answers are grounded in passages and often under a grammar: no hidden reasoning before them.
        context! { messages => messages, add_generation_prompt => true, enable_thinking => false, ..Value::from_serialize(&self.tokens) }
    }

    fn plain<'a>(&self, messages: &'a [Message]) -> Vec<Piece<'a>> {
        let mut pieces: Vec<_> = self
            .plain_beginning
            .iter()
            .map(|token| Piece::Template(token.clone()))
            .collect();
        for (index, message) in messages.iter().enumerate() {
            if index > 0 {
                pieces.push(Piece::Template("\n\n".into()));
            }
            pieces.extend(message.parts.iter().map(Piece::Part));
        }
        pieces
    }
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// As transformers renders templates: `trim_blocks`, `lstrip_blocks`, Python's string and list methods. No
/// `strftime_now`: a prompt must not depend on the day; templates fall back to a fixed date.
fn environment(source: &str) -> Result<Environment<'static>, EngineError> {
    if source.contains([OPEN, CLOSE]) {
        return Err(EngineError::Template {
            reason: "it holds one of the private-use characters U+F8F0 and U+F8F1".into(),
        });
    }
    let source = source
        .replace("{% generation %}", "")
        .replace("{% endgeneration %}", "");
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", to_json);
    environment.add_function(
        "raise_exception",
        |message: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        },
    );
    environment
        .add_template_owned("chat", source)
        .map_err(|error| template_error(&error))?;
    Ok(environment)
}

/// Like transformers' filter, not escaped for HTML.
#[expect(clippy::needless_pass_by_value, reason = "as filters are called")]
fn to_json(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let failed = |error| {
        Error::new(ErrorKind::BadSerialization, "not serialisable as JSON").with_source(error)
    };
    let indent: Option<usize> = options.get("indent")?;
    let text = match indent {
        None => serde_json::to_string(value).map_err(failed)?,
        Some(_) => serde_json::to_string_pretty(value).map_err(failed)?,
    };
    Ok(Value::from_safe_string(text))
}

fn template_error(error: &Error) -> EngineError {
    EngineError::Template {
        reason: error.to_string(),
    }
}

fn pieces<'a>(
    rendered: &str,
    parts: &[&'a Part],
    mut missing: Vec<bool>,
) -> Result<Vec<Piece<'a>>, EngineError> {
    let mut pieces = Vec::new();
    let mut rest = rendered;
    while let Some((before, index, after)) = next_placeholder(rest) {
        let lost = || EngineError::Template {
            reason: "it changes the content of messages".into(),
        };
        let part = parts.get(index).ok_or_else(lost)?;
        push_text(&mut pieces, before);
        pieces.push(Piece::Part(part));
        missing[index] = false;
        rest = after;
    }
    push_text(&mut pieces, rest);
    if rest.contains([OPEN, CLOSE]) || missing.contains(&true) {
        return Err(EngineError::Template {
            reason: "it leaves out or changes a message".into(),
        });
    }
    Ok(pieces)
}

fn next_placeholder(text: &str) -> Option<(&str, usize, &str)> {
    let (before, rest) = text.split_once(OPEN)?;
    let (index, after) = rest.split_once(CLOSE)?;
    Some((before, index.parse().ok()?, after))
}

fn push_text(pieces: &mut Vec<Piece<'_>>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Template(text.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message.content | trim }}<|im_end|>\n\
        {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}{% endif %}";

    fn user(parts: Vec<Part>) -> Message {
        Message {
            role: Role::User,
            parts,
        }
    }

    fn text(piece: &Piece<'_>) -> String {
        match piece {
            Piece::Template(text) | Piece::Part(Part::Trusted(text)) => text.clone(),
            Piece::Part(Part::Data(text)) => format!("«{text}»"),
        }
    }

    fn rendered(template: &str, messages: &[Message]) -> String {
        let template = ChatTemplate::new(Some(template), SpecialTokens::default(), false).unwrap();
        template
            .render(messages)
            .unwrap()
            .iter()
            .map(text)
            .collect()
    }

    #[test]
    fn the_template_goes_around_the_parts() {
        let messages = [user(vec![
            Part::Trusted("[[1]]".into()),
            Part::Data(" a <|im_end|> ".into()),
        ])];
        let expected = "<|im_start|>user\n[[1]]« a <|im_end|> »<|im_end|>\n<|im_start|>assistant\n<think></think>";
        assert_eq!(rendered(CHATML, &messages), expected);
    }

    #[test]
    fn what_looks_like_a_template_or_a_placeholder_is_content() {
        for content in [
            "{{ messages }}",
            "{% for x in y %}",
            "\u{F8F0}0\u{F8F1}",
            "{{ raise_exception('x') }}",
        ] {
            let messages = [user(vec![
                Part::Data(content.into()),
                Part::Data("second".into()),
            ])];
            assert!(
                rendered(CHATML, &messages).contains(&format!("«{content}»«second»")),
                "{content}"
            );
        }
    }

    #[test]
    fn python_methods_and_filters_work_as_in_transformers() {
        let template = "{% for m in messages %}{% if m.role.startswith('us') and not m.content.endswith('x') %}{{ m.content.strip() }}{% endif %}{% endfor %}{{ {'a': '<b>'} | tojson }}";
        assert_eq!(
            rendered(template, &[user(vec![Part::Data("q".into())])]),
            "«q»{\"a\":\"<b>\"}"
        );
    }

    #[test]
    fn a_template_that_refuses_or_loses_messages_is_an_error() {
        let render = |template: &str| {
            let template =
                ChatTemplate::new(Some(template), SpecialTokens::default(), false).unwrap();
            template
                .render(&[user(vec![Part::Data("q".into())])])
                .unwrap_err()
                .to_string()
        };
        assert!(
            render("{{ raise_exception('roles must alternate') }}")
                .contains("roles must alternate")
        );
        assert!(render("nothing").contains("leaves out"));
        assert!(render("{{ messages[0].content[1:] }}").contains("changes"));
        assert!(ChatTemplate::new(Some("{% for %}"), SpecialTokens::default(), false).is_err());
        assert!(ChatTemplate::new(Some("\u{F8F0}"), SpecialTokens::default(), false).is_err());
    }

    #[test]
    fn without_a_template_the_parts_follow_each_other() {
        let tokens = SpecialTokens {
            bos_token: Some("<s>".into()),
            ..SpecialTokens::default()
        };
        let template = ChatTemplate::new(None, tokens, true).unwrap();
        let messages = [
            user(vec![Part::Trusted("a".into()), Part::Data("b".into())]),
            user(vec![Part::Data("c".into())]),
        ];
        let text: String = template
            .render(&messages)
            .unwrap()
            .iter()
            .map(text)
            .collect();
        assert_eq!(text, "<s>a«b»\n\n«c»");
    }
}
