//! Messages of the OpenAI APIs as a question, the turns before it, and instructions. Text alone: images, audio and files
//! are refused by name rather than left out in silence.

use serde_json::Value;

use super::error::ApiError;
use crate::answer::types::{Turn, TurnRole};

/// Most earlier turns that are passed on; older ones are left out.
const MAX_TURNS: usize = 64;
/// What a client reads in place of an answer when there is none and it did not ask for JSON.
pub(super) const ABSTENTION: &str = "The documents do not answer this question.";

/// What a list of messages asks.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// The last message of the user.
    pub(super) question: String,
    /// What was said before it, oldest first, as far as it fits.
    pub(super) history: Vec<Turn>,
    /// System and developer messages.
    pub(super) instructions: Option<String>,
}

/// Reads a list of messages. `max_question_bytes` bounds the question, the instructions, and the history fourfold.
pub(super) fn conversation(
    param: &str,
    messages: &[Value],
    max_question_bytes: usize,
) -> Result<Conversation, ApiError> {
    let mut instructions = Vec::new();
    let mut turns = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let at = format!("{param}[{index}]");
        let role = message.get("role").and_then(Value::as_str);
        match role {
            Some("system" | "developer") => instructions.push(content(&at, message)?),
            Some("user") => turns.push(Turn {
                role: TurnRole::User,
                content: content(&at, message)?,
            }),
            Some("assistant") => turns.push(Turn {
                role: TurnRole::Assistant,
                content: content(&at, message)?,
            }),
            // Results of tools that we never call.
            Some("tool" | "function") => {}
            Some(other) => {
                return Err(ApiError::invalid(
                    format!("{at}.role"),
                    format!(
                        "`{at}.role` must be system, developer, user or assistant, got `{}`",
                        short(other)
                    ),
                ));
            }
            None => {
                return Err(ApiError::invalid(
                    format!("{at}.role"),
                    format!("`{at}.role` must be a string"),
                ));
            }
        }
    }
    let asked = turns
        .iter()
        .rposition(|turn| turn.role == TurnRole::User)
        .ok_or_else(|| {
            ApiError::invalid(param, format!("`{param}` must hold a message of the user"))
        })?;
    turns.truncate(asked + 1);
    let question = turns.pop().map_or_else(String::new, |turn| turn.content);
    let instructions = instructions.join("\n\n");
    if instructions.len() > max_question_bytes {
        return Err(ApiError::invalid(
            param,
            format!(
                "the system messages in `{param}` must have at most {max_question_bytes} bytes together, got {}",
                instructions.len()
            ),
        ));
    }
    Ok(Conversation {
        question,
        history: newest(turns, 4 * max_question_bytes),
        instructions: (!instructions.trim().is_empty()).then_some(instructions),
    })
}

/// Bounds the question, in the words of an API where it is one of several messages.
pub(super) fn check_question(
    param: &str,
    question: &str,
    max_bytes: usize,
) -> Result<(), ApiError> {
    if question.trim().is_empty() {
        return Err(ApiError::invalid(
            param,
            format!("the last message of the user in `{param}` must not be empty"),
        ));
    }
    if question.len() > max_bytes {
        return Err(ApiError::invalid(
            param,
            format!(
                "the last message of the user in `{param}` must be at most {max_bytes} bytes, got {}",
                question.len()
            ),
        ));
    }
    Ok(())
}

/// The newest turns that fit.
fn newest(turns: Vec<Turn>, max_bytes: usize) -> Vec<Turn> {
    let mut left = max_bytes;
    let mut kept: Vec<Turn> = turns
        .into_iter()
        .rev()
        .take(MAX_TURNS)
        .map_while(|turn| {
            left = left.checked_sub(turn.content.len())?;
            Some(turn)
        })
        .filter(|turn| !turn.content.trim().is_empty())
        .collect();
    kept.reverse();
    kept
}

/// The text of a message: a string, parts of text, or nothing (an assistant that called a tool).
fn content(at: &str, message: &Value) -> Result<String, ApiError> {
    let at = format!("{at}.content");
    match message.get("content") {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            let texts: Result<Vec<&str>, ApiError> = parts
                .iter()
                .enumerate()
                .map(|(index, part)| part_text(&format!("{at}[{index}]"), part))
                .collect();
            Ok(texts?.join("\n"))
        }
        Some(_) => Err(ApiError::invalid(
            at.clone(),
            format!("`{at}` must be a string or a list of parts"),
        )),
    }
}

fn part_text<'a>(at: &str, part: &'a Value) -> Result<&'a str, ApiError> {
    let field = match part.get("type").and_then(Value::as_str) {
        Some("text" | "input_text" | "output_text") => "text",
        Some("refusal") => "refusal",
        Some(other) => {
            return Err(ApiError::unsupported(
                at,
                format!(
                    "`{at}` has the type `{}`: only text is served",
                    short(other)
                ),
            ));
        }
        None => {
            return Err(ApiError::invalid(at, format!("`{at}` must have a `type`")));
        }
    };
    part.get(field).and_then(Value::as_str).ok_or_else(|| {
        ApiError::invalid(
            format!("{at}.{field}"),
            format!("`{at}.{field}` must be a string"),
        )
    })
}

/// Enough of a foreign word to recognise it.
fn short(word: &str) -> String {
    word.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Conversation, conversation};

    fn read(messages: &Value) -> Result<Conversation, super::ApiError> {
        conversation(
            "messages",
            messages.as_array().map_or(&[], Vec::as_slice),
            100,
        )
    }

    #[test]
    fn the_last_user_message_is_the_question_and_what_came_before_is_history()
    -> Result<(), super::ApiError> {
        let read = read(&json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "One?"},
            {"role": "assistant", "content": [{"type": "text", "text": "1"}]},
            {"role": "assistant", "content": null, "tool_calls": []},
            {"role": "tool", "content": "x", "tool_call_id": "t"},
            {"role": "developer", "content": "In English."},
            {"role": "user", "content": [{"type": "text", "text": "Two?"}, {"type": "text", "text": "Or three?"}]},
        ]))?;
        assert_eq!(read.question, "Two?\nOr three?");
        assert_eq!(
            read.instructions.as_deref(),
            Some("Be brief.\n\nIn English.")
        );
        assert_eq!(
            json!(read.history),
            json!([{"role": "user", "content": "One?"}, {"role": "assistant", "content": "1"}])
        );
        Ok(())
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_place() {
        let cases = [
            (json!([]), "messages"),
            (json!([{"role": "assistant", "content": "x"}]), "messages"),
            (
                json!([{"role": "user", "content": 1}]),
                "messages[0].content",
            ),
            (
                json!([{"role": "root", "content": "x"}]),
                "messages[0].role",
            ),
            (json!(["x"]), "messages[0].role"),
            (
                json!([{"role": "user", "content": [{"type": "image_url"}]}]),
                "messages[0].content[0]",
            ),
            (
                json!([{"role": "user", "content": [{"type": "text"}]}]),
                "messages[0].content[0].text",
            ),
            (
                json!([{"role": "system", "content": "x".repeat(101)}, {"role": "user", "content": "x"}]),
                "messages",
            ),
        ];
        for (messages, param) in cases {
            let refused = read(&messages).err().and_then(|error| error.detail().param);
            assert_eq!(refused.as_deref(), Some(param), "{messages}");
        }
    }

    #[test]
    fn history_that_does_not_fit_loses_its_oldest_turns() -> Result<(), super::ApiError> {
        let read = read(&json!([
            {"role": "user", "content": "a".repeat(300)},
            {"role": "assistant", "content": "b".repeat(300)},
            {"role": "user", "content": "c"},
            {"role": "user", "content": "d"},
        ]))?;
        assert_eq!(read.history.len(), 2);
        assert_eq!(read.question, "d");
        Ok(())
    }
}
