//! Adapter versions and the aliases that point at them.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Json as JsonResponse;
use axum::extract::{Path, State};
use http::StatusCode;
use quoin_adapters::{
    AdapterId, AdapterName, AdapterVersion, Alias, Aliases, REPORT_BYTES_MAX, signed_message,
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::http::Http;
use crate::http::body::Json;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::identity::{Administering, Authorized};
use crate::service::Quoin;

/// An adapter to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct AdapterBody {
    /// A folder on this machine, as PEFT writes it.
    #[schema(value_type = String)]
    path: PathBuf,
    /// The adapter's name.
    name: String,
}

/// A file or folder of this machine.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PathBody {
    /// A report is a JSON object, as `quoin eval` writes `report.json`; an adapter is a folder, as PEFT writes it.
    #[schema(value_type = String)]
    path: PathBuf,
}

/// Where an alias goes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct AliasBody {
    /// `NAME@VERSION`, or `base` for the base model without an adapter.
    to: String,
    /// Only if the alias is here now: `NAME@VERSION`, or `base`.
    #[serde(default)]
    expect: Option<String>,
}

/// Lists adapter versions.
#[utoipa::path(
    get, path = "/admin/v1/adapters", tag = "admin",
    responses(
        (status = 200, description = "`{adapters, damaged}`.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn list(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
) -> Result<JsonResponse<Value>, ApiError> {
    let listing = blocking(&http, |quoin| Ok(quoin.registry().list()?)).await?;
    let adapters: Vec<Value> = listing.versions.iter().map(shown).collect();
    let damaged: Vec<String> = listing.damaged.iter().map(ToString::to_string).collect();
    Ok(JsonResponse(
        json!({"adapters": adapters, "damaged": damaged}),
    ))
}

/// Checks an adapter against the base model and stores it as the next version of its name.
#[utoipa::path(
    post, path = "/admin/v1/adapters", tag = "admin", request_body = AdapterBody,
    responses(
        (status = 201, description = "The version.", body = Object),
        (status = 200, description = "The version that these files already are.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn add(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
    Json(body): Json<AdapterBody>,
) -> Result<(StatusCode, JsonResponse<Value>), ApiError> {
    let name: AdapterName = body.name.parse()?;
    let added = blocking(&http, move |quoin| {
        let base = quoin.base_identity()?;
        Ok(quoin.registry().add(&body.path, &name, &base)?)
    })
    .await?;
    let status = if added.is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, JsonResponse(shown(&added.version))))
}

/// What a signature of an adapter's folder is made of, for this base.
#[utoipa::path(
    post, path = "/admin/v1/adapters/message", tag = "admin", request_body = PathBody,
    responses(
        (status = 200, description = "`{message}`.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn message(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
    Json(body): Json<PathBody>,
) -> Result<JsonResponse<Value>, ApiError> {
    let message = blocking(&http, move |quoin| {
        Ok(signed_message(&body.path, &quoin.base_identity()?)?)
    });
    Ok(JsonResponse(json!({ "message": message.await? })))
}

/// Shows one version.
#[utoipa::path(
    get, path = "/admin/v1/adapters/{version}", tag = "admin",
    params(("version" = String, Path, description = "`NAME@VERSION`.")),
    responses(
        (status = 200, description = "The version.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn show(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
    Path(version): Path<String>,
) -> Result<JsonResponse<Value>, ApiError> {
    let id: AdapterId = version.parse()?;
    let shown = blocking(&http, move |quoin| {
        let version = quoin.registry().show(&id)?;
        let mut shown = shown(&version);
        // Rows are many; how many is enough to see.
        shown["lineage"] = version.lineage()?.map_or(Value::Null, |lineage| {
            json!({
                "base": lineage.base,
                "training_data": {
                    "digest": lineage.training_data.digest,
                    "rows": lineage.training_data.row_ids.len(),
                },
                "recipe": lineage.recipe,
                "licence_notes": lineage.licence_notes,
            })
        });
        shown["reports"] = json!(version.reports()?);
        Ok(shown)
    })
    .await?;
    Ok(JsonResponse(shown))
}

/// Keeps a report of an evaluation beside a version, under its digest.
#[utoipa::path(
    post, path = "/admin/v1/adapters/{version}/reports", tag = "admin", request_body = PathBody,
    params(("version" = String, Path, description = "`NAME@VERSION`.")),
    responses(
        (status = 201, description = "`{digest, bytes}`.", body = Object),
        (status = 200, description = "It was there already.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn attach_report(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
    Path(version): Path<String>,
    Json(body): Json<PathBody>,
) -> Result<(StatusCode, JsonResponse<Value>), ApiError> {
    let id: AdapterId = version.parse()?;
    let attached = blocking(&http, move |quoin| {
        let report = read_report(&body.path)
            .map_err(|error| ApiError::invalid("path", format!("cannot read it: {error}")))?;
        Ok(quoin.registry().attach_report(&id, &report)?)
    })
    .await?;
    let status = if attached.is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, JsonResponse(json!(attached.report))))
}

/// One byte more than is allowed, so that what is too large is refused by its size.
fn read_report(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    let mut report = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(REPORT_BYTES_MAX + 1).read_to_end(&mut report)?;
    Ok(report)
}

/// Reads every byte of a version again, and compares it with its digests and the base model.
#[utoipa::path(
    post, path = "/admin/v1/adapters/{version}/verify", tag = "admin",
    params(("version" = String, Path, description = "`NAME@VERSION`.")),
    responses(
        (status = 200, description = "The version, intact.", body = Object),
        (status = "default", description = "What differs.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn verify(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
    Path(version): Path<String>,
) -> Result<JsonResponse<Value>, ApiError> {
    let id: AdapterId = version.parse()?;
    let version = blocking(&http, move |quoin| {
        let version = quoin.registry().verify(&id)?;
        version.check_base(&quoin.base_identity()?.digest)?;
        Ok(version)
    })
    .await?;
    Ok(JsonResponse(shown(&version)))
}

/// Lists aliases.
#[utoipa::path(
    get, path = "/admin/v1/aliases", tag = "admin",
    responses(
        (status = 200, description = "`{aliases: [{alias, to}]}`.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn aliases(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
) -> Result<JsonResponse<Value>, ApiError> {
    let aliases = blocking(&http, |quoin| Ok(quoin.registry().aliases()?)).await?;
    Ok(JsonResponse(listed(&aliases)))
}

/// Moves an alias, by compare-and-swap.
#[utoipa::path(
    put, path = "/admin/v1/aliases/{alias}", tag = "admin", request_body = AliasBody,
    params(("alias" = String, Path, description = "Such as `champion`.")),
    responses(
        (status = 200, description = "`{aliases: [{alias, to}]}`.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn set_alias(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
    Path(alias): Path<String>,
    Json(body): Json<AliasBody>,
) -> Result<JsonResponse<Value>, ApiError> {
    let alias: Alias = alias.parse()?;
    let to = AdapterId::parse_or_base(&body.to)?;
    let expected = body.expect.as_deref().map(AdapterId::parse_or_base);
    let expected = expected.transpose()?;
    http.quoin.rollouts().refuse_to_move(&alias)?;
    let aliases = blocking(&http, move |quoin| {
        let registry = quoin.registry();
        let from = match expected {
            Some(expected) => expected,
            // Without a wish, from wherever it is: a move in between is still noticed.
            None => registry.aliases()?.get(&alias).cloned(),
        };
        Ok(registry.set_alias(&alias, from.as_ref(), to.as_ref())?)
    })
    .await?;
    Ok(JsonResponse(listed(&aliases)))
}

fn listed(aliases: &Aliases) -> Value {
    let aliases: Vec<Value> = aliases
        .iter()
        .map(|(alias, to)| json!({"alias": alias, "to": to}))
        .collect();
    json!({"aliases": aliases})
}

fn shown(version: &AdapterVersion) -> Value {
    let mut shown = json!({
        "id": version.id(),
        "rank": version.lora.r,
        "signed_by": version.signed_by().map(|key| key.to_string()),
    });
    if let (Some(fields), Ok(Value::Object(manifest))) =
        (shown.as_object_mut(), serde_json::to_value(version))
    {
        fields.extend(manifest);
    }
    shown
}

async fn blocking<T: Send + 'static>(
    http: &Http,
    work: impl FnOnce(&Quoin) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let quoin = Arc::clone(&http.quoin);
    tokio::task::spawn_blocking(move || work(&quoin)).await?
}
