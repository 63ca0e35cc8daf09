//! Classes that are not known, and their aliases.

use super::*;

#[test]
fn a_class_that_is_not_known_may_need_an_alias_where_it_can_be_a_child_of_ours() {
    const NONE: Witnesses<'_> = Witnesses {
        class_name: None,
        table: None,
        wrapper: None,
        path: None,
        column: None,
        number: None,
    };
    let of = |class_name| Witnesses {
        class_name: Some(class_name),
        ..NONE
    };
    for (witnesses, expected) in [
        // A class of the customer's own, by its name alone.
        (of("u_major_incident"), true),
        (of("X_ACME_ITEM"), true),
        (
            Witnesses {
                table: Some("u_major_incident"),
                ..NONE
            },
            true,
        ),
        (
            Witnesses {
                path: Some("x_acme_item"),
                ..NONE
            },
            true,
        ),
        (
            Witnesses {
                column: Some("u_item"),
                ..NONE
            },
            true,
        ),
        // Another one, if something around the record names one of ours.
        (of("incident_of_acme"), false),
        (
            Witnesses {
                table: Some("incident"),
                ..of("incident_of_acme")
            },
            true,
        ),
        (
            Witnesses {
                path: Some("sc_req_item"),
                ..of("incident_of_acme")
            },
            true,
        ),
        (
            Witnesses {
                wrapper: Some(Class::Incident),
                ..of("incident_of_acme")
            },
            true,
        ),
        (
            Witnesses {
                number: Some("INC0001"),
                ..of("incident_of_acme")
            },
            true,
        ),
        (
            Witnesses {
                number: Some("CHG0001"),
                ..of("incident_of_acme")
            },
            false,
        ),
        // Columns speak of another record.
        (
            Witnesses {
                column: Some("incident"),
                ..of("contract_sla")
            },
            false,
        ),
        // What is known to be another class, needs none.
        (
            Witnesses {
                table: Some("incident"),
                ..of("change_request")
            },
            false,
        ),
        (
            Witnesses {
                path: Some("incident"),
                ..of("Problem")
            },
            false,
        ),
        (
            Witnesses {
                number: Some("INC1"),
                ..of("task")
            },
            false,
        ),
        (of("chg_model"), false),
        // A label that is not known.
        (of("Demande"), true),
        (of(" "), false),
        (NONE, false),
        // Ours, or a contradiction of ours.
        (of("incident"), false),
        (of("u_hr_incident"), false),
        (
            Witnesses {
                table: Some("sc_req_item"),
                ..of("incident")
            },
            false,
        ),
    ] {
        let verdict = classes().decide(&witnesses);
        let may_need = classes().may_need_alias(&verdict, &witnesses);
        assert_eq!(may_need, expected, "{witnesses:?}");
    }
}

#[test]
fn aliases_stand_for_one_of_our_classes() {
    for (aliases, fits) in [
        (vec![("u_x", "incident")], true),
        (
            vec![("u_x", "Requested_Item"), ("U_X", "sc_req_item")],
            true,
        ),
        (vec![("u_x", "problem")], false),
        (vec![("u_x", "")], false),
        (vec![(" ", "incident")], false),
        (vec![("u_x", "incident"), ("U_X", "sc_req_item")], false),
    ] {
        let map = aliases
            .iter()
            .map(|(a, c)| ((*a).to_owned(), (*c).to_owned()));
        assert_eq!(
            Classes::try_new(&map.collect()).is_ok(),
            fits,
            "{aliases:?}"
        );
    }
}
