//! The objects that Serval lists: teams, app instances, integrations, tickets and their links.
//!
//! Only a list proves what is not in it: an object without `data` may be anybody's error.
//!
//! Unknown fields and words are accepted, since the API grows. A null or missing text reads as an empty
//! one.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// A link between a Serval ticket and an external ticket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExternalTicketLink {
    /// The id of the link.
    #[serde(deserialize_with = "text")]
    pub id: String,
    /// The external id. For links that Serval made by itself, its form is not documented.
    #[serde(deserialize_with = "text")]
    pub external_ticket_id: String,
    /// `EXTERNAL_TICKET_SOURCE_TYPE_SERVICENOW`, `…_SLACK` and others.
    #[serde(deserialize_with = "text")]
    pub source_type: String,
    /// The connected service. It may differ from the integration id that connect takes.
    #[serde(deserialize_with = "text")]
    pub source_id: String,
    /// True if the Serval ticket was made from the external ticket.
    pub is_origin: Option<bool>,
}

/// A Serval ticket, as far as we need it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ticket {
    /// Its id.
    #[serde(deserialize_with = "text")]
    pub id: String,
    /// Its name for people, such as `ACM-10`.
    #[serde(deserialize_with = "text")]
    pub friendly_identifier: String,
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Team {
    /// Its id.
    #[serde(deserialize_with = "text")]
    pub id: String,
    /// Its name.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// Prefix of its tickets' friendly identifiers.
    #[serde(deserialize_with = "text")]
    pub prefix: String,
}

/// A system that a team has connected.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppInstance {
    /// Its id.
    #[serde(deserialize_with = "text")]
    pub id: String,
    /// Its name.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// A built-in service such as `servicenow` or `slack`.
    pub service: Option<String>,
    /// A service that the customer defined.
    pub custom_service_id: Option<String>,
}

/// An integration of an app instance; its id goes into `channel_target`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Integration {
    /// Its id, the `integrationId` of a channel target.
    #[serde(deserialize_with = "text")]
    pub id: String,
    /// The host that it calls. It distinguishes two instances of a system.
    pub api_domain: Option<String>,
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// An entry of a list. One without an id is not Serval's.
pub(super) trait Listed: DeserializeOwned {
    /// True if it has its id.
    fn is_named(&self) -> bool;
}

/// Name of a foreign answer of which an entry has no id.
pub(super) const UNNAMED: &str = "an object that has no id";

macro_rules! listed {
    ($($record:ident: $($field:ident),+;)+) => {$(
        impl Listed for $record {
            fn is_named(&self) -> bool {
                $(!self.$field.is_empty())||+
            }
        }
    )+};
}

listed! {
    // The protocol leaves out empty texts, such as the external id of an e-mail.
    ExternalTicketLink: id, external_ticket_id;
    Ticket: id;
    Team: id;
    AppInstance: id;
    Integration: id;
}

/// The envelope of a list. The protocol may leave out an empty list, or write it as null.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", bound = "T: Deserialize<'de>")]
pub(super) struct Page<T> {
    #[serde(default = "Option::default")]
    pub(super) data: Option<Vec<T>>,
    #[serde(default)]
    pub(super) next_page_token: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl<T: Listed> Page<T> {
    /// The list, or the name of what came instead.
    pub(super) fn items(self) -> Result<Vec<T>, &'static str> {
        match self.data {
            None if !self.others.is_empty() => Err("an object that has no data"),
            Some(data) if !data.iter().all(Listed::is_named) => Err(UNNAMED),
            data => Ok(data.unwrap_or_default()),
        }
    }
}

/// The envelope of a single object.
#[derive(Debug, Deserialize)]
pub(super) struct One<T> {
    pub(super) data: T,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_leniently() {
        let page: Page<ExternalTicketLink> = serde_json::from_str(
            r#"{"data":[{"id":"l1","externalTicketId":"x","ticketId":"t","sourceType":"EXTERNAL_TICKET_SOURCE_TYPE_OF_TOMORROW",
                "sourceId":null,"isOrigin":true,"url":null,"novelty":{"a":[1]}},{"id":"l2"}],"nextPageToken":null}"#,
        )
        .unwrap();
        let links = page.items().unwrap();
        assert_eq!(links[0].external_ticket_id, "x");
        assert_eq!(
            links[0].source_type,
            "EXTERNAL_TICKET_SOURCE_TYPE_OF_TOMORROW"
        );
        assert_eq!(links[0].source_id, "");
        assert_eq!(links[0].is_origin, Some(true));
        assert_eq!(links[1].external_ticket_id, "");
    }

    #[test]
    fn a_list_that_is_not_there_is_empty() {
        for body in [
            "{}",
            r#"{"data":null}"#,
            r#"{"data":[]}"#,
            r#"{"nextPageToken":""}"#,
            r#"{"data":[],"total":0}"#,
        ] {
            let page: Page<Team> = serde_json::from_str(body).unwrap();
            assert_eq!(page.items(), Ok(Vec::new()), "{body}");
        }
    }

    #[test]
    fn an_object_that_is_not_servals_proves_nothing() {
        for body in [
            r#"{"message":"Unauthorized"}"#,
            r#"{"status":404,"title":"Not Found"}"#,
            r#"{"error":{"code":404}}"#,
            r#"{"errors":["denied"]}"#,
            r#"{"result":[]}"#,
            r#"{"data":null,"detail":"denied"}"#,
            r#"{"data":[{}]}"#,
            r#"{"data":[{"id":"l1"},{"id":null,"sourceType":"x"}]}"#,
        ] {
            let page: Page<ExternalTicketLink> = serde_json::from_str(body).unwrap();
            assert!(page.items().is_err(), "{body}");
            let page: Page<Ticket> = serde_json::from_str(body).unwrap();
            assert!(page.items().is_err(), "{body}");
        }
    }
}
