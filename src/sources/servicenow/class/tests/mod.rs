use super::*;

mod aliases;

fn classes() -> Classes {
    let aliases = [
        ("u_hr_incident", "incident"),
        ("Störung", "incident"),
        ("Angefordertes Element", "requested_item"),
    ];
    let aliases = aliases.map(|(a, c)| (a.to_owned(), c.to_owned()));
    Classes::try_new(&aliases.into()).unwrap()
}

fn other(name: &str) -> Verdict {
    Verdict::Other(name.to_owned())
}

#[test]
fn each_witness_yields_to_the_one_before() {
    const INCIDENT: Verdict = Verdict::Ours(Class::Incident);
    const ITEM: Verdict = Verdict::Ours(RequestedItem);
    use Class::RequestedItem;
    // (sys_class_name, table, wrapper, path, number)
    for (class_name, table, wrapper, path, number, expected) in [
        (
            "incident",
            "",
            Some(RequestedItem),
            "sc_req_item",
            "RITM1",
            INCIDENT,
        ),
        ("sc_req_item", "task", None, "incident", "INC1", ITEM),
        (
            "",
            "incident",
            Some(RequestedItem),
            "sc_req_item",
            "RITM1",
            INCIDENT,
        ),
        ("", "task", Some(RequestedItem), "incident", "INC1", ITEM),
        ("", "", Some(RequestedItem), "incident", "INC1", ITEM),
        ("", "", None, "sc_req_item", "INC1", ITEM),
        ("", "", None, "task", "INC0081927", INCIDENT),
        ("", "", None, "", "ritm0042210", ITEM),
        ("", "", None, "", "INCIDENT", Verdict::Unknown),
        ("", "", None, "", "CHG0001", Verdict::Unknown),
        ("", "", None, "", "", Verdict::Unknown),
        // Names and labels, in any case.
        ("Incident", "", None, "", "", INCIDENT),
        ("INCIDENT", "", None, "", "", INCIDENT),
        ("Requested Item", "", None, "", "", ITEM),
        (" requested item ", "", None, "", "", ITEM),
        (
            "Change Request",
            "",
            None,
            "incident",
            "INC1",
            other("change_request"),
        ),
        ("Request", "", None, "", "", other("sc_request")),
        ("Task", "", None, "incident", "INC1", other("task")),
        ("task", "task", None, "incident", "", other("task")),
        (
            "sn_si_incident",
            "",
            None,
            "incident",
            "INC1",
            other("sn_si_incident"),
        ),
        ("", "problem", None, "incident", "INC1", other("problem")),
        // Aliases.
        ("u_hr_incident", "incident", None, "", "", INCIDENT),
        ("STÖRUNG", "incident", None, "", "", INCIDENT),
        ("angefordertes element", "", None, "", "", ITEM),
        // An unknown label leaves it to the next witness.
        ("Demande", "sc_req_item", None, "", "", ITEM),
        ("Demande", "", None, "", "RITM1", ITEM),
        ("Demande", "", None, "", "DEM1", Verdict::Unknown),
        // Contradictions.
        ("incident", "sc_req_item", None, "", "", Verdict::Conflict),
        (
            "Requested Item",
            "incident",
            None,
            "",
            "",
            Verdict::Conflict,
        ),
        // Only two of our classes contradict each other.
        (
            "change_request",
            "incident",
            None,
            "incident",
            "INC1",
            other("change_request"),
        ),
        ("incident", "change_request", None, "", "", INCIDENT),
        (
            "u_it_incident",
            "incident",
            None,
            "",
            "",
            other("u_it_incident"),
        ),
        ("chg_model", "sc_req_item", None, "", "", other("chg_model")),
        (
            "u_hr_incident",
            "sc_req_item",
            None,
            "",
            "",
            Verdict::Conflict,
        ),
        (
            "Change Request",
            "change_request",
            None,
            "",
            "",
            other("change_request"),
        ),
        ("incident", "Incident", None, "", "", INCIDENT),
    ] {
        let witnesses = Witnesses {
            class_name: Some(class_name),
            table: Some(table),
            wrapper,
            path: Some(path),
            column: None,
            number: Some(number),
        };
        assert_eq!(classes().decide(&witnesses), expected, "{witnesses:?}");
    }
    assert_eq!(classes().decide(&Witnesses::default()), Verdict::Unknown);
}

#[test]
fn a_column_called_table_tells_the_class_only_where_nothing_better_does() {
    // (sys_class_name, table of the envelope, path, column, number)
    for (class_name, table, path, column, number, expected) in [
        (
            "sc_req_item",
            "",
            "",
            "incident",
            "",
            Verdict::Ours(Class::RequestedItem),
        ),
        (
            "sc_req_item",
            "",
            "",
            "problem",
            "",
            Verdict::Ours(Class::RequestedItem),
        ),
        (
            "contract_sla",
            "",
            "",
            "incident",
            "",
            other("contract_sla"),
        ),
        (
            "",
            "sc_req_item",
            "",
            "incident",
            "",
            Verdict::Ours(Class::RequestedItem),
        ),
        (
            "",
            "",
            "sys_attachment",
            "incident",
            "",
            other("sys_attachment"),
        ),
        (
            "",
            "",
            "sc_req_item",
            "incident",
            "INC1",
            Verdict::Ours(Class::RequestedItem),
        ),
        (
            "",
            "",
            "task",
            "incident",
            "",
            Verdict::Ours(Class::Incident),
        ),
        (
            "",
            "",
            "",
            "incident",
            "RITM1",
            Verdict::Ours(Class::Incident),
        ),
        ("", "", "", "u_asset_request", "", other("u_asset_request")),
        (
            "",
            "",
            "",
            "Standing Desk",
            "INC1",
            Verdict::Ours(Class::Incident),
        ),
    ] {
        let witnesses = Witnesses {
            class_name: Some(class_name),
            table: Some(table),
            path: Some(path),
            column: Some(column),
            number: Some(number),
            ..Witnesses::default()
        };
        assert_eq!(classes().decide(&witnesses), expected, "{witnesses:?}");
    }
}
