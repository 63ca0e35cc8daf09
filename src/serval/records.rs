//! What Serval lists: teams, app instances, integrations, tickets and their links.
//!
//! Unknown fields and unknown words are tolerated (the API grows), and a null or missing text reads
//! as an empty one.

use serde::{Deserialize, Deserializer, Serialize};

/// A link between a Serval ticket and a ticket elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExternalTicketLink {
    /// The link's own id.
    #[serde(deserialize_with = "text")]
    pub id: String,
    /// The id over there. For links that Serval made by itself its form is not documented.
    #[serde(deserialize_with = "text")]
    pub external_ticket_id: String,
    /// The Serval ticket.
    #[serde(deserialize_with = "text")]
    pub ticket_id: String,
    /// `EXTERNAL_TICKET_SOURCE_TYPE_SERVICENOW`, `…_SLACK` and others.
    #[serde(deserialize_with = "text")]
    pub source_type: String,
    /// The connected service; not necessarily the integration id that connect takes.
    #[serde(deserialize_with = "text")]
    pub source_id: String,
    /// Whether the Serval ticket was made from the external one.
    pub is_origin: Option<bool>,
    /// Where a person finds the external ticket.
    pub url: Option<String>,
}

/// A Serval ticket, as far as we look at it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ticket {
    /// Its id.
    #[serde(deserialize_with = "text")]
    pub id: String,
    /// Its name for people, such as `ACM-10`.
    #[serde(deserialize_with = "text")]
    pub friendly_identifier: String,
    /// Its team.
    #[serde(deserialize_with = "text")]
    pub team_id: String,
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Team {
    /// Its id.
    #[serde(deserialize_with = "text")]
    pub id: String,
    /// Its name.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// What its tickets' friendly identifiers begin with.
    #[serde(deserialize_with = "text")]
    pub prefix: String,
}

/// A system that a team has connected.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppInstance {
    /// Its id.
    #[serde(deserialize_with = "text")]
    pub id: String,
    /// Its team.
    #[serde(deserialize_with = "text")]
    pub team_id: String,
    /// Its name.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// A built-in service such as `servicenow` or `slack`.
    pub service: Option<String>,
    /// Or a service of the customer's own.
    pub custom_service_id: Option<String>,
}

/// An integration of an app instance; its id goes into `channel_target`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Integration {
    /// Its id, the `integrationId` of a channel target.
    #[serde(deserialize_with = "text")]
    pub id: String,
    /// Its app instance.
    #[serde(deserialize_with = "text")]
    pub app_instance_id: String,
    /// The host it talks to; tells two instances of a system apart.
    pub api_domain: Option<String>,
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The envelope of a list. An absent or null list is an empty one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", bound = "T: Deserialize<'de>")]
pub(super) struct Page<T> {
    #[serde(default = "Option::default")]
    pub(super) data: Option<Vec<T>>,
    #[serde(default)]
    pub(super) next_page_token: Option<String>,
}

/// The envelope of one thing.
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
                "sourceId":null,"isOrigin":true,"url":null,"novelty":{"a":[1]}},{}],"nextPageToken":null}"#,
        )
        .unwrap();
        let links = page.data.unwrap();
        assert_eq!(links[0].external_ticket_id, "x");
        assert_eq!(
            links[0].source_type,
            "EXTERNAL_TICKET_SOURCE_TYPE_OF_TOMORROW"
        );
        assert_eq!(links[0].source_id, "");
        assert_eq!(links[0].is_origin, Some(true));
        assert_eq!(links[1], ExternalTicketLink::default());
    }

    #[test]
    fn a_list_that_is_not_there_is_empty() {
        for body in ["{}", r#"{"data":null}"#, r#"{"data":[]}"#] {
            let page: Page<Team> = serde_json::from_str(body).unwrap();
            assert_eq!(page.data.unwrap_or_default(), [], "{body}");
        }
    }
}
