//! The description of both listeners as an OpenAPI 3.1 document, generated from the routes.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::PartialSchema as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, Info, License, OpenApi, Ref, RefOr, ResponseBuilder, Server, ServerBuilder,
};

use super::api;
use super::problem::ProblemBody;

/// The name of the security scheme.
const BEARER: &str = "bearer";

/// The document as it is served, printed and checked in.
pub fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
        let json = described().to_pretty_json();
        json.expect("the description is made of strings and numbers") + "\n"
    });
    &DOCUMENT
}

/// The description of both listeners
///
/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "get_openapi",
    tag = "health",
    responses((status = 200, body = Object)),
    security(())
)]
pub(super) async fn serve() -> Response {
    ([(CONTENT_TYPE, "application/json")], document()).into_response()
}

fn described() -> OpenApi {
    let mut api = api::for_mappings().into_openapi();
    let refusals = [
        TOKEN_MISSING,
        TOKEN_TOO_NARROW,
        PACKED,
        THROTTLED,
        UNAVAILABLE,
    ];
    refuse(&mut api, &refusals);
    let mut rest = api::for_all().into_openapi();
    refuse(&mut rest, &refusals);
    api.merge(rest);

    let mut document = super::open_admin_routes().into_openapi();
    document.info = info();
    document = document.nest(api::PREFIX, api);
    document.servers = Some(vec![server("http://127.0.0.1:8081", "admin.listen")]);
    let mut public = super::public_routes().into_openapi();
    for (path, item) in &mut public.paths.paths {
        // What both listeners have is described once, with the addresses of both.
        let mut servers = vec![server("http://127.0.0.1:8080", "server.listen")];
        if let Some(shared) = document.paths.paths.get_mut(path) {
            servers.extend(document.servers.iter().flatten().cloned());
            shared.servers = Some(servers);
        } else {
            item.servers = Some(servers);
        }
    }
    document.merge(public);

    for item in document.paths.paths.values_mut() {
        operations(item).for_each(complete);
    }
    let components = document.components.get_or_insert_default();
    let line_fault = ("LineFault".to_owned(), super::problem::LineFault::schema());
    let problem = ("Problem".to_owned(), ProblemBody::schema());
    components.schemas.extend([line_fault, problem]);
    let bearer = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "One of `admin.tokens`; of `admin.mapping_tokens` for what is below `/api/v1/mappings`; of \
             `admin.read_only_tokens` for GET. None is needed where none is configured.",
        ));
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer.build()));
    document.security = Some(vec![SecurityRequirement::new(BEARER, [""; 0])]);
    document
}

fn info() -> Info {
    let mut info = Info::new("serval-connect", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "Webhooks of ServiceNow and Slack in, connect calls to Serval out. Errors are \
         `application/problem+json`, lists have `data` and `next_cursor`, times are RFC 3339 in UTC."
            .to_owned(),
    );
    let mut license = License::new(env!("CARGO_PKG_LICENSE"));
    license.identifier = Some(env!("CARGO_PKG_LICENSE").to_owned());
    info.license = Some(license);
    info
}

fn server(url: &str, key: &str) -> Server {
    ServerBuilder::new()
        .url(url)
        .description(Some(format!("`{key}` as it is by default")))
        .build()
}

const TOKEN_MISSING: (&str, &str) = ("401", "The token is missing, or none of ours");
const TOKEN_TOO_NARROW: (&str, &str) = ("403", "The token may not do this");
const PACKED: (&str, &str) = (
    "415",
    "The body is compressed, or of a kind that is not taken",
);
const THROTTLED: (&str, &str) = ("429", "Too many wrong tokens came from this address");
const UNAVAILABLE: (&str, &str) = (
    "503",
    "The database does not take this now, or there are too many calls at once",
);

/// Adds the refusals that a group of routes has in common.
fn refuse(openapi: &mut OpenApi, refusals: &[(&str, &str)]) {
    let items = openapi.paths.paths.values_mut();
    for operation in items.flat_map(operations) {
        for (status, description) in refusals {
            let refusal = ResponseBuilder::new().description(*description).build();
            let responses = &mut operation.responses.responses;
            responses.insert((*status).to_owned(), refusal.into());
        }
    }
}

/// Says of all errors without a content of their own that they are problems, and describes what
/// needs no description, because OpenAPI 3.1 asks for one.
fn complete(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else {
            continue;
        };
        if response.description.is_empty() {
            "Done".clone_into(&mut response.description);
        }
        if status.as_str() >= "400" && response.content.is_empty() {
            let problem = Ref::from_schema_name("Problem");
            let content = ContentBuilder::new().schema(Some(problem)).build();
            let kind = "application/problem+json".to_owned();
            response.content.insert(kind, content.into());
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let ours = [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
    ];
    ours.into_iter().flatten()
}
