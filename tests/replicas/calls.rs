//! The calls as Serval saw them, and what must be true of them.

use std::collections::{BTreeMap, HashMap};

use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serval_connect::rehearsal::mock_serval::{Endpoint, Journal};

use super::records::Voided;
use super::saves;

/// A connect call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) arrived: Timestamp,
    /// `None`: its caller went away before it was carried out.
    pub(crate) ended: Option<Timestamp>,
    /// Status of the answer; `None` without one.
    answered: Option<u16>,
    /// True if Serval has the pair after it.
    stored: bool,
    ticket_id: String,
    pub(crate) object: String,
}

/// What Serval saw.
pub(crate) struct Calls {
    /// The calls by external ticket, in their order.
    pub(crate) by_ticket: BTreeMap<String, Vec<Call>>,
    /// Times at which the links of a Serval ticket were read.
    looks: HashMap<String, Vec<Timestamp>>,
}

impl Calls {
    pub(crate) fn read(journal: &Journal) -> Self {
        // Calls with one body that have not ended, newest last.
        let mut open: HashMap<&[u8], Vec<(usize, Timestamp)>> = HashMap::new();
        let mut looks: HashMap<String, Vec<Timestamp>> = HashMap::new();
        let mut calls: Vec<(String, Call)> = Vec::new();
        for request in &journal.requests {
            let ticket_id = request.ticket_id.clone().unwrap_or_default();
            match request.endpoint {
                Endpoint::Connect if request.method == Method::POST.as_str() => {
                    let body: Body<'_> = serde_json::from_slice(&request.body).unwrap_or_default();
                    let object = body.external_ticket_data.map_or("", RawValue::get);
                    let of_body = open.entry(&request.body).or_default();
                    of_body.push((calls.len(), request.at));
                    let call = Call {
                        arrived: request.at,
                        ended: None,
                        answered: None,
                        stored: false,
                        ticket_id,
                        object: object.to_owned(),
                    };
                    calls.push((body.external_ticket_id, call));
                }
                Endpoint::ExternalTickets => looks.entry(ticket_id).or_default().push(request.at),
                Endpoint::Token
                | Endpoint::Connect
                | Endpoint::Tickets
                | Endpoint::Messages
                | Endpoint::Directory => {}
            }
        }
        for connect in &journal.connects {
            let Some(of_body) = open.get_mut(&*connect.body) else {
                continue;
            };
            let last = of_body.iter().rposition(|(_, at)| *at <= connect.at);
            let Some(last) = last else { continue };
            let (index, _) = of_body.remove(last);
            let call = &mut calls[index].1;
            call.ended = Some(connect.at);
            call.answered = connect.answered;
            call.stored = connect.stored;
        }
        let mut by_ticket: BTreeMap<String, Vec<Call>> = BTreeMap::new();
        for (external_id, call) in calls {
            by_ticket.entry(external_id).or_default().push(call);
        }
        Self { by_ticket, looks }
    }

    /// Number of calls.
    pub(crate) fn count(&self) -> usize {
        self.by_ticket.values().map(Vec::len).sum()
    }

    /// Number of looks.
    pub(crate) fn looks(&self) -> usize {
        self.looks.values().map(Vec::len).sum()
    }

    /// Number of calls about what a call was made about before.
    pub(crate) fn again(&self) -> usize {
        let again = |calls: &Vec<Call>| {
            let pairs = calls.windows(2);
            pairs
                .filter(|pair| pair[0].object == pair[1].object)
                .count()
        };
        self.by_ticket.values().map(again).sum()
    }

    fn looked(&self, ticket_id: &str, from: Timestamp, to: Timestamp) -> bool {
        let looks = self.looks.get(ticket_id).into_iter().flatten();
        looks.into_iter().any(|at| (from..=to).contains(at))
    }

    /// What is wrong with the calls, in words.
    pub(crate) fn faults(&self, voided: &[Voided]) -> Vec<String> {
        let mut wrong = Vec::new();
        for (external_id, calls) in &self.by_ticket {
            for pair in calls.windows(2) {
                let [first, second] = pair else { continue };
                if first.ended.is_some_and(|ended| second.arrived < ended) {
                    wrong.push(format!(
                        "{external_id}: two calls at once: {first:?} {second:?}"
                    ));
                }
                let between = |void: &&Voided| {
                    void.external_id == *external_id
                        && (first.arrived..=second.arrived).contains(&void.at)
                };
                let is_taken_over = voided.iter().any(|void| between(&void));
                wrong.extend(match saves::save(&first.object) {
                    Some(save) if first.ticket_id.starts_with("A-") => {
                        again(external_id, save, pair, is_taken_over)
                    }
                    _ => self.once(external_id, pair, is_taken_over),
                });
            }
        }
        wrong
    }

    /// A pair is connected once. After a call whose end nobody knows, Serval is asked first.
    fn once(&self, external_id: &str, pair: &[Call], is_taken_over: bool) -> Option<String> {
        let [first, second] = pair else { return None };
        let looked = self.looked(&first.ticket_id, first.arrived, second.arrived);
        let is_unknown = first.answered.is_none() || is_taken_over;
        if first.stored {
            let why = if looked { "" } else { ", without a look" };
            let by = if is_taken_over {
                ", after a takeover"
            } else {
                ""
            };
            Some(format!(
                "{external_id}: connected twice{why}{by}: {first:?} {second:?}"
            ))
        } else if is_unknown && !looked {
            Some(format!(
                "{external_id}: called again without a look: {first:?} {second:?}"
            ))
        } else {
            None
        }
    }
}

/// A record is sent again only when it has changed, in the order of its saves.
fn again(external_id: &str, save: u64, pair: &[Call], is_taken_over: bool) -> Option<String> {
    let [first, second] = pair else { return None };
    let next = saves::save(&second.object)?;
    let is_answered = first.answered.is_some_and(|status| status < 300);
    if next < save {
        Some(format!(
            "{external_id}: save {next} is sent after save {save}: {first:?} {second:?}"
        ))
    } else if next == save && is_answered && !is_taken_over {
        Some(format!(
            "{external_id}: save {save} is sent twice: {first:?} {second:?}"
        ))
    } else {
        None
    }
}

/// A body, as far as the rules look at it. Its object may have numbers that no parser keeps.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    external_ticket_id: String,
    #[serde(borrow)]
    external_ticket_data: Option<&'a RawValue>,
}
