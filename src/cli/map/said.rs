//! Calls about one mapping, and what `map set` and `map remove` say of what they did.

use http::{Method, StatusCode};
use serde_json::Value;

use crate::cli::backend::{Answer, Backend, Call};
use crate::cli::source::Named;
use crate::terminal::{Failure, Outcome, output};

/// A call about one mapping.
pub(super) fn to(method: Method, ticket: &Named) -> Call {
    Call::new(method, &["mappings", ticket.source.as_str(), &ticket.typed])
}

/// Lines about a mapping that was written.
pub(super) fn written(ticket: &Named, answer: &Answer) -> Vec<String> {
    let verb = if answer.status == StatusCode::CREATED {
        "mapped"
    } else {
        "was mapped before, now"
    };
    let mapping = &answer.body;
    let ticket_id = output::cell(mapping, "ticket_id");
    let name = ticket.in_answer(mapping);
    let mut lines = vec![format!("{name} {verb} to {ticket_id}; {}", motion(answer))];
    for other in mapping["still_connected"].as_array().into_iter().flatten() {
        let other = output::printable(other.as_str().unwrap_or_default());
        lines.push(format!(
            "at Serval {other} still has it, too; to take it apart: serval-connect links remove {} {} {other}",
            ticket.source,
            output::cell(mapping, "external_id"),
        ));
    }
    let warning = mapping["warning"].as_str();
    lines.extend(warning.map(output::printable));
    lines
}

/// The events that the mapping sets in motion, or why there are none.
fn motion(answer: &Answer) -> String {
    let mapping = &answer.body;
    match mapping["idle"].as_str() {
        None => {
            let waiting = mapping["waiting"].as_u64().unwrap_or_default();
            let events = if waiting == 1 { "event is" } else { "events are" };
            format!("{waiting} {events} queued{}", answer.once_it_runs())
        }
        Some("already_connected") => {
            let at = output::time(mapping, "connected_at").unwrap_or_default();
            format!("connected since {at}")
        }
        Some("no_event") => "nothing waits: no webhook has named it yet".to_owned(),
        Some("body_deleted") => {
            "nothing can be sent before its next webhook: the stored content is deleted (retention.payloads)"
                .to_owned()
        }
        Some(_) => "nothing waits for it".to_owned(),
    }
}

/// Removes a mapping, and says what was ordered at Serval, and of which ticket.
pub(super) async fn removed(backend: &Backend, ticket: &Named, disconnects: bool) -> Outcome {
    let about = |failure: Failure| failure.about(ticket);
    let mapping = backend
        .call(&to(Method::GET, ticket))
        .await
        .map_err(about)?;
    let ticket_id = output::cell(&mapping.body, "ticket_id");
    let call = to(Method::DELETE, ticket).with("disconnect", disconnects.then_some("true"));
    let removed = backend.call(&call).await.map_err(about)?;
    let name = ticket.in_answer(&mapping.body);
    if !disconnects {
        output::line(format_args!(
            "removed the mapping of {name} to {ticket_id}; nothing changes at Serval"
        ));
        return Ok(());
    }
    let links = Call::new(
        Method::GET,
        &["links", ticket.source.as_str(), &ticket.typed],
    );
    let links = backend.call(&links).await?.body;
    let of_it = links["data"].as_array().into_iter().flatten();
    let mut of_it = of_it.filter(|link| link["ticket_id"] == mapping.body["ticket_id"]);
    let link: Option<&Value> = of_it.next_back();
    let ordered = match link {
        Some(link) if link["disconnecting"] == true => {
            format!(
                "Serval is asked to take {ticket_id} apart{}",
                removed.once_it_runs()
            )
        }
        Some(_) => format!(
            "Serval was not asked to take {ticket_id} apart, since it has another external ticket of the source, \
             which would be lost; see: serval-connect links remove --help"
        ),
        None if mapping.body["connected_at"].is_null() => {
            format!("{ticket_id} was not connected, so nothing is taken apart")
        }
        None => format!("Serval has taken {ticket_id} apart"),
    };
    output::line(format_args!(
        "removed the mapping of {name} to {ticket_id}; {ordered}"
    ));
    Ok(())
}
