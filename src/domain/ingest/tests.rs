use super::*;

fn event(disposition: Disposition, rank: Rank) -> NewEvent {
    NewEvent {
        disposition,
        external_id: None,
        subtype: None,
        event_type: "incident.update".to_owned(),
        delivery_key: None,
        content_key: None,
        rank,
        report: Report::Save,
        hint: None,
        number: None,
        channel: None,
        question: None,
        object: 0..2,
    }
}

#[test]
fn a_new_event_goes_where_its_ticket_stands() {
    use EventState::{Dead, Ignored, Parked, Queued, Skipped};
    let unmapped = TicketFacts::default();
    let waiting = TicketFacts {
        parked: Some((EventId(7), Rank(4, 100))),
        ..TicketFacts::default()
    };
    let waiting_as_new = TicketFacts {
        parked: Some((EventId(7), Rank(5, 0))),
        ..TicketFacts::default()
    };
    let mapped = TicketFacts {
        mapped_to: Some("T-1".to_owned()),
        ..TicketFacts::default()
    };
    let connected = TicketFacts {
        connected: true,
        ..mapped.clone()
    };
    let reconnecting = TicketFacts {
        reconnects: true,
        newest: Some((EventId(5), Rank(5, 0))),
        ..connected.clone()
    };
    let newer = |ticket: &TicketFacts| TicketFacts {
        newest: Some((EventId(6), Rank(6, 0))),
        ..ticket.clone()
    };
    let outrun = newer(&reconnecting);
    let outrun_before = TicketFacts {
        connected: false,
        ..outrun.clone()
    };
    let once = newer(&mapped);
    let once_connected = newer(&connected);
    let outrun_unmapped = newer(&unmapped);
    let queued = TicketFacts {
        waiting: Some(EventId(8)),
        ..mapped.clone()
    };
    let superseded = Some(Reason::Superseded);
    let gone = TicketFacts {
        is_gone: true,
        ..waiting.clone()
    };
    // Connected once, but the mapping is gone.
    let forgotten = TicketFacts {
        connected: true,
        ..TicketFacts::default()
    };
    let connect = Disposition::Connect;
    let echo = Disposition::Skip(Reason::Echo);
    let rows = [
        (
            Disposition::Ignore("edited"),
            None,
            false,
            &connected,
            Ignored,
            Some(Reason::Ignored("edited")),
            None,
        ),
        (
            Disposition::Bury(Reason::ClassConflict),
            None,
            false,
            &mapped,
            Dead,
            Some(Reason::ClassConflict),
            None,
        ),
        (
            echo,
            None,
            false,
            &unmapped,
            Skipped,
            Some(Reason::Echo),
            None,
        ),
        (
            connect,
            Some("T-1"),
            false,
            &gone,
            Skipped,
            Some(Reason::Deleted),
            None,
        ),
        (
            echo,
            Some("T-1"),
            false,
            &gone,
            Skipped,
            Some(Reason::Deleted),
            None,
        ),
        (
            Disposition::Ignore("edited"),
            None,
            false,
            &gone,
            Ignored,
            Some(Reason::Ignored("edited")),
            None,
        ),
        (
            echo,
            Some("T-1"),
            false,
            &unmapped,
            Queued,
            Some(Reason::LearningEcho),
            None,
        ),
        (
            echo,
            Some("T-2"),
            false,
            &mapped,
            Skipped,
            Some(Reason::Echo),
            None,
        ),
        (
            connect,
            None,
            true,
            &mapped,
            Skipped,
            Some(Reason::Duplicate),
            None,
        ),
        // Its twin was asked about already.
        (
            connect,
            Some("T-2"),
            true,
            &mapped,
            Skipped,
            Some(Reason::Duplicate),
            None,
        ),
        (
            connect,
            Some("T-2"),
            true,
            &unmapped,
            Queued,
            Some(Reason::Learning),
            None,
        ),
        (
            connect,
            None,
            false,
            &connected,
            Skipped,
            Some(Reason::AlreadyConnected),
            None,
        ),
        (connect, None, false, &reconnecting, Queued, None, None),
        (
            connect,
            None,
            false,
            &outrun,
            Skipped,
            Some(Reason::Superseded),
            None,
        ),
        (
            connect,
            None,
            false,
            &outrun_before,
            Skipped,
            Some(Reason::Superseded),
            None,
        ),
        (connect, None, false, &once, Skipped, superseded, None),
        (
            connect,
            None,
            false,
            &outrun_unmapped,
            Skipped,
            superseded,
            None,
        ),
        (
            connect,
            None,
            false,
            &once_connected,
            Skipped,
            Some(Reason::AlreadyConnected),
            None,
        ),
        // What has waited is replaced by a newer save. A save that teaches replaces nothing before it did.
        (
            connect,
            None,
            false,
            &queued,
            Queued,
            None,
            Some(EventId(8)),
        ),
        (
            connect,
            None,
            true,
            &queued,
            Skipped,
            Some(Reason::Duplicate),
            None,
        ),
        (
            connect,
            Some("T-1"),
            false,
            &queued,
            Queued,
            None,
            Some(EventId(8)),
        ),
        (
            connect,
            Some("T-2"),
            false,
            &queued,
            Queued,
            Some(Reason::Learning),
            None,
        ),
        (
            connect,
            None,
            false,
            &newer(&queued),
            Skipped,
            superseded,
            None,
        ),
        (connect, None, false, &mapped, Queued, None, None),
        (connect, Some("T-1"), false, &mapped, Queued, None, None),
        (
            connect,
            Some("T-1"),
            false,
            &connected,
            Skipped,
            Some(Reason::AlreadyConnected),
            None,
        ),
        (
            connect,
            Some("T-2"),
            false,
            &connected,
            Queued,
            Some(Reason::Learning),
            None,
        ),
        (
            connect,
            Some("T-2"),
            false,
            &unmapped,
            Queued,
            Some(Reason::Learning),
            None,
        ),
        (
            connect,
            None,
            false,
            &unmapped,
            Parked,
            Some(Reason::NoMapping),
            None,
        ),
        (
            connect,
            None,
            false,
            &forgotten,
            Parked,
            Some(Reason::NoMapping),
            None,
        ),
        (
            connect,
            None,
            false,
            &waiting,
            Parked,
            Some(Reason::NoMapping),
            Some(EventId(7)),
        ),
        // Of equals the later arrival.
        (
            connect,
            None,
            false,
            &waiting_as_new,
            Parked,
            Some(Reason::NoMapping),
            Some(EventId(7)),
        ),
    ];
    for (disposition, hint, is_twin, ticket, state, reason, supersedes) in rows {
        let hint = hint.map(|hint| hint.parse().unwrap());
        let event = NewEvent {
            hint,
            ..event(disposition, Rank(5, 0))
        };
        let placement = place(&event, is_twin, ticket);
        assert_eq!(
            placement,
            Placement {
                state,
                reason,
                supersedes
            },
            "{event:?} {ticket:?}"
        );
    }
}

#[test]
fn only_saves_are_outrun_and_replaced() {
    let ticket = TicketFacts {
        mapped_to: Some("T-1".to_owned()),
        reconnects: true,
        newest: Some((EventId(6), Rank(6, 0))),
        waiting: Some(EventId(6)),
        ..TicketFacts::default()
    };
    for (report, state) in [
        (Report::Save, EventState::Skipped),
        (Report::Message, EventState::Queued),
    ] {
        let event = NewEvent {
            report,
            ..event(Disposition::Connect, Rank(5, 0))
        };
        let placement = place(&event, false, &ticket);
        assert_eq!(
            (placement.state, placement.supersedes),
            (state, None),
            "{report:?}"
        );
    }
}

#[test]
fn the_better_event_of_a_parked_ticket_is_kept_and_of_equals_the_newer() {
    let kept = Some((EventId(7), Rank(4, 100)));
    for (rank, takes_over) in [
        (Rank(3, 999), false),
        (Rank(4, 99), false),
        (Rank(4, 100), true),
        (Rank(4, 101), true),
        (Rank(5, 0), true),
        (Rank(-1, -1), false),
    ] {
        // Of equals the one that arrived later is kept, also if it is the one that is parked.
        for (id, takes_over) in [(8, takes_over), (6, takes_over && rank != Rank(4, 100))] {
            let placement = park((EventId(id), rank), kept);
            assert_eq!(placement.supersedes.is_some(), takes_over, "{id} {rank:?}");
            assert_eq!(
                placement.state == EventState::Parked,
                takes_over,
                "{id} {rank:?}"
            );
        }
    }
}
