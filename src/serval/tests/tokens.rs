use std::time::Duration;

use super::{bearer_config, client, config, connect, connect_request, faults, mock, try_client};
use crate::rehearsal::mock_serval::{Endpoint, MockConfig};
use crate::serval::{Refusal, ServalError};

#[tokio::test]
async fn fifty_callers_share_one_fetch() {
    let mock = mock(MockConfig {
        faults: faults(&["latency=100ms,path=token"]),
        ..MockConfig::default()
    })
    .await;
    let client = client(&mock);
    let mut callers = tokio::task::JoinSet::new();
    for n in 0..50 {
        let client = client.clone();
        callers.spawn(async move { connect(&client, &connect_request(&format!("t{n}"))).await });
    }
    let answers = callers.join_all().await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(mock.look(|journal| journal.token_count), 1);
    assert_eq!(mock.look(|journal| journal.connected_count), 50);
    assert_eq!(client.tokens().fetches(), 1);
}

#[tokio::test]
async fn a_token_is_renewed_ahead_of_its_end() {
    let mock = mock(MockConfig {
        expires_in: Some(1),
        ..MockConfig::default()
    })
    .await;
    let client = client(&mock);
    let first = client.tokens().token().await.unwrap();
    // In the last fifth of its life, while it is still good.
    tokio::time::sleep(Duration::from_millis(820)).await;
    let second = client.tokens().token().await.unwrap();
    assert_ne!(first.header, second.header);
    assert_eq!(client.tokens().fetches(), 2);
    connect(&client, &connect_request("t")).await.unwrap();
    assert_eq!(mock.look(|journal| journal.token_count), 2);
}

#[tokio::test]
async fn a_failed_renewal_does_not_cost_a_token_that_is_still_good() {
    let mock = mock(MockConfig {
        expires_in: Some(2),
        ..MockConfig::default()
    })
    .await;
    let client = client(&mock);
    client.tokens().token().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1650)).await;
    mock.set_faults(faults(&["503,path=token"]));
    client.tokens().token().await.unwrap();
    assert_eq!(client.tokens().fetches(), 2);
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(client.tokens().token().await.is_err(), "now it is over");
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_the_call_made_again() {
    let mock = mock(MockConfig::default()).await;
    let client = client(&mock);
    connect(&client, &connect_request("a")).await.unwrap();
    mock.revoke_tokens();
    connect(&client, &connect_request("b")).await.unwrap();
    assert_eq!(mock.look(|journal| journal.token_count), 2);
    assert_eq!(
        mock.look(|journal| journal.requests_to(Endpoint::Connect)),
        3
    );
    assert_eq!(mock.look(|journal| journal.connect_count), 2);
}

#[tokio::test]
async fn a_401_with_a_fresh_token_is_a_matter_of_credentials() {
    for (fault, asked, tokens, calls) in [
        ("401", None, 2, 2),
        ("401,retry_after=0", Some(Duration::ZERO), 2, 2),
        // A new token is no reason to call earlier.
        ("401,retry_after=60", Some(Duration::from_mins(1)), 1, 1),
    ] {
        let mock = mock(MockConfig {
            faults: faults(&[fault]),
            ..MockConfig::default()
        })
        .await;
        let client = client(&mock);
        let error = connect(&client, &connect_request("t")).await.unwrap_err();
        assert!(
            matches!(
                error,
                ServalError::CredentialsRefused(Refusal { status: 401, .. })
            ),
            "{error}"
        );
        assert_eq!(error.retry_after(), asked);
        let made = mock.look(|journal| {
            let calls = journal.requests_to(Endpoint::Connect);
            (journal.token_count, calls)
        });
        assert_eq!(made, (tokens, calls), "{fault}");
        // The first token is not used again.
        mock.set_faults(Vec::new());
        connect(&client, &connect_request("t")).await.unwrap();
        assert_eq!(mock.look(|journal| journal.token_count), 2, "{fault}");
    }
}

#[tokio::test]
async fn fifty_callers_with_a_refused_token_share_one_new_one() {
    let mock = mock(MockConfig::default()).await;
    let client = client(&mock);
    client.tokens().token().await.unwrap();
    mock.revoke_tokens();
    let mut callers = tokio::task::JoinSet::new();
    for n in 0..50 {
        let client = client.clone();
        callers.spawn(async move { connect(&client, &connect_request(&format!("t{n}"))).await });
    }
    assert!(callers.join_all().await.iter().all(Result::is_ok));
    assert_eq!(mock.look(|journal| journal.token_count), 2);
}

#[tokio::test]
async fn wrong_credentials_are_tried_once_however_many_wait() {
    let mock = mock(MockConfig::default()).await;
    let mut config = config(&mock.base_url());
    config.client_secret = Some("not-the-secret".to_owned().into());
    let client = try_client(&config).unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let client = client.clone();
        callers.spawn(async move { connect(&client, &connect_request("t")).await });
    }
    for outcome in callers.join_all().await {
        let error = outcome.unwrap_err();
        assert!(
            matches!(
                error,
                ServalError::CredentialsRefused(Refusal { status: 401, .. })
            ),
            "{error}"
        );
        assert!(!error.summary().contains("not-the-secret"));
    }
    assert_eq!(mock.look(|journal| journal.token_count), 1);
}

#[tokio::test]
async fn a_token_endpoint_that_comes_back_is_asked_again_within_two_seconds() {
    let mock = mock(MockConfig {
        faults: faults(&["503,retry_after=1,path=token,count=1"]),
        ..MockConfig::default()
    })
    .await;
    let client = client(&mock);
    for _ in 0..5 {
        let error = connect(&client, &connect_request("t")).await.unwrap_err();
        assert!(matches!(error, ServalError::NoToken(_)), "{error}");
        assert_eq!(error.status(), Some(503));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
        assert!(!error.may_have_arrived());
    }
    assert_eq!(mock.look(|journal| journal.token_count), 1);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    connect(&client, &connect_request("t")).await.unwrap();
    assert_eq!(mock.look(|journal| journal.token_count), 2);
}

#[tokio::test]
async fn a_401_of_somebody_else_is_no_word_on_our_credentials() {
    let mock = mock(MockConfig::default()).await;
    for fault in [
        "401,dialect=html",
        "401,dialect=json",
        "401,dialect=empty,path=token",
        "403,dialect=html,path=token",
        "400,dialect=text,path=token",
    ] {
        let client = client(&mock);
        mock.set_faults(faults(&[fault]));
        let error = connect(&client, &connect_request("t")).await.unwrap_err();
        let of_token = fault.contains("path=token");
        let is_foreign = match &error {
            ServalError::NoToken(cause) if of_token => matches!(**cause, ServalError::Foreign(_)),
            ServalError::Foreign(_) => !of_token,
            ServalError::Refused(_)
            | ServalError::CredentialsRefused(_)
            | ServalError::NoToken(_)
            | ServalError::Network { .. } => false,
        };
        assert!(is_foreign, "{fault}: {error:?}");
    }
}

#[tokio::test]
async fn credentials_are_good_when_a_call_with_them_is_answered_whatever_the_answer() {
    let mock = mock(MockConfig {
        bearer_token: Some("static-token".to_owned().into()),
        ..MockConfig::default()
    })
    .await;
    let with_client_credentials = client(&mock);
    let with_a_token = try_client(&bearer_config(&mock.base_url(), "static-token")).unwrap();
    for client in [with_client_credentials, with_a_token] {
        for (fault, is_good) in [
            ("latency=1ms", true),
            // It knows us, if not with the right to list teams.
            ("403,path=directory", true),
            ("404,path=directory", true),
            ("404,path=directory,dialect=html", false),
            ("403,path=directory,dialect=json", false),
            ("401,path=directory", false),
            ("429,path=directory", false),
            ("503,path=directory", false),
            ("reset,path=directory", false),
        ] {
            mock.set_faults(faults(&[fault]));
            let checked = client.check_access().await;
            assert_eq!(checked.is_ok(), is_good, "{fault}: {checked:?}");
            let is_refused = matches!(checked, Err(ServalError::CredentialsRefused(_)));
            assert_eq!(is_refused, fault.starts_with("401"), "{fault}");
        }
    }
}

#[tokio::test]
async fn a_static_token_is_used_as_it_is_and_not_replaced() {
    let mock = mock(MockConfig {
        bearer_token: Some("static-token".to_owned().into()),
        ..MockConfig::default()
    })
    .await;
    let good = try_client(&bearer_config(&mock.base_url(), "static-token")).unwrap();
    good.check_credentials().await.unwrap();
    connect(&good, &connect_request("t")).await.unwrap();
    let bad = try_client(&bearer_config(&mock.base_url(), "wrong-token")).unwrap();
    for outcome in [
        bad.check_credentials().await,
        connect(&bad, &connect_request("t")).await.map(drop),
    ] {
        let error = outcome.unwrap_err();
        assert!(
            matches!(error, ServalError::CredentialsRefused(_)),
            "{error}"
        );
    }
    assert_eq!(mock.look(|journal| journal.token_count), 0);
    assert_eq!(
        mock.look(|journal| journal.requests_to(Endpoint::Connect)),
        2
    );
}
