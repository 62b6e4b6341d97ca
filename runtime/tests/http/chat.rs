//! `POST /v1/chat/completions`, as OpenAI's clients send and read it.

use serde_json::{Value, json};

use crate::app::{ABSTAINS, TestApp};

const DAYS: &str = r#"{"cite":"[[1]]","answer":{"days":27}}"#;

fn days_format() -> Value {
    json!({
        "type": "json_schema",
        "json_schema": {
            "name": "days",
            "strict": true,
            "schema": {
                "type": "object",
                "properties": {"days": {"type": "integer"}},
                "required": ["days"],
                "additionalProperties": false,
            },
        },
    })
}

fn ask(question: &str) -> Value {
    json!({"model": "quoin", "messages": [{"role": "user", "content": question}]})
}

#[tokio::test]
async fn a_completion_has_the_form_that_clients_expect() {
    let app = TestApp::with_pages().await;
    let reply = app
        .post(
            "/v1/chat/completions",
            &ask("How many days of annual leave?"),
        )
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let body = &reply.body;
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "quoin");
    let choice = &body["choices"][0];
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(choice["message"]["role"], "assistant");
    assert_eq!(choice["message"]["content"], "From the first sentence.");
    assert_eq!(choice["message"]["refusal"], Value::Null);
    let total = body["usage"]["prompt_tokens"].as_u64().unwrap()
        + body["usage"]["completion_tokens"].as_u64().unwrap();
    assert_eq!(body["usage"]["total_tokens"], total);
    assert!(
        body["system_fingerprint"]
            .as_str()
            .unwrap()
            .starts_with("fp_")
    );
    assert_eq!(
        reply.header("x-quoin-release"),
        body["quoin"]["release"]["id"].as_str().unwrap()
    );
}

#[tokio::test]
async fn citations_are_nested_url_citations() {
    let app = TestApp::with_pages().await;
    let body = app
        .post(
            "/v1/chat/completions",
            &ask("How many days of annual leave?"),
        )
        .await
        .body;
    let annotation = &body["choices"][0]["message"]["annotations"][0];
    assert_eq!(annotation["type"], "url_citation");
    let citation = &annotation["url_citation"];
    assert_eq!(citation["title"], "Page leave.md");
    assert_eq!(citation["url"], "/v1/documents/leave.md");
    assert_eq!(citation["start_index"], 0);
    assert_eq!(citation["end_index"], "From the first sentence.".len());
    assert_eq!(citation["quote"], "Employees have 27 days of annual leave.");
}

#[tokio::test]
async fn a_json_schema_is_enforced_and_nothing_is_appended() {
    let app = TestApp::builder().saying([DAYS]).with_pages().await;
    let mut request = ask("How many days of leave?");
    request["response_format"] = days_format();
    let body = app.post("/v1/chat/completions", &request).await.body;
    assert_eq!(
        body["choices"][0]["message"]["content"], r#"{"days":27}"#,
        "{body}"
    );
}

#[tokio::test]
async fn json_object_gives_an_object_with_the_keys_that_were_asked_for() {
    let app = TestApp::builder()
        .saying([r#"{"cite":"[[1]]","answer":{"days":27,"where":["Hull",{"site":"Kobe"}]}}"#])
        .with_pages()
        .await;
    let mut request = ask("How many days of leave?");
    request["response_format"] = json!({"type": "json_object"});
    let reply = app.post("/v1/chat/completions", &request).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let body = reply.body;
    let content: Value =
        serde_json::from_str(body["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
    assert_eq!(
        content,
        json!({"days": 27, "where": ["Hull", {"site": "Kobe"}]})
    );
}

#[tokio::test]
async fn a_string_under_a_schema_streams_as_json() {
    let said = r#"{"cite":"[[1]]","answer":"tab\t \"b\" 😀 end"}"#;
    let app = TestApp::builder().saying([said, said]).with_pages().await;
    let mut request = ask("Which?");
    let schema = json!({"enum": ["tab\t \"b\" 😀 end", "other"]});
    request["response_format"] =
        json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    request["stream"] = json!(true);
    let reply = app.post("/v1/chat/completions", &request).await;
    let text: String = reply
        .chunks()
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{}", reply.text));
    assert_eq!(value, "tab\t \"b\" 😀 end");
    assert!(
        reply.text.contains("\"finish_reason\":\"stop\""),
        "{}",
        reply.text
    );
    let format = json!({"type": "json_schema", "name": "x", "schema": schema});
    let response = json!({"input": "Which?", "text": {"format": format}, "stream": true});
    let reply = app.post("/v1/responses", &response).await;
    assert!(reply.text.contains("response.completed"), "{}", reply.text);
}

#[tokio::test]
async fn a_forced_function_gets_the_answer_as_its_arguments() {
    let app = TestApp::builder()
        .saying([DAYS, DAYS, ABSTAINS])
        .with_pages()
        .await;
    let mut request = ask("How many days of leave?");
    let parameters = days_format()["json_schema"]["schema"].clone();
    request["tools"] =
        json!([{"type": "function", "function": {"name": "leave", "parameters": parameters}}]);
    request["tool_choice"] = json!({"type": "function", "function": {"name": "leave"}});
    let body = app.post("/v1/chat/completions", &request).await.body;
    let message = &body["choices"][0]["message"];
    assert_eq!(message["content"], Value::Null, "{body}");
    let call = &message["tool_calls"][0];
    assert_eq!(
        call["function"],
        json!({"name": "leave", "arguments": r#"{"days":27}"#})
    );
    assert!(message["annotations"][0]["url_citation"]["quote"].is_string());

    request["stream"] = json!(true);
    request["tool_choice"] = json!("required");
    let chunks = app.post("/v1/chat/completions", &request).await.chunks();
    let calls: Vec<&Value> = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0])
        .filter(|call| !call.is_null())
        .collect();
    let arguments: String = calls
        .iter()
        .map(|call| call["function"]["arguments"].as_str().unwrap())
        .collect();
    assert_eq!(arguments, r#"{"days":27}"#);
    assert_eq!(calls[0]["function"]["name"], "leave");
    assert!(calls[1..].iter().all(|call| call["id"].is_null()));
    let end = chunks.last().unwrap();
    assert_eq!(end["choices"][0]["finish_reason"], "tool_calls", "{end}");

    request["stream"] = json!(false);
    let body = app.post("/v1/chat/completions", &request).await.body;
    let message = &body["choices"][0]["message"];
    assert!(
        message["refusal"].is_string() && message.get("tool_calls").is_none(),
        "{body}"
    );
}

#[tokio::test]
async fn an_abstention_is_a_sentence_or_with_a_schema_a_refusal() {
    let app = TestApp::builder()
        .saying([ABSTAINS, ABSTAINS])
        .with_pages()
        .await;
    let plain = app
        .post("/v1/chat/completions", &ask("Who won in 1954?"))
        .await
        .body;
    assert_eq!(
        plain["choices"][0]["message"]["content"],
        "The documents do not answer this question."
    );
    let mut request = ask("Who won in 1954?");
    request["response_format"] = days_format();
    let refused = app.post("/v1/chat/completions", &request).await.body;
    let message = &refused["choices"][0]["message"];
    assert_eq!(message["content"], Value::Null);
    assert_eq!(
        message["refusal"],
        "The documents do not answer this question."
    );
}

#[tokio::test]
async fn unknown_fields_and_text_parts_are_accepted() {
    let app = TestApp::with_pages().await;
    let request = json!({
        "model": "quoin",
        "messages": [
            {"role": "system", "content": "Be brief.", "name": "x"},
            {"role": "user", "content": [{"type": "text", "text": "How many days of annual leave?"}]},
        ],
        "user": "ann", "metadata": {"a": "b"}, "frequency_penalty": 0.5, "logit_bias": {}, "store": false, "seed": -1,
        "max_completion_tokens": 100_000, "parallel_tool_calls": true, "some_new_field": [1, 2, 3], "tools": [],
        "tool_choice": "auto", "response_format": {"type": "text"}, "stream": null, "temperature": null,
    });
    let reply = app.post("/v1/chat/completions", &request).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test]
async fn system_messages_reach_the_model_as_wishes() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let writes = seen.clone();
    let generator = quoin_engine::scripted::ScriptedGenerator::new(move |request| {
        *writes.lock().unwrap() = format!("{:?}", request.messages);
        crate::app::FIRST_SENTENCE.to_owned()
    });
    let app = TestApp::builder().generator(generator).with_pages().await;
    let request = json!({"messages": [
        {"role": "system", "content": "Answer like a pirate."},
        {"role": "user", "content": "How many days of annual leave?"},
    ]});
    app.post("/v1/chat/completions", &request).await;
    let prompt = seen.lock().unwrap().clone();
    assert!(prompt.contains("Answer like a pirate."), "{prompt}");
}

#[tokio::test]
async fn what_would_change_the_answer_is_refused_by_name() {
    let app = TestApp::with_pages().await;
    let image = json!({"messages": [{"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]}]});
    let mut two = ask("How many days?");
    two["n"] = json!(2);
    let mut forced = ask("How many days?");
    forced["tool_choice"] = json!("required");
    let mut no_schema = ask("How many days?");
    no_schema["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "x"}});
    let mut other_format = ask("How many days?");
    other_format["response_format"] = json!({"type": "xml"});
    let mut hot = ask("How many days?");
    hot["temperature"] = json!(3);
    let mut none = ask("How many days?");
    none["max_tokens"] = json!(0);
    let cases = [
        (image, "messages[0].content[1]"),
        (two, "n"),
        (forced, "tool_choice"),
        (no_schema, "response_format.json_schema.schema"),
        (other_format, "response_format.type"),
        (hot, "temperature"),
        (none, "max_tokens"),
        (json!({"messages": []}), "messages"),
        (json!({"model": "quoin"}), "messages"),
        (json!({"messages": "hello"}), "messages"),
        (ask("   "), "messages"),
    ];
    for (request, param) in cases {
        let reply = app.post("/v1/chat/completions", &request).await;
        assert_eq!(reply.status, 400, "{param}: {}", reply.text);
        assert_eq!(reply.body["error"]["param"], param, "{}", reply.text);
        assert_eq!(reply.body["error"]["type"], "invalid_request_error");
    }
}

#[tokio::test]
async fn errors_use_the_names_of_this_api() {
    let app = TestApp::with_pages().await;
    let mut request = ask("How many days?");
    let other = json!({"type": "object", "properties": {"a": {"$ref": "https://example.com/x.json"}}, "required": ["a"]});
    request["response_format"] =
        json!({"type": "json_schema", "json_schema": {"name": "x", "schema": other}});
    let reply = app.post("/v1/chat/completions", &request).await;
    assert_eq!(reply.status, 422, "{}", reply.text);
    assert_eq!(
        reply.body["error"]["param"],
        "response_format.json_schema.schema"
    );
    assert!(
        reply
            .message()
            .starts_with("`response_format.json_schema.schema` "),
        "{}",
        reply.message()
    );
}
