use std::collections::BTreeSet;

use super::{
    SYS_ID, bearer_config, client, config, connect, connect_request, faults, mock, try_client,
};
use crate::rehearsal::mock_serval::{MockConfig, Repeat, SERVICENOW_INTEGRATION, TEAM};
use crate::serval::{Code, ServalError};

#[tokio::test]
async fn a_connect_arrives_as_it_was_written_and_shows_in_the_links() {
    let mock = mock(MockConfig::default()).await;
    let client = client(&mock);
    let request = connect_request("tkt~!$&'()*+,;=:@");
    let answer = connect(&client, &request).await.unwrap();
    assert_eq!(answer.status, 200);

    let connects = mock.connects();
    assert_eq!(connects.len(), 1);
    assert_eq!(connects[0].ticket_id, request.ticket_id.as_str());
    assert_eq!(connects[0].external_id, SYS_ID);
    assert_eq!(connects[0].body, request.body());
    assert_eq!(
        connects[0].object.as_deref(),
        Some(r#"{"sys_id":"x", "n":1.0}"#)
    );
    assert_eq!(connects[0].subtype.as_deref(), Some("incident"));
    assert_eq!(connects[0].answered, Some(200));

    let links = client.external_tickets(&request.ticket_id).await.unwrap();
    assert_eq!(links.len(), 1);
    assert_eq!(links[0].external_ticket_id, SYS_ID);
    assert_eq!(
        links[0].source_type,
        "EXTERNAL_TICKET_SOURCE_TYPE_SERVICENOW"
    );
    assert_eq!(links[0].source_id, "int-1");
}

#[tokio::test]
async fn refusals_keep_their_code_in_every_dialect() {
    let mock = mock(MockConfig {
        unknown_tickets: BTreeSet::from(["gone".to_owned()]),
        repeat: Repeat::Conflict,
        ..MockConfig::default()
    })
    .await;
    let client = client(&mock);
    let error = connect(&client, &connect_request("gone"))
        .await
        .unwrap_err();
    assert_eq!(error.status(), Some(404));
    assert_eq!(error.code(), Some(Code::NotFound));
    assert!(!error.may_have_arrived());

    connect(&client, &connect_request("t")).await.unwrap();
    let error = connect(&client, &connect_request("t")).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::AlreadyExists));

    for dialect in ["string", "numeric"] {
        mock.set_faults(faults(&[&format!(
            "status=429,retry_after=date:7,dialect={dialect}"
        )]));
        let error = connect(&client, &connect_request("t")).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::ResourceExhausted), "{dialect}");
        let wait = error.retry_after().unwrap().as_secs_f64();
        // An HTTP date has no fractions of a second.
        assert!((4.0..=7.0).contains(&wait), "{dialect}: {wait}");
    }
}

#[tokio::test]
async fn an_unknown_ticket_is_none_and_a_fault_is_not() {
    let mock = mock(MockConfig {
        unknown_tickets: BTreeSet::from(["gone".to_owned()]),
        ..MockConfig::default()
    })
    .await;
    let client = client(&mock);
    let gone = "gone".parse().unwrap();
    let here = "here".parse().unwrap();
    assert_eq!(client.ticket(&gone).await.unwrap(), None);
    let ticket = client.ticket(&here).await.unwrap().unwrap();
    assert_eq!(ticket.id, "here");
    assert!(ticket.friendly_identifier.starts_with("ACM-"));
    for (fault, none) in [
        ("404,dialect=numeric,path=tickets", true),
        ("404,dialect=text,path=tickets", false),
        ("404,dialect=html,path=tickets", false),
        ("404,dialect=json,path=tickets", false),
        ("400,path=tickets", true),
        ("403,path=tickets", false),
        ("503,path=tickets", false),
    ] {
        mock.set_faults(faults(&[fault]));
        assert_eq!(client.ticket(&here).await.is_ok(), none, "{fault}");
    }
}

#[tokio::test]
async fn a_call_that_names_nothing_and_is_not_found_is_not_offered() {
    let mock = mock(MockConfig {
        faults: faults(&["404,path=directory"]),
        ..MockConfig::default()
    })
    .await;
    let client = client(&mock);
    let error = client.teams().await.unwrap_err();
    assert_eq!(error.code(), Some(Code::Unimplemented), "{error}");
    assert!(error.brief().contains("/v2/teams)"), "{error}");
    let error = client.app_instances("team").await.unwrap_err();
    assert_eq!(error.code(), Some(Code::Unimplemented), "{error}");
    let error = client.integrations("app").await.unwrap_err();
    assert_eq!(
        error.code(),
        Some(Code::NotFound),
        "it names an app: {error}"
    );
}

#[tokio::test]
async fn the_directory_leads_to_the_integration_id() {
    let mock = mock(MockConfig::default()).await;
    let client = client(&mock);
    client.check_credentials().await.unwrap();
    let teams = client.teams().await.unwrap();
    assert_eq!(teams[0].id, TEAM);
    let apps = client.app_instances(&teams[0].id).await.unwrap();
    let servicenow = apps
        .iter()
        .find(|app| app.service.as_deref() == Some("servicenow"))
        .unwrap();
    let integrations = client.integrations(&servicenow.id).await.unwrap();
    assert_eq!(integrations[0].id, SERVICENOW_INTEGRATION);
    assert_eq!(client.app_instances("another&team").await.unwrap(), []);
    assert!(client.integrations("no/such?app").await.is_err());
}

#[tokio::test]
async fn a_base_url_may_have_a_path_and_a_slash() {
    let mock = mock(MockConfig::default()).await;
    for suffix in ["", "/"] {
        let config = config(&format!("{}{suffix}", mock.base_url()));
        try_client(&config).unwrap().teams().await.unwrap();
    }
    // The stand-in has no such path: what matters is where the token request went.
    let config = config(&format!("{}/serval/api/", mock.base_url()));
    let error = try_client(&config).unwrap().teams().await.unwrap_err();
    assert!(matches!(error, ServalError::NoToken(_)), "{error}");
    let named = format!("POST {}/serval/api/v2/auth/token", mock.base_url());
    assert!(error.brief().contains(&named), "{error}");
    assert_eq!(error.status(), Some(404));
    assert_eq!(error.code(), None, "it is no word about a ticket");
}

#[test]
fn a_client_is_not_built_from_nonsense() {
    let mut without = config("https://serval.example");
    without.client_id = None;
    without.client_secret = None;
    let mut half = config("https://serval.example");
    half.client_secret = None;
    for (config, key) in [
        (config(""), "serval.base_url"),
        (config("serval.example"), "serval.base_url"),
        (config("ftp://serval.example"), "serval.base_url"),
        (
            config("https://user:hunter2@serval.example"),
            "serval.base_url",
        ),
        (config("https://serval.example/?a=b"), "serval.base_url"),
        (
            bearer_config("https://serval.example", "a\nb"),
            "serval.bearer_token",
        ),
        (without, "serval.client_id"),
        (half, "serval.client_secret"),
    ] {
        let error = try_client(&config).unwrap_err().to_string();
        assert!(error.starts_with(key), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
