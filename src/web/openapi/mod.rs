//! Builds the OpenAPI 3.1 document out of the descriptions of the routes.

mod bodies;
mod texts;

pub(super) use bodies::{CsvFile, WebhookBody};

use utoipa::PartialSchema as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, Info, License, OpenApi, Ref, RefOr, ResponseBuilder, Server, ServerBuilder,
};

use super::api;
use super::problem::{LineFault, Problem};

/// Name of the security scheme.
const BEARER: &str = "bearer";

/// Descriptions of all routes.
pub(super) struct Groups {
    pub(super) for_mappings: OpenApi,
    pub(super) for_all: OpenApi,
    pub(super) open_admin: OpenApi,
    pub(super) public: OpenApi,
}

/// Describes both listeners in one document.
pub(super) fn describe(groups: Groups) -> OpenApi {
    let Groups {
        for_mappings: mut api,
        mut for_all,
        open_admin: mut document,
        mut public,
    } = groups;
    for group in [&mut api, &mut for_all] {
        group
            .paths
            .paths
            .values_mut()
            .for_each(|item| refuse(item, &API_REFUSALS));
    }
    api.merge(for_all);
    document.info = info();
    document = document.nest(api::PREFIX, api);
    document.servers = Some(vec![server("http://127.0.0.1:8081", "admin.listen")]);
    for (path, item) in &mut public.paths.paths {
        let mut servers = vec![server("http://127.0.0.1:8080", "server.listen")];
        if let Some(shared) = document.paths.paths.get_mut(path) {
            // A path on both listeners is described once, with the addresses of both.
            servers.extend(document.servers.iter().flatten().cloned());
            shared.servers = Some(servers);
        } else {
            refuse(item, &WEBHOOK_REFUSALS);
            item.servers = Some(servers);
        }
    }
    document.merge(public);

    for item in document.paths.paths.values_mut() {
        operations(item).for_each(|operation| {
            complete(operation);
            texts::of_parameters(operation);
        });
    }
    let components = document.components.get_or_insert_default();
    let line_fault = ("LineFault".to_owned(), LineFault::schema());
    let problem = ("Problem".to_owned(), Problem::schema());
    components.schemas.extend([line_fault, problem]);
    for schema in components.schemas.values_mut() {
        if let RefOr::T(schema) = schema {
            texts::of_schema(schema);
        }
    }
    let bearer = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "One of `admin.tokens`. Below `/api/v1/mappings` also one of `admin.mapping_tokens`; for GET \
             also one of `admin.read_only_tokens`. If no token is configured, none is needed.",
        ));
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer.build()));
    document.security = Some(vec![SecurityRequirement::new(BEARER, [""; 0])]);
    document
}

fn info() -> Info {
    let mut info = Info::new("serval-connect", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "Receives webhooks of ServiceNow and Slack, and makes connect calls to Serval. Errors are \
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
        .description(Some(format!("Default of `{key}`")))
        .build()
}

/// Refusals of all routes of the API.
const API_REFUSALS: [(&str, &str); 4] = [
    ("401", "The token is missing or unknown"),
    ("403", "The token does not allow this"),
    (
        "415",
        "The body is compressed, or its content type is not accepted",
    ),
    (
        "503",
        "The database is not available, there are too many requests at once, or Serval had to be asked and gave no \
         answer",
    ),
];

/// Refusals of all webhooks.
const WEBHOOK_REFUSALS: [(&str, &str); 8] = [
    ("400", "The body is not JSON, or holds no record"),
    ("401", "Authentication is missing, wrong or stale"),
    ("404", "No such source"),
    ("408", "The body took too long to arrive"),
    ("413", "The body is too large"),
    ("415", "The body is compressed"),
    ("422", "ServiceNow: a record without a usable sys_id"),
    (
        "503",
        "It could not be stored, or there are too many webhooks at once; send it again",
    ),
];

/// Adds refusals to all operations of a path.
fn refuse(item: &mut PathItem, refusals: &[(&str, &str)]) {
    for operation in operations(item) {
        for (status, description) in refusals {
            let refusal = ResponseBuilder::new().description(*description).build();
            let responses = &mut operation.responses.responses;
            responses.insert((*status).to_owned(), refusal.into());
        }
    }
}

/// Gives every error without content the content type of a problem, and every response a description,
/// which OpenAPI 3.1 requires.
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
