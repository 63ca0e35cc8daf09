//! The body of a webhook. The document says little about it: each system has its own forms.

use serde_json::json;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType};
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
                "JSON: a record of a table, a list of records, or an event callback",
            ))
            .examples([record])
            .into()
    }
}
