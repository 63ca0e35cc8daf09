//! Records of other instances, and stored bodies that are read again.

use super::*;

/// The disposition of a record in an envelope with these keys, for a source of the instance `acme`.
fn of_acme(keys: &str, columns: &str) -> Disposition {
    let config = Config {
        instance: Some(" acme ".to_owned()),
        ..config()
    };
    let body = format!(r#"{{{keys}"record":{{"sys_id":"{ID}"{columns}}}}}"#);
    let headers = HeaderMap::new();
    let request = Unverified {
        headers: &headers,
        table: Some("incident"),
        body: body.as_bytes(),
    };
    match source(&config).interpret(&request.vouched(None)) {
        Ok(Receipt::Events(events)) => events[0].disposition,
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn records_of_another_instance_are_set_aside_whatever_happened_to_them() {
    use Disposition::{Connect, Ignore, SetAside};
    let foreign = SetAside("foreign_instance");
    for (keys, columns, expected) in [
        (r#""instance":"acme","#, "", Connect),
        (r#""instance":" ACME ","#, "", Connect),
        (r#""instance":{"value":"acme"},"#, "", Connect),
        (r#""instance":"acmedev","#, "", foreign),
        (r#""instance":"acme2","operation":"delete","#, "", foreign),
        (
            r#""instance":"dev","table":"sc_req_item","#,
            r#","sys_class_name":"incident""#,
            foreign,
        ),
        (
            r#""instance":"dev","#,
            r#","sys_class_name":"problem""#,
            foreign,
        ),
        (
            r#""instance":"dev","#,
            r#","sys_updated_by":"serval.integration""#,
            foreign,
        ),
        (
            r#""instance":"dev","#,
            r#","__status":"failure""#,
            Ignore("record_error"),
        ),
        // Nothing says where these come from.
        ("", "", Connect),
        (r#""instance":"","#, "", Connect),
        (r#""instance":null,"#, "", Connect),
        (r#""instance":["dev"],"#, "", Connect),
        // A column of that name is a column.
        ("", r#","instance":"dev""#, Connect),
    ] {
        assert_eq!(of_acme(keys, columns), expected, "{keys} {columns}");
    }
    // A source that names no instance takes the records of all.
    let body = format!(r#"{{"instance":"dev","table":"incident","record":{{"sys_id":"{ID}"}}}}"#);
    assert_eq!(event(&body).disposition, Connect);
}

#[test]
fn a_stored_body_is_read_again_with_the_present_configuration() {
    let child = format!(r#"{{"sys_id":"{ID}","sys_class_name":"u_major_incident"}}"#);
    let bare = format!(r#"{{"sys_id":"{ID}"}}"#);
    let label = format!(r#"{{"sys_id":"{ID}","sys_class_name":"Schwere Störung"}}"#);
    let column =
        format!(r#"{{"sys_id":"{ID}","sys_class_name":"Störung","table":"Schwere Störung"}}"#);
    let named = format!(r#"{{"instance":"acme","table":"incident","record":{bare}}}"#);
    let dev = format!(r#"{{"instance":"dev","table":"incident","record":{bare}}}"#);
    let aliases = [
        ("u_major_incident", "incident"),
        ("Schwere Störung", "incident"),
    ];
    let aliases = aliases.map(|(alias, class)| (alias.to_owned(), class.to_owned()));
    for (body, event_type, reason, expected) in [
        (
            &child,
            "u_major_incident.update",
            "out_of_scope",
            Some("incident"),
        ),
        // The path told the class; it is not stored, but the event's type is.
        (
            &bare,
            "u_major_incident.change",
            "out_of_scope",
            Some("incident"),
        ),
        (&bare, "u_other.change", "out_of_scope", None),
        (&bare, "record.change", "unknown_class", None),
        (&label, "record.change", "unknown_class", Some("incident")),
        // No path told the class: the type of such an event names none.
        (&column, "record.change", "unknown_class", Some("incident")),
        (
            &named,
            "incident.update",
            "foreign_instance",
            Some("incident"),
        ),
        (&dev, "incident.update", "foreign_instance", None),
        // Of a batch, the name of the instance is not stored.
        (&bare, "incident.update", "foreign_instance", None),
    ] {
        let config = Config {
            instance: Some("acme".to_owned()),
            class_aliases: aliases.clone().into(),
            ..config()
        };
        let again = SourceConfig::new(KIND, policy(), config).interpret_again(&StoredBody {
            body: body.as_bytes(),
            event_type,
            reason,
        });
        let again = again.filter(|event| event.disposition == Disposition::Connect);
        let subtype = again.and_then(|event| event.subtype);
        assert_eq!(subtype, expected, "{body} {event_type} {reason}");
    }
}
