use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::{CONNECT, Stage};
use crate::rehearsal::mock_serval::{
    Dialect, Endpoint, Message, MockConfig, MockServal, Repeat, TEAM,
};

#[tokio::test]
async fn tokens_need_basic_and_the_form_and_are_good_until_they_end() {
    let stage = Stage::set(MockConfig {
        expires_in: Some(1),
        ..MockConfig::default()
    })
    .await;
    let url = format!("{}/v2/auth/token", stage.mock.base_url());
    let form = "application/x-www-form-urlencoded";
    for (secret, content_type, body, status) in [
        ("mock-secret", form, "grant_type=client_credentials", 200),
        ("wrong", form, "grant_type=client_credentials", 401),
        (
            "mock-secret",
            "application/json",
            "grant_type=client_credentials",
            400,
        ),
        ("mock-secret", form, "grant_type=password", 400),
        ("mock-secret", form, "", 400),
    ] {
        let response = stage
            .http
            .post(&url)
            .basic_auth("mock-client", Some(secret))
            .header("content-type", content_type)
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(
            response.status().as_u16(),
            status,
            "{secret} {content_type} {body}"
        );
    }
    let answer: serde_json::Value = stage
        .http
        .post(&url)
        .basic_auth("mock-client", Some("mock-secret"))
        .form(&[("grant_type", "client_credentials")])
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["expires_in"], 1);
    let teams = || {
        stage
            .http
            .get(format!("{}/v2/teams", stage.mock.base_url()))
            .bearer_auth(answer["access_token"].as_str().unwrap())
            .send()
    };
    assert_eq!(teams().await.unwrap().status(), 200);
    tokio::time::sleep(Duration::from_millis(1050)).await;
    assert_eq!(teams().await.unwrap().status(), 401);
    let bodies = stage.mock.requests();
    assert!(bodies.iter().all(|request| request.body.is_empty()));
}

#[tokio::test]
async fn a_call_without_a_good_token_is_refused_and_only_noted() {
    let stage = Stage::set(MockConfig::default()).await;
    let url = format!("{}/v2/tickets/t/connect", stage.mock.base_url());
    for token in [None, Some("wrong")] {
        let mut request = stage.http.post(&url).body(CONNECT);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        assert_eq!(request.send().await.unwrap().status(), 401);
    }
    assert_eq!(stage.mock.connects().len(), 0);
    let requests = stage.mock.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests.iter().all(|request| !request.authorised));
    assert_eq!(requests[1].number, 2);
    assert_eq!(requests[1].endpoint, Endpoint::Connect);
    assert_eq!(requests[1].ticket_id.as_deref(), Some("t"));
}

#[tokio::test]
async fn a_connect_makes_one_link_and_disconnect_removes_it() {
    let stage = Stage::set(MockConfig::default()).await;
    for _ in 0..2 {
        let answer = stage.connect("a%20b", CONNECT).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.unwrap(), "{}");
    }
    let (_, body) = stage.get("/v2/tickets/a%20b/external-tickets").await;
    assert_eq!(body["data"].as_array().unwrap().len(), 1);
    assert_eq!(body["data"][0]["ticketId"], "a b");
    assert_eq!(body["data"][0]["externalTicketId"], "x");
    let connects = stage.mock.connects();
    assert_eq!(connects[1].object.as_deref(), Some(r#"{"n":1.0}"#));
    assert_eq!(connects[1].body, CONNECT);

    for status in [200, 404] {
        let request = stage.request("DELETE", "/v2/tickets/a%20b/disconnect/i");
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    assert_eq!(stage.mock.links(), []);
}

#[tokio::test]
async fn what_a_repeat_answers_can_be_chosen() {
    let stage = Stage::set(MockConfig {
        repeat: Repeat::Conflict,
        dialect: Dialect::Numeric,
        ..MockConfig::default()
    })
    .await;
    assert_eq!(stage.connect("t", CONNECT).await.unwrap().status(), 200);
    let repeat = stage.connect("t", CONNECT).await.unwrap();
    assert_eq!(repeat.status(), 409);
    let body: serde_json::Value = repeat.json().await.unwrap();
    assert_eq!(body["code"], 6);
    assert_eq!(stage.connect("u", CONNECT).await.unwrap().status(), 200);
}

#[tokio::test]
async fn tickets_exist_unless_they_are_said_not_to() {
    let stage = Stage::set(MockConfig {
        known_tickets: Some(BTreeSet::from(["a".to_owned(), "b".to_owned()])),
        unknown_tickets: BTreeSet::from(["b".to_owned()]),
        ..MockConfig::default()
    })
    .await;
    for (ticket, status) in [("a", 200), ("b", 404), ("c", 404)] {
        assert_eq!(stage.get(&format!("/v2/tickets/{ticket}")).await.0, status);
        let links = stage
            .get(&format!("/v2/tickets/{ticket}/external-tickets"))
            .await;
        assert_eq!(links.0, status);
        assert_eq!(
            stage.connect(ticket, CONNECT).await.unwrap().status(),
            status
        );
    }
    stage.mock.add_ticket("b");
    let (_, list) = stage.get(&format!("/v2/tickets?teamId={TEAM}")).await;
    let ids: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["id"])
        .collect();
    assert_eq!(ids, ["a", "b"]);
    let (_, list) = stage.get("/v2/tickets?teamId=another").await;
    assert_eq!(list["data"], json!([]));
}

#[tokio::test]
async fn messages_come_in_pages_and_are_checked_by_connect() {
    let message = |id: &str| Message {
        id: id.to_owned(),
        content: "hello".to_owned(),
    };
    let stage = Stage::set(MockConfig::default()).await;
    stage
        .mock
        .set_messages("t", vec![message("m1"), message("m2"), message("m3")]);
    let (_, first) = stage.get("/v2/tickets/t/messages?pageSize=2").await;
    assert_eq!(first["data"][1]["id"], "m2");
    let next = first["nextPageToken"].as_str().unwrap();
    let (_, second) = stage
        .get(&format!(
            "/v2/tickets/t/messages?pageSize=2&pageToken={next}"
        ))
        .await;
    assert_eq!(second["data"][0]["id"], "m3");
    assert_eq!(second["nextPageToken"], json!(null));
    assert_eq!(
        stage.get("/v2/tickets/t/messages?pageToken=zzz").await.0,
        400
    );

    for (id, status) in [("m1", 200), ("m9", 400)] {
        let body = format!(
            r#"{{"channelTarget":{{"email":{{}}}},"externalTicketId":"x","accountedForMessageIds":["{id}"]}}"#
        );
        assert_eq!(stage.connect("t", &body).await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn external_messages_are_checked_and_given_back() {
    let stage = Stage::set(MockConfig::default()).await;
    let message = json!({"messageId": "m", "externalMessageId": "e", "externalMessageData": {}});
    for (body, status) in [
        (
            json!({"channelTarget": {"email": {}}, "messages": [message]}),
            200,
        ),
        (json!({"channelTarget": 1, "messages": []}), 400),
        (json!({"messages": []}), 400),
        (
            json!({"channelTarget": {}, "messages": [{"messageId": "m"}]}),
            400,
        ),
    ] {
        let request = stage.request("POST", "/v2/tickets/t/external-messages");
        let answer = request.json(&body).send().await.unwrap();
        assert_eq!(answer.status(), status, "{body}");
    }
}

#[tokio::test]
async fn the_journal_keeps_the_newest_and_counts_all() {
    let stage = Stage::set(MockConfig {
        keep: 3,
        ..MockConfig::default()
    })
    .await;
    for n in 0..5 {
        stage.connect(&format!("t{n}"), CONNECT).await.unwrap();
    }
    let tickets: Vec<_> = stage
        .mock
        .connects()
        .into_iter()
        .map(|c| c.ticket_id)
        .collect();
    assert_eq!(tickets, ["t2", "t3", "t4"]);
    assert_eq!(stage.mock.look(|journal| journal.connected_count), 5);

    let (_, listed) = stage.get("/_connects").await;
    assert_eq!(listed["data"][2]["ticket_id"], "t4");
    let (_, listed) = stage.get("/_requests").await;
    assert_eq!(listed["data"][2]["number"], 5);
    assert_eq!(listed["data"][2]["body"], CONNECT);
    stage.request("DELETE", "/_requests").send().await.unwrap();
    assert_eq!(stage.mock.look(|journal| journal.request_count), 0);
}

#[tokio::test]
async fn a_wait_ends_when_it_may_and_when_it_must() {
    let stage = Stage::set(MockConfig::default()).await;
    let wait = stage.mock.wait_for(Duration::from_secs(5), |journal| {
        journal.connected_count == 2
    });
    let calls = async {
        for _ in 0..2 {
            stage.connect("t", CONNECT).await.unwrap();
        }
    };
    let (arrived, ()) = tokio::join!(wait, calls);
    assert!(arrived);
    let never = stage.mock.wait_for(Duration::from_millis(50), |_| false);
    assert!(!never.await);
}

#[tokio::test]
async fn a_stopped_stand_in_frees_its_port_even_with_calls_hanging() {
    let stage = Stage::set(MockConfig {
        faults: vec!["hang,path=all".parse().unwrap()],
        ..MockConfig::default()
    })
    .await;
    let addr = stage.mock.addr();
    let request = stage.request("GET", "/v2/teams").send();
    let stop = async {
        assert!(
            stage
                .mock
                .wait_for(Duration::from_secs(5), |j| j.request_count == 1)
                .await
        );
        stage.mock.stop().await;
    };
    let (outcome, ()) = tokio::join!(request, stop);
    assert!(!outcome.unwrap_err().is_timeout(), "it was cut, not left");
    let again = MockServal::start(MockConfig {
        listen: addr,
        ..MockConfig::default()
    });
    assert_eq!(again.await.unwrap().addr(), addr);
}
