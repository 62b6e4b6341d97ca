//! `GET /openapi.json`: every route, described by its handler.

use axum::Json as JsonResponse;
use utoipa::OpenApi;

use super::{
    admin, answers, chat, dify, documents, embeddings, feedback, health, metrics, models, replay,
    rerank, responses, search, vector_stores,
};

/// The description of the whole surface.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Quoin",
        description = "Answers with verbatim quotes from your documents, by a local model. Errors have one form on every route.",
    ),
    paths(
        answers::create,
        replay::create,
        search::search,
        documents::list,
        documents::put,
        documents::change,
        documents::show,
        documents::text,
        documents::delete,
        feedback::create,
        chat::create,
        responses::create,
        embeddings::create,
        rerank::v1,
        rerank::v2,
        models::list,
        models::show,
        vector_stores::search,
        dify::retrieve,
        health::alive,
        health::ready,
        metrics::page,
        document,
        admin::ingest::create,
        admin::keys::create,
        admin::keys::list,
        admin::keys::revoke,
        admin::index::list,
        admin::index::rebuild,
        admin::index::verify,
        admin::index::repair,
        admin::index::rollback,
        admin::index::activate,
        admin::deletions::key,
        admin::deletions::list,
        admin::deletions::show,
        admin::deletions::verify,
        admin::adapters::list,
        admin::adapters::add,
        admin::adapters::show,
        admin::adapters::verify,
        admin::adapters::message,
        admin::adapters::attach_report,
        admin::adapters::aliases,
        admin::adapters::set_alias,
        admin::ratings::list,
        admin::rollouts::start,
        admin::rollouts::history,
        admin::rollouts::status,
        admin::rollouts::picture,
        admin::rollouts::tell,
        admin::sources::list,
        admin::sources::scan,
        admin::status::config,
        admin::status::status,
        admin::backup::create,
    ),
    modifiers(&BearerKey)
)]
struct Description;

/// Every route but those for operation takes a bearer key.
struct BearerKey;

impl utoipa::Modify for BearerKey {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{
            Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
        };
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        description
            .components
            .get_or_insert_default()
            .add_security_scheme("key", scheme);
        description.security = Some(vec![SecurityRequirement::new("key", Vec::<String>::new())]);
    }
}

/// This description.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object))
)]
pub(super) async fn document() -> JsonResponse<utoipa::openapi::OpenApi> {
    JsonResponse(Description::openapi())
}
