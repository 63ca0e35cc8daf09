//! Who may write a mapping, and when: tokens with a scope, and the guard against lost updates.

use http::Method;
use reqwest::RequestBuilder;
use serde_json::json;

use crate::api_daemon::{ADMIN, Daemon, MAPPER, sys_id};

#[tokio::test]
async fn a_token_for_mappings_opens_mappings_and_nothing_else() {
    let one = format!("/mappings/servicenow/{}", sys_id(1));
    let put = json!({ "ticket_id": "t_1" }).to_string();
    let csv = "source,external_id,ticket_id\n";
    let unknown_path = [(Method::GET, "/nothing", ""), (Method::PUT, "/stats", "")];
    let mapping_calls = [
        (Method::PUT, one.as_str(), put.as_str()),
        (Method::GET, &one, ""),
        (Method::GET, "/mappings", ""),
        (Method::POST, "/mappings/import", csv),
        (Method::GET, "/mappings/export", ""),
        (Method::DELETE, &one, ""),
    ];
    let other_calls = [
        (Method::GET, "/events", ""),
        (Method::GET, "/events/evt_1", ""),
        (Method::POST, "/events/evt_1/replay", ""),
        (Method::POST, "/events/replay", "{}"),
        (Method::GET, "/stats", ""),
        (Method::POST, "/connects/resume", ""),
    ];
    let both = format!("tokens = ['{ADMIN}']\nmapping_tokens = ['{MAPPER}']");
    let mapper_alone = format!("mapping_tokens = ['{MAPPER}']");
    for (admin, has_admin) in [(&both, true), (&mapper_alone, false)] {
        let daemon = Daemon::start_with(admin).await;
        let status = async |call: &(Method, &str, &str), token: Option<&str>| {
            let (method, path, body) = call.clone();
            let request = daemon.admin(method, &format!("/api/v1{path}"));
            let request = request.header("content-type", "text/csv");
            let request = match token {
                Some(token) => request.bearer_auth(token),
                None => request,
            };
            let answer = request.body(body.to_owned()).send().await.unwrap();
            answer.status().as_u16()
        };
        for call in &mapping_calls {
            assert_eq!(status(call, None).await, 401, "{call:?}");
            assert_eq!(status(call, Some("wrong")).await, 401, "{call:?}");
            assert!(status(call, Some(MAPPER)).await < 300, "{call:?}");
        }
        for call in other_calls.iter().chain(&unknown_path) {
            assert_eq!(status(call, None).await, 401, "{call:?}");
            assert_eq!(status(call, Some(MAPPER)).await, 403, "{call:?}");
            let with_admin = status(call, Some(ADMIN)).await;
            assert_eq!(with_admin != 401, has_admin, "{call:?}");
            assert_ne!(with_admin, 403, "{call:?}");
        }
        let open = async |path| {
            let answer = daemon.admin(Method::GET, path).send().await.unwrap();
            answer.status().as_u16()
        };
        for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
            assert_eq!(open(path).await, 200, "{path}");
        }
        daemon.stop().await;
    }
}

#[tokio::test]
async fn without_tokens_the_api_is_open_to_its_own_machine() {
    let daemon = Daemon::start_with("").await;
    for path in ["/api/v1/mappings", "/api/v1/stats"] {
        let answer = daemon.admin(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    daemon.stop().await;
}

/// Status and tag.
async fn send(request: RequestBuilder) -> (u16, Option<String>) {
    let answer = request.send().await.unwrap();
    let tag = answer.headers().get("etag").cloned();
    let tag = tag.map(|tag| tag.to_str().unwrap().to_owned());
    (answer.status().as_u16(), tag)
}

#[tokio::test]
async fn two_writers_do_not_undo_each_others_work_unseen() {
    let daemon = Daemon::start().await;
    let path = format!("/mappings/servicenow/{}", sys_id(1));
    let put = |ticket_id: &str| {
        let body = json!({ "ticket_id": ticket_id }).to_string();
        daemon.api(Method::PUT, &path).body(body)
    };
    let get = || daemon.api(Method::GET, &path);
    let delete = || daemon.api(Method::DELETE, &path);

    // Nothing to match, and nothing in the way.
    assert_eq!(send(put("t_1").header("if-match", "*")).await.0, 412);
    assert_eq!(send(get()).await, (404, None));
    assert_eq!(send(delete().header("if-match", "*")).await.0, 404);
    let (status, first) = send(put("t_1").header("if-none-match", "*")).await;
    assert_eq!(status, 201);
    let first = first.unwrap();
    assert_eq!(send(get()).await, (200, Some(first.clone())));
    assert_eq!(send(put("t_2").header("if-none-match", "*")).await.0, 412);

    // The same again changes nothing, so the tag holds.
    assert_eq!(send(put("t_1")).await, (200, Some(first.clone())));

    // One of two who read the same wins.
    let (status, second) = send(put("t_2").header("if-match", &first)).await;
    assert_eq!(status, 200);
    let second = second.unwrap();
    assert_ne!(first, second);
    assert_eq!(send(put("t_3").header("if-match", &first)).await.0, 412);
    assert_eq!(send(delete().header("if-match", &first)).await.0, 412);
    let (_, third) = send(put("t_1")).await;
    assert_ne!(third.as_ref(), Some(&first), "t_1 again is not the same");
    assert_eq!(
        daemon.get(&path).await["ticket_id"],
        "t_1",
        "what was refused is not written"
    );

    // A condition that cannot be read is not taken for none.
    assert_eq!(send(put("t_4").header("if-match", "t_1")).await.0, 400);
    let list = format!("\"x\", {}", third.unwrap());
    assert_eq!(send(delete().header("if-match", list)).await.0, 204);
    assert_eq!(send(get()).await.0, 404);
    daemon.stop().await;
}

#[tokio::test]
async fn of_many_who_create_at_once_one_does() {
    let daemon = Daemon::start().await;
    let path = format!("/mappings/servicenow/{}", sys_id(1));
    let create = |n: usize| {
        let body = json!({ "ticket_id": format!("t_{n}") }).to_string();
        let request = daemon.api(Method::PUT, &path).header("if-none-match", "*");
        send(request.body(body))
    };
    let ((a, _), (b, _), (c, _), (d, _)) = tokio::join!(create(1), create(2), create(3), create(4));
    let mut statuses = [a, b, c, d];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 412, 412, 412]);
    daemon.stop().await;
}

#[tokio::test]
async fn message_ids_that_no_file_could_carry_are_refused() {
    let daemon = Daemon::start().await;
    let path = format!("/mappings/servicenow/{}", sys_id(1));
    let put = async |ids: Vec<String>| {
        let body = json!({ "ticket_id": "t", "accounted_for_message_ids": ids }).to_string();
        send(daemon.api(Method::PUT, &path).body(body)).await.0
    };
    for bad in ["", "a b", "a;b", "a\nb"] {
        assert_eq!(put(vec![bad.to_owned()]).await, 422, "{bad:?}");
    }
    assert_eq!(put(vec!["m".to_owned(); 1001]).await, 422);
    assert_eq!(put(vec!["m".repeat(256); 1000]).await, 201);
    // That is the largest mapping there can be: it makes the way through a file, too.
    let export = daemon.api(Method::GET, "/mappings/export").send().await;
    let csv = export.unwrap().text().await.unwrap();
    let (status, answer) = daemon.import("text/csv", csv).await;
    assert_eq!((status, &answer["replaced"]), (200, &json!(1)), "{answer}");
    daemon.stop().await;
}
