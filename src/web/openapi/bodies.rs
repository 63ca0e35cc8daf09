//! Bodies about which the document says little: each system has its own webhooks, and a file has rows.

use serde_json::json;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// The body of a webhook, as its kind of source sends it.
pub(in crate::web) struct WebhookBody;

impl ToSchema for WebhookBody {}

impl PartialSchema for WebhookBody {
    fn schema() -> RefOr<Schema> {
        let record = json!({
            "sys_id": "6f1d0c93db2a6410c7e3f4a2ce9619aa",
            "sys_class_name": "incident",
            "number": "INC0010421",
        });
        ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .description(Some(
                "JSON: a record of a table, a list of records, or an event callback. A source of \
                 ServiceNow refuses a body without a record; one of Slack takes all JSON",
            ))
            .examples([record])
            .into()
    }
}

/// A file of mappings.
pub(in crate::web) struct CsvFile;

impl ToSchema for CsvFile {}

impl PartialSchema for CsvFile {
    fn schema() -> RefOr<Schema> {
        let file = "source,external_id,ticket_id\n\
                    servicenow,6f1d0c93db2a6410c7e3f4a2ce9619aa,9d385017-c611-4b52-9c37-3f9b2d6a1e55\n";
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("CSV with a header line"))
            .min_length(Some(1))
            .examples([json!(file)])
            .into()
    }
}
