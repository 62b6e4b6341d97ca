//! A function that a chat completion is forced to call: the model has no choice, so the function's parameters are a schema
//! for the answer under another name. Functions that it may call are never called.

use serde_json::{Value, json};

use super::chat;
use super::error::ApiError;

/// The one function that the answer goes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ForcedTool {
    name: String,
    /// What its arguments must satisfy.
    pub(super) parameters: Value,
    /// As OpenAI ends such a choice: `stop` where the function was named, `tool_calls` where some function was required.
    pub(super) finish_reason: &'static str,
}

/// The function that `tool_choice` forces, if any.
///
/// # Errors
/// A choice among several functions, or a function that is not in `tools`.
pub(super) fn forced(
    choice: Option<&Value>,
    tools: Option<&Value>,
) -> Result<Option<ForcedTool>, ApiError> {
    let tools = functions(tools);
    let named = choice
        .and_then(|choice| choice.pointer("/function/name"))
        .and_then(Value::as_str);
    let (function, finish_reason) = match (choice.and_then(Value::as_str), named, tools.as_slice())
    {
        (Some("required"), _, [only]) => (*only, "tool_calls"),
        (_, Some(name), _) => (named_function(&tools, name)?, "stop"),
        _ => {
            chat::refuse_forced_tools(choice)?;
            return Ok(None);
        }
    };
    let Some(name) = name_of(function) else {
        return Err(ApiError::invalid(
            "tools",
            "`tools` must name each function in `function.name`",
        ));
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !(1..=64).contains(&name.len()) || !name.chars().all(allowed) {
        return Err(ApiError::invalid(
            "tools",
            "`function.name` in `tools` must be 1 to 64 letters, digits, `_`, `-` or `.`",
        ));
    }
    let parameters = function
        .get("parameters")
        .filter(|parameters| !parameters.is_null())
        .cloned()
        .unwrap_or_else(
            || json!({"type": "object", "properties": {}, "additionalProperties": false}),
        );
    if parameters.get("type") != Some(&json!("object")) {
        return Err(ApiError::invalid(
            "tools",
            "`function.parameters` in `tools` must be a JSON Schema with `\"type\": \"object\"`",
        ));
    }
    Ok(Some(ForcedTool {
        name: name.to_owned(),
        parameters,
        finish_reason,
    }))
}

fn named_function<'a>(tools: &[&'a Value], name: &str) -> Result<&'a Value, ApiError> {
    let function = tools.iter().find(|tool| name_of(tool) == Some(name));
    function.copied().ok_or_else(|| {
        let name: String = name.chars().take(64).collect();
        ApiError::invalid(
            "tool_choice",
            format!("`tool_choice` names `{name}`, which is not a function in `tools`"),
        )
    })
}

fn functions(tools: Option<&Value>) -> Vec<&Value> {
    tools
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|tool| tool.get("function"))
        .collect()
}

fn name_of(function: &Value) -> Option<&str> {
    function.get("name").and_then(Value::as_str)
}

impl ForcedTool {
    /// The call, or its beginning in a stream; `completion_id` makes its id.
    pub(super) fn call(&self, completion_id: &str, arguments: &str) -> Value {
        json!({
            "id": completion_id.replace("chatcmpl-", "call_"),
            "type": "function",
            "function": {"name": self.name, "arguments": arguments},
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::{Value, json};

    use super::forced;

    fn tools() -> Value {
        json!([
            {"type": "function", "function": {"name": "leave", "parameters": {"type": "object", "properties": {"days": {"type": "integer"}}}}},
            {"type": "function", "function": {"name": "badge"}},
        ])
    }

    #[test]
    fn a_function_that_is_named_or_the_only_one_is_forced() {
        let choice = json!({"type": "function", "function": {"name": "leave"}});
        let tool = forced(Some(&choice), Some(&tools())).unwrap().unwrap();
        assert_eq!((tool.name.as_str(), tool.finish_reason), ("leave", "stop"));
        assert_eq!(tool.parameters["properties"]["days"]["type"], "integer");
        let only = json!([tools()[1]]);
        let tool = forced(Some(&json!("required")), Some(&only)).unwrap();
        assert_eq!(tool.unwrap().finish_reason, "tool_calls");
    }

    #[test]
    fn functions_that_may_be_called_are_not_and_a_choice_among_them_is_refused() {
        for choice in [json!("auto"), json!("none"), Value::Null] {
            assert_eq!(forced(Some(&choice), Some(&tools())).unwrap(), None);
        }
        for choice in [
            json!("required"),
            json!({"type": "function", "function": {"name": "other"}}),
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "required"}}),
        ] {
            let refused = forced(Some(&choice), Some(&tools())).unwrap_err();
            assert_eq!(refused.status(), 400, "{choice}");
        }
    }
}
