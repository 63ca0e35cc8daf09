//! Sorting by author, and direct messages.

use serde_json::json;

use super::*;

#[test]
fn authors_decide_over_messages() {
    let trusting = |id: &str| Config {
        trusted_apps: vec![id.to_owned()],
        ..config()
    };
    let own = Config {
        own_ids: vec!["B9".to_owned(), "U9".to_owned()],
        trusted_apps: vec!["B9".to_owned(), "A0BRIDGE1".to_owned()],
        ..config()
    };
    let bot = ignore("bot_message");
    let profile = json!({"bot_id": "B1", "bot_profile": {"app_id": "A1"}});
    for (config, changes, expected) in [
        (config(), json!({"bot_id": "B1"}), bot),
        (config(), json!({"bot_id": 7}), bot),
        (config(), json!({"bot_id": ""}), CONNECT),
        (config(), profile.clone(), bot),
        (config(), json!({"bot_profile": {"name": "x"}}), bot),
        (
            config(),
            json!({"subtype": "file_share", "bot_id": "B1"}),
            bot,
        ),
        (trusting("A1"), profile.clone(), CONNECT),
        (trusting("B1"), profile, CONNECT),
        (
            trusting("A1"),
            json!({"bot_id": "B1", "app_id": "A1"}),
            CONNECT,
        ),
        (
            trusting("B1"),
            json!({"subtype": "bot_message", "bot_id": "B1", "user": null}),
            CONNECT,
        ),
        (trusting("B2"), json!({"bot_id": "B1"}), bot),
        (own.clone(), json!({"bot_id": "B9"}), ECHO),
        (own.clone(), json!({"user": "U9"}), ECHO),
        (
            own.clone(),
            json!({"bot_id": "B1", "app_id": "A0BRIDGE1"}),
            ECHO,
        ),
        (
            own,
            json!({"bot_id": "B1", "bot_profile": {"app_id": "A0BRIDGE1"}}),
            ECHO,
        ),
        (config(), json!({"user": "U0BRIDGE1"}), ECHO),
        (
            config(),
            json!({"user": "USLACKBOT"}),
            ignore("system_message"),
        ),
        (
            config(),
            json!({"user": "USLACK"}),
            ignore("system_message"),
        ),
        (config(), json!({"user": null}), ignore("no_author")),
        (config(), json!({"user": {"id": "U1"}}), ignore("no_author")),
        (config(), json!({"hidden": true}), ignore("hidden")),
        (config(), json!({"hidden": false}), CONNECT),
        (config(), json!({"edited": {"ts": "21.0"}}), CONNECT),
        (
            config(),
            json!({"type": "app_mention", "edited": {"ts": "21.0"}}),
            ignore("edited"),
        ),
        (
            config(),
            json!({"message": {"ts": "1.2"}}),
            ignore("thread_update"),
        ),
        (config(), json!({"message": "text"}), CONNECT),
        (config(), json!({"subtype": {}}), ignore("notice")),
        (
            config(),
            json!({"user": "U0BRIDGE1", "ts": "x"}),
            ignore("unusable_id"),
        ),
    ] {
        let event = event_of(&config, &message(&changes));
        assert_eq!(event.disposition, expected, "{changes}");
    }
    let no_bot =
        message(&json!({"user": "U0BRIDGE1"})).replace("\"is_bot\":true", "\"is_bot\":false");
    assert_eq!(event_of(&config(), &no_bot).disposition, CONNECT);
    // What neither side names is not the same.
    for (changes, nameless, expected) in [
        (json!({}), "\"api_app_id\":\"A0BRIDGE1\"", CONNECT),
        (
            json!({"user": null}),
            "\"user_id\":\"U0BRIDGE1\"",
            ignore("no_author"),
        ),
    ] {
        let body = message(&changes).replace(nameless, "\"x\":1");
        assert_eq!(event_of(&config(), &body).disposition, expected, "{body}");
    }
}

#[test]
fn direct_messages_have_a_target_of_their_own() {
    let direct = json!({"slackDm": {"integrationId": "i"}});
    let own = Config {
        direct_message_target: Some(direct.clone()),
        ..config()
    };
    let target = |config: &Config, id: &str, is_direct: bool| {
        let id = ExternalId::checked(id);
        let target = config.build(&policy()).unwrap().target(&id, is_direct);
        target.map(|target| Value::clone(&target))
    };
    for (id, is_direct, expected) in [
        ("D0PRIVATE:1.2", false, true),
        ("D0PRIVATE:1.2", true, true),
        ("C111:1.2", true, true),
        ("G111:1.2", true, true),
        ("C111:1.2", false, false),
        ("G111:1.2", false, false),
    ] {
        let found = target(&own, id, is_direct);
        assert_eq!(found, expected.then(|| direct.clone()), "{id} {is_direct}");
        assert_eq!(target(&config(), id, is_direct), None, "{id} {is_direct}");
    }
}

#[test]
fn direct_messages_connect_only_when_asked_for() {
    let asked = Config {
        direct_messages: true,
        direct_message_target: Some(json!({"slackDm": {"integrationId": "i"}})),
        ..config()
    };
    for changes in [
        json!({"channel": "D111"}),
        json!({"channel_type": "im"}),
        json!({"channel": "G111", "channel_type": "mpim"}),
        json!({"channel_type": "app_home"}),
    ] {
        let body = message(&changes);
        let ignored = event_of(&config(), &body);
        assert_eq!(ignored.disposition, ignore("direct_message"), "{changes}");
        assert_eq!(event_of(&asked, &body).disposition, CONNECT, "{changes}");
    }
    let own = message(&json!({"channel": "D111", "user": "U0BRIDGE1"}));
    assert_eq!(
        event_of(&config(), &own).disposition,
        ignore("direct_message")
    );
    assert_eq!(event_of(&asked, &own).disposition, ECHO);
    for channel_type in ["channel", "group", "C", ""] {
        let body = message(&json!({"channel": "G111", "channel_type": channel_type}));
        assert_eq!(event_of(&config(), &body).disposition, CONNECT);
    }
}
