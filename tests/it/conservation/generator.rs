//! Senders that number what they send and remember what was acknowledged, and the comparison of
//! that with what reached Serval.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serval_connect::rehearsal::mock_serval::MockServal;
use tokio::task::JoinSet;

use super::sender::Sender;

/// An external ticket, as its sender knows it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Ticket {
    /// The Serval ticket that it belongs to.
    pub(crate) serval: String,
    /// Every object that was sent about it.
    pub(crate) sent: BTreeSet<String>,
    /// Those that were acknowledged.
    pub(crate) acknowledged: BTreeSet<String>,
}

/// What the senders remember, by `sys_id`.
pub(crate) type Ledger = BTreeMap<String, Ticket>;

struct Shared {
    ledger: Mutex<Ledger>,
    numbers: AtomicU64,
    run: u64,
    /// Longest pause of a sender between two tickets, in milliseconds.
    pause: u64,
    is_over: AtomicBool,
    refused: Mutex<Vec<String>>,
}

/// Senders at work.
pub(crate) struct Generator {
    shared: Arc<Shared>,
    senders: JoinSet<()>,
}

impl Generator {
    /// Starts `count` senders with their own dice. `pause`: the longest time between two tickets of one.
    pub(crate) fn start(sender: &Sender, count: u64, pause: Duration, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            ledger: Mutex::default(),
            numbers: AtomicU64::new(0),
            run: seed,
            pause: u64::try_from(pause.as_millis()).expect("some seconds"),
            is_over: AtomicBool::new(false),
            refused: Mutex::default(),
        });
        let mut senders = JoinSet::new();
        for n in 0..count {
            let dice = fastrand::Rng::with_seed(seed.wrapping_mul(31).wrapping_add(n));
            senders.spawn(work(Arc::clone(&shared), sender.clone(), dice));
        }
        Self { shared, senders }
    }

    /// Lets the senders finish what they have begun, the mappings included.
    pub(crate) async fn finish(mut self) -> Ledger {
        self.shared.is_over.store(true, Ordering::SeqCst);
        while let Some(ended) = self.senders.join_next().await {
            ended.unwrap();
        }
        let refused = self.shared.refused.lock().unwrap();
        assert!(refused.is_empty(), "refused: {:?}", refused.first());
        drop(refused);
        let shared = Arc::into_inner(self.shared).expect("the senders are gone");
        shared.ledger.into_inner().unwrap()
    }
}

/// One sender: a ticket after the other, some with several events, mapped before, meanwhile, after or late.
async fn work(shared: Arc<Shared>, sender: Sender, mut dice: fastrand::Rng) {
    let mut unmapped: Vec<(Instant, String, String)> = Vec::new();
    while !shared.is_over.load(Ordering::SeqCst) {
        let n = shared.numbers.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:016x}{n:016x}", shared.run);
        let serval = format!("T-{n}");
        let when = dice.u8(0..5);
        if when == 0 {
            map(&sender, &id, &serval).await;
        }
        let events = if dice.u8(0..5) == 0 {
            dice.u64(2..4)
        } else {
            1
        };
        let sending = async {
            for save in 0..events {
                let object = object(&mut dice, &id, n, save);
                send(&shared, &sender, &mut dice, (&id, &serval), &object, save).await;
            }
        };
        if when == 4 {
            tokio::join!(sending, map(&sender, &id, &serval));
        } else {
            sending.await;
        }
        match when {
            0 | 4 => {}
            1 | 2 => map(&sender, &id, &serval).await,
            _ => {
                let due = Instant::now() + Duration::from_millis(dice.u64(200..4000));
                unmapped.push((due, id, serval));
            }
        }
        for (_, id, serval) in unmapped.extract_if(.., |(due, ..)| *due <= Instant::now()) {
            map(&sender, &id, &serval).await;
        }
        tokio::time::sleep(Duration::from_millis(dice.u64(1..=shared.pause))).await;
    }
    for (_, id, serval) in unmapped {
        map(&sender, &id, &serval).await;
    }
}

/// Sends one event as a good sender does: the same delivery again until it is acknowledged, or
/// until the sender gives up.
async fn send(
    shared: &Shared,
    sender: &Sender,
    dice: &mut fastrand::Rng,
    (id, serval): (&str, &str),
    object: &str,
    save: u64,
) {
    let delivery = format!("msg_{id}_{save}");
    let body = match dice.u8(0..3) {
        0 => object.to_owned(),
        1 => format!("{{\"result\": {object} }}"),
        _ => {
            format!("{{\"table\":\"incident\",\"operation\":\"update\",\n\"record\":\t{object}}}\n")
        }
    };
    {
        let mut ledger = shared.ledger.lock().unwrap();
        let ticket = ledger.entry(id.to_owned()).or_default();
        serval.clone_into(&mut ticket.serval);
        ticket.sent.insert(object.to_owned());
    }
    let patience = dice.u32(1..60);
    for _ in 0..patience {
        match sender.webhook(&delivery, &body).await {
            Some((202, ..)) => {
                let mut ledger = shared.ledger.lock().unwrap();
                let ticket = ledger.get_mut(id).expect("it was sent");
                ticket.acknowledged.insert(object.to_owned());
                return;
            }
            Some((503, true, _)) | None => {}
            Some(answer) => {
                let refused = format!("{answer:?} to {body}");
                shared.refused.lock().unwrap().push(refused);
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(dice.u64(10..150))).await;
    }
}

/// Maps until that is done.
pub(crate) async fn map(sender: &Sender, id: &str, serval: &str) {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some((200 | 201, ..)) = sender.map(id, serval).await {
            return;
        }
        assert!(Instant::now() < deadline, "{id} could not be mapped");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A record that only survives where nobody parses and prints it.
fn object(dice: &mut fastrand::Rng, id: &str, n: u64, save: u64) -> String {
    const ODD: [&str; 8] = [
        r#""text":"\u00e9\u0000\ud83d\ude00 é 😀 \/""#,
        r#""amount":123456789012345678901234567890.50"#,
        r#""huge":1E400,"tiny":-0.0,"int":1.0"#,
        "\"space\" :\t[ 1 ,\r\n 2 ]",
        r#""again":1,"again":2"#,
        r#""nested":{"sys_id":"not this one","sys_class_name":"problem"}"#,
        r#""":null,"__proto__":{},"null":"null""#,
        r#""pair":{"value":"1","display_value":"Eins","link":"https://x.invalid/?a=b&c"}"#,
    ];
    let odd = ODD[dice.usize(0..ODD.len())];
    let more = ODD[dice.usize(0..ODD.len())];
    let id = if dice.bool() {
        id.to_uppercase()
    } else {
        id.to_owned()
    };
    let text = "Lärm ".repeat(if dice.u8(0..20) == 0 {
        4000
    } else {
        dice.usize(0..8)
    });
    let class = if dice.bool() { "incident" } else { "Incident" };
    format!(
        "{{{odd}, \"sys_id\":\"{id}\",\"sys_class_name\" : \"{class}\", \"save\":{save},\
         \"number\":\"INC{n:07}\",\"sys_mod_count\":\"{save}\",\"description\":\"{text}\",{more}}}"
    )
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) acknowledged: usize,
    /// Tickets with an acknowledged event that are not connected.
    pub(crate) lost: Vec<String>,
    /// Connects with an object that nobody sent.
    pub(crate) altered: Vec<String>,
    /// Connect calls for a pair that Serval had.
    pub(crate) repeated: Vec<String>,
}

/// Compares what was acknowledged with what reached Serval.
pub(crate) fn judge(ledger: &Ledger, mock: &MockServal) -> Verdict {
    let mut linked: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut repeated = Vec::new();
    let mut altered = Vec::new();
    for connect in mock.connects() {
        let sent = ledger.get(&connect.external_id);
        let object = connect.object.clone().unwrap_or_default();
        if !sent.is_some_and(|t| t.sent.contains(&object) && t.serval == connect.ticket_id) {
            altered.push(format!("{}: {object}", connect.external_id));
        }
        match linked.entry(connect.external_id) {
            Entry::Occupied(pair) => repeated.push(pair.key().clone()),
            Entry::Vacant(pair) if connect.stored => drop(pair.insert(connect.object)),
            Entry::Vacant(_) => {}
        }
    }
    let is_lost = |(id, ticket): &(&String, &Ticket)| {
        let object = linked.get(*id).cloned().flatten();
        // Where every event was acknowledged, it is the object of an acknowledged one.
        let is_whole = ticket.sent == ticket.acknowledged;
        let wanted = if is_whole {
            &ticket.acknowledged
        } else {
            &ticket.sent
        };
        !ticket.acknowledged.is_empty() && !object.is_some_and(|o| wanted.contains(&o))
    };
    Verdict {
        acknowledged: ledger
            .values()
            .map(|ticket| ticket.acknowledged.len())
            .sum(),
        lost: ledger
            .iter()
            .filter(is_lost)
            .map(|(id, _)| id.clone())
            .collect(),
        altered,
        repeated,
    }
}

/// How many external tickets have an acknowledged event.
pub(crate) fn owed(ledger: &Ledger) -> usize {
    ledger
        .values()
        .filter(|ticket| !ticket.acknowledged.is_empty())
        .count()
}
