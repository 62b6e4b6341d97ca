//! Keys, feedback and the request log, on a real database.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::caller::Scope;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn scopes(list: &[Scope]) -> BTreeSet<Scope> {
    list.iter().copied().collect()
}

fn answered(id: &str, subject: &str) -> RequestRecord {
    RequestRecord {
        id: id.to_owned(),
        request_id: format!("req-{id}"),
        subject: subject.to_owned(),
        endpoint: "/v1/answers",
        status: "answered".to_owned(),
        ..RequestRecord::default()
    }
}

fn helpful(answer_id: &str) -> FeedbackInput {
    FeedbackInput {
        answer_id: answer_id.to_owned(),
        metric: "helpful".to_owned(),
        value: json!(true),
        comment: None,
        demonstration: None,
        citation: None,
    }
}

#[tokio::test]
async fn a_key_works_after_reopening_and_its_text_is_nowhere_in_the_file() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("quoin.db");
    let storage = Storage::open(&path)?;
    assert!(!storage.keys().any());
    let made = storage
        .keys()
        .create(
            "ci",
            scopes(&[Scope::Search]),
            vec!["group:hr".into(), "group:hr".into()],
        )
        .await?;
    assert!(
        made.key.starts_with("qk_") && made.key.len() == 46,
        "{}",
        made.key.len()
    );
    assert_eq!(made.info.tokens, ["group:hr"]);
    storage.close().await;

    let again = Storage::open(&path)?;
    let caller = again
        .keys()
        .authenticate(&made.key)
        .ok_or("the key must work")?;
    assert_eq!(caller.subject, format!("key:{}", made.info.id));
    assert!(caller.may(Scope::Search) && !caller.may(Scope::Admin));
    again.close().await;
    for entry in std::fs::read_dir(folder.path())? {
        let bytes = std::fs::read(entry?.path())?;
        let secret = made.key.as_bytes();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
    Ok(())
}

#[tokio::test]
async fn a_revoked_key_does_not_work_and_the_folder_stays_in_key_mode() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("quoin.db");
    let storage = Storage::open(&path)?;
    let made = storage
        .keys()
        .create("ci", scopes(&[Scope::Admin]), vec![])
        .await?;
    let first = storage.keys().revoke(&made.info.id).await?.revoked_at;
    assert!(first.is_some());
    assert_eq!(
        storage.keys().revoke(&made.info.id).await?.revoked_at,
        first
    );
    assert!(storage.keys().authenticate(&made.key).is_none());
    assert!(matches!(
        storage.keys().revoke("nope").await,
        Err(StorageError::UnknownKey(_))
    ));
    storage.close().await;
    let again = Storage::open(&path)?;
    assert!(again.keys().any());
    assert!(again.keys().authenticate(&made.key).is_none());
    Ok(())
}

#[tokio::test]
async fn names_scopes_and_tokens_outside_their_bounds_are_refused() -> Outcome {
    let folder = tempfile::tempdir()?;
    let storage = Storage::open(&folder.path().join("quoin.db"))?;
    let keys = storage.keys();
    assert!(
        keys.create("", scopes(&[Scope::Search]), vec![])
            .await
            .is_err()
    );
    assert!(keys.create("n", BTreeSet::new(), vec![]).await.is_err());
    for token in ["", "a b", "a,b", "a\nb", &"x".repeat(129)] {
        let refused = keys
            .create("n", scopes(&[Scope::Search]), vec![token.to_owned()])
            .await;
        assert!(
            matches!(refused, Err(StorageError::Invalid(_))),
            "{token:?}"
        );
    }
    assert!(!keys.any());
    Ok(())
}

#[tokio::test]
async fn feedback_finds_an_answer_logged_just_before_and_no_other_callers() -> Outcome {
    let folder = tempfile::tempdir()?;
    let storage = Storage::open(&folder.path().join("quoin.db"))?;
    storage.log(answered("ans_1", "key:a"));
    let row = storage
        .add_feedback("key:a", false, helpful("ans_1"))
        .await?;
    assert!(row.id.starts_with("fb_"));
    let other = storage.add_feedback("key:b", false, helpful("ans_1")).await;
    assert!(matches!(other, Err(StorageError::UnknownAnswer(_))));
    storage
        .add_feedback("key:admin", true, helpful("ans_1"))
        .await?;
    let unknown = storage.add_feedback("key:a", true, helpful("ans_2")).await;
    assert!(matches!(unknown, Err(StorageError::UnknownAnswer(_))));
    Ok(())
}

#[tokio::test]
async fn the_request_log_keeps_the_newest_rows() -> Outcome {
    let folder = tempfile::tempdir()?;
    let retention = Retention {
        rows: 20,
        days: 30,
        prune_every: 1,
    };
    let storage = Storage::open_with(&folder.path().join("quoin.db"), retention)?;
    for number in 0..100 {
        storage.log(answered(&format!("ans_{number}"), "local"));
    }
    assert_eq!(storage.logged_requests().await?, 20);
    storage.log(answered("ans_last", "local"));
    assert_eq!(storage.logged_requests().await?, 20);
    storage
        .add_feedback("local", false, helpful("ans_last"))
        .await?;
    assert!(
        storage
            .add_feedback("local", false, helpful("ans_0"))
            .await
            .is_err()
    );
    Ok(())
}

#[tokio::test]
async fn a_copy_holds_what_was_written_and_later_calls_after_close_fail() -> Outcome {
    let folder = tempfile::tempdir()?;
    let storage = Storage::open(&folder.path().join("quoin.db"))?;
    let made = storage
        .keys()
        .create("n", scopes(&[Scope::Answer]), vec![])
        .await?;
    let copy = folder.path().join("copy.db");
    storage.copy_database(copy.clone()).await?;
    assert!(
        Storage::open(&copy)?
            .keys()
            .authenticate(&made.key)
            .is_some()
    );
    storage.close().await;
    storage.close().await;
    assert!(matches!(
        storage.logged_requests().await,
        Err(StorageError::Closed)
    ));
    storage.log(answered("late", "local"));
    Ok(())
}

#[tokio::test]
async fn tables_of_a_newer_program_are_refused_and_left_alone() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("quoin.db");
    Storage::open(&path)?.close().await;
    rusqlite::Connection::open(&path)?.execute("UPDATE storage_schema SET version = 99", [])?;
    let refused = Storage::open(&path).err().ok_or("must be refused")?;
    assert!(refused.to_string().contains("schema 99"), "{refused}");
    Ok(())
}
