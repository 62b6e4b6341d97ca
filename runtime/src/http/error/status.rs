//! Which error gets which status, code and field.

use http::StatusCode;
use quoin_adapters::AdapterError;
use quoin_adapters::rollout::RolloutError;
use quoin_retriever::RetrieverError;

use super::ApiError;
use crate::answer::error::AnswerError;
use crate::answer::schema::SchemaError;
use crate::models::BaseUnknown;
use crate::rollouts::RolloutRefusal;
use crate::storage::StorageError;

impl From<AnswerError> for ApiError {
    fn from(error: AnswerError) -> Self {
        let message = error.to_string();
        match error {
            AnswerError::Invalid { param, .. } => Self::invalid(param, message),
            AnswerError::Schema(
                SchemaError::NotAnObject(_)
                | SchemaError::TooLarge(_)
                | SchemaError::TooDeep
                | SchemaError::TooManyProperties(_),
            ) => Self::invalid("schema", message),
            AnswerError::Schema(SchemaError::Invalid(_) | SchemaError::TooDear(_))
            | AnswerError::UnenforceableSchema { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "unenforceable_schema",
                message,
            )
            .about("schema"),
            AnswerError::Incomplete { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "incomplete", message)
                    .about("max_tokens")
            }
            AnswerError::UnknownModel(_) => {
                Self::new(StatusCode::NOT_FOUND, "model_not_found", message).about("model")
            }
            AnswerError::QueueFull { retry_after } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", message).after(retry_after)
            }
            AnswerError::Loading { retry_after, .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "loading", message).after(retry_after)
            }
            // The reason can hold paths of this machine.
            AnswerError::Unavailable { .. } => {
                Self::not_ready("the model cannot answer now: the server's log says why")
                    .because(error)
            }
            AnswerError::Timeout { limit } => Self::timeout(limit),
            AnswerError::Retrieval(cause) => cause.into(),
            cause @ (AnswerError::Engine(_)
            | AnswerError::Malformed(_)
            | AnswerError::Unresolved(_)
            | AnswerError::BrokenSchema(_)
            | AnswerError::Task(_)) => Self::internal(cause),
        }
    }
}

impl From<RetrieverError> for ApiError {
    fn from(error: RetrieverError) -> Self {
        let message = error.to_string();
        match error {
            RetrieverError::Invalid { field, .. } => Self::invalid(field, message),
            RetrieverError::Unreadable { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "unreadable_document", message).about("content")
            }
            RetrieverError::TooLarge { what, .. } => Self::too_large(message).about(what),
            RetrieverError::NotFound(_)
            | RetrieverError::NotDeleted(_)
            | RetrieverError::UnknownGeneration { .. }
            | RetrieverError::NoEarlierSnapshot { .. } => Self::not_found(message),
            RetrieverError::Storage { ref source, .. } if is_full(source) => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "storage_full",
                "the disk is full: nothing was changed",
            )
            .because(error),
            cause => Self::internal(cause),
        }
    }
}

/// Also where a quota or a bound on the size of files stops the write.
fn is_full(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DiskFull, SystemIoFailure};
    let wrote = error.sqlite_error().is_some_and(|error| {
        error.code == SystemIoFailure && error.extended_code == rusqlite::ffi::SQLITE_IOERR_WRITE
    });
    wrote || error.sqlite_error_code() == Some(DiskFull)
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        let message = error.to_string();
        match error {
            StorageError::Invalid(_) => {
                Self::new(StatusCode::BAD_REQUEST, "invalid_value", message)
            }
            StorageError::UnknownKey(_) | StorageError::UnknownAnswer(_) => {
                Self::not_found(message)
            }
            StorageError::Closed => Self::not_ready("the server is shutting down").because(error),
            cause => Self::internal(cause),
        }
    }
}

impl From<AdapterError> for ApiError {
    /// Messages of adapters are written for the operator, and only operators get here.
    fn from(error: AdapterError) -> Self {
        let message = error.to_string();
        match error {
            AdapterError::Name { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "invalid_value", message)
            }
            AdapterError::Refused { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "adapter_refused", message).about("path")
            }
            AdapterError::NotFound { .. } | AdapterError::ReportNotFound { .. } => {
                Self::not_found(message)
            }
            AdapterError::Untrusted { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "adapter_untrusted", message).about("path")
            }
            AdapterError::BaseMismatch { .. } | AdapterError::AliasMoved { .. } => {
                Self::conflict(message)
            }
            AdapterError::Damaged { .. } => Self::new(StatusCode::CONFLICT, "damaged", message),
            AdapterError::Io { ref source, .. }
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                Self::invalid("path", format!("{message}: {source}"))
            }
            cause => Self::internal(cause),
        }
    }
}

impl From<RolloutRefusal> for ApiError {
    /// Only operators get here, too.
    fn from(error: RolloutRefusal) -> Self {
        let message = error.to_string();
        match error {
            RolloutRefusal::NoneRunning | RolloutRefusal::Unknown(_) => Self::not_found(message),
            RolloutRefusal::Running { .. }
            | RolloutRefusal::Champion(_)
            | RolloutRefusal::Rollout(RolloutError::NotPossible { .. }) => Self::conflict(message),
            RolloutRefusal::NoGate { .. } => Self::conflict(message).about("force"),
            RolloutRefusal::CannotAnswer { .. } => Self::conflict(message).about("adapter"),
            RolloutRefusal::Rollout(_) => Self::invalid("plan", message),
            RolloutRefusal::Adapter(cause) => cause.into(),
            RolloutRefusal::Storage(cause) => cause.into(),
        }
    }
}

impl From<tokio::task::JoinError> for ApiError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::internal(error)
    }
}

impl From<BaseUnknown> for ApiError {
    /// Written for the operator too.
    fn from(error: BaseUnknown) -> Self {
        let message = error.to_string();
        match error {
            BaseUnknown::NotAFolder => Self::conflict(message),
            BaseUnknown::Source(_) => Self::not_ready(message),
            BaseUnknown::Weights(cause) => cause.into(),
        }
    }
}
