//! `mock-serval`: the stand-in for Serval alone, and the lines it prints about what arrives.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use secrecy::{ExposeSecret as _, SecretString};

use super::send::reachable;
use super::{Global, Outcome, output};
use crate::lifecycle;
use crate::mock_serval::{
    Dialect, Endpoint, Fault, Journal, MockConfig, MockServal, RecordedConnect, RecordedRequest,
    Repeat,
};

/// How long one wait for something to arrive lasts; then comes the next.
const WATCH: Duration = Duration::from_hours(1);

const DETAILS: &str = "\
The stand-in answers what Serval's public API documents: the token endpoint, connect and disconnect,
the external tickets and messages of a ticket, teams, app instances and integrations. It is strict:
a connect with an unknown field, or without a good token, is refused as Serval would refuse it.
It keeps everything in memory, and it is for rehearsals only: its own paths ask for no credential.

A fault is text, its parts separated by commas: what happens, and where and when.

  what    status=503 (or just 503)    that status; nothing is stored
          conflict                    409 already_exists; nothing is stored
          drop                        carried out and stored, then closed without an answer
          reset                       the connection is reset before anything is stored
          hang                        no answer at all; nothing is stored
          latency=250ms               wait first; alone, or beside one of the above
          retry_after=7               with a status: the header, in seconds
          retry_after=date:7          the same as an HTTP date that many seconds ahead
          dialect=string|numeric|text how this error is written
  where   path=connect                the default; or token, external-tickets, tickets, messages,
                                      directory, all
          ticket=ID                   only calls about this Serval ticket
  when    count=3                     only so many times, then the fault is gone
          rate=0.3                    with this probability

Of several faults that fit, the first decides; latencies add up. They can be changed while it runs:

  PUT    /_faults     a JSON list of faults in their text form replaces all
  GET    /_faults     the faults in force          DELETE /_faults     none any more
  GET    /_connects   the connects that arrived    GET    /_requests   all requests
  DELETE /_requests   forgets both

Examples:
  A Serval where all is well:
    serval-connect mock-serval

  Slow, and too busy for the next three connects:
    serval-connect mock-serval --fault latency=400ms --fault status=429,retry_after=2,count=3

  One call in five is carried out but never answered:
    serval-connect mock-serval --fault drop,rate=0.2 --repeat conflict

  An outage, switched on and off while it runs:
    curl -X PUT -d '[\"status=503,path=all\"]' http://127.0.0.1:8090/_faults
    curl -X DELETE http://127.0.0.1:8090/_faults";

/// Arguments of `mock-serval`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = DETAILS)]
pub(super) struct Args {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// The client id that the token endpoint accepts
    #[arg(long, value_name = "ID", default_value = "mock-client")]
    client_id: String,
    /// The client secret that the token endpoint accepts; it is printed, so invent one
    #[arg(
        long,
        value_name = "SECRET",
        default_value = "mock-secret",
        hide_default_value = false
    )]
    client_secret: String,
    /// A bearer token that is always good
    #[arg(long, value_name = "TOKEN")]
    bearer_token: Option<SecretString>,
    /// Something that goes wrong, see below; may be repeated
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Fault>,
    /// The life of tokens in seconds; "unstated": an hour, but the answer does not say
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = read_life)]
    expires_in: Life,
    /// How errors are written
    #[arg(long, default_value = "string", value_parser = dialect())]
    dialect: Dialect,
    /// What connecting the same pair again answers
    #[arg(long, default_value = "accepted", value_parser = repeat())]
    repeat: Repeat,
    /// A ticket that exists; may be repeated. If left out, every ticket exists
    #[arg(long = "known-ticket", value_name = "ID")]
    known_tickets: Vec<String>,
    /// A ticket that does not exist; may be repeated
    #[arg(long = "unknown-ticket", value_name = "ID")]
    unknown_tickets: Vec<String>,
}

/// The life of a token in seconds, when it is stated.
#[derive(Debug, Clone, Copy)]
struct Life(Option<u64>);

fn read_life(text: &str) -> Result<Life, &'static str> {
    if text == "unstated" {
        return Ok(Life(None));
    }
    let seconds = text.parse().map_err(|_| "expected seconds, or unstated")?;
    Ok(Life(Some(seconds)))
}

fn dialect() -> impl clap::builder::TypedValueParser<Value = Dialect> {
    PossibleValuesParser::new(["string", "numeric", "text"]).try_map(|word| word.parse::<Dialect>())
}

fn repeat() -> impl clap::builder::TypedValueParser<Value = Repeat> {
    PossibleValuesParser::new(["accepted", "conflict"]).map(|word| {
        if word == "conflict" {
            Repeat::Conflict
        } else {
            Repeat::Accepted
        }
    })
}

impl From<Args> for MockConfig {
    fn from(args: Args) -> Self {
        let known: BTreeSet<String> = args.known_tickets.into_iter().collect();
        Self {
            listen: args.listen,
            client_id: args.client_id,
            client_secret: args.client_secret.into(),
            bearer_token: args.bearer_token,
            expires_in: args.expires_in.0,
            dialect: args.dialect,
            repeat: args.repeat,
            known_tickets: (!known.is_empty()).then_some(known),
            unknown_tickets: args.unknown_tickets.into_iter().collect(),
            faults: args.faults,
            ..Self::default()
        }
    }
}

pub(super) async fn run(_global: &Global, args: Args) -> Outcome {
    let listen = args.listen;
    let config = MockConfig::from(args);
    let (id, secret) = (config.client_id.clone(), config.client_secret.clone());
    let faults: Vec<String> = config.faults.iter().map(ToString::to_string).collect();
    let mock = MockServal::start(config)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    let url = format!("http://{}", reachable(mock.addr()));
    output::line(format!("the stand-in for Serval is at {url}"));
    output::line("to point serve at it:");
    output::line(format!("  export SERVAL_BASE_URL={url}"));
    output::line(format!("  export SERVAL_CLIENT_ID={id}"));
    output::line(format!(
        "  export SERVAL_CLIENT_SECRET={}",
        secret.expose_secret()
    ));
    let faults = if faults.is_empty() {
        "none".to_owned()
    } else {
        faults.join("  ")
    };
    output::line(format!("faults: {faults} (PUT {url}/_faults changes them)"));
    output::line("what arrives, until Ctrl-C:");
    tokio::select! {
        () = watch(&mock, Told::default()) => {}
        () = lifecycle::interrupted() => {}
    }
    mock.stop().await;
    Ok(())
}

/// Prints a line about each connect that was not told yet, and about each refused credential.
pub(super) async fn watch(mock: &MockServal, mut seen: Told) {
    loop {
        let arrived = |journal: &Journal| Told::of(journal) != seen;
        if !mock.wait_for(WATCH, arrived).await {
            continue;
        }
        let lines = mock.look(|journal| {
            let lines = news(journal, seen);
            seen = Told::of(journal);
            lines
        });
        for line in lines {
            output::line(line);
        }
    }
}

/// How much of the journal has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Told {
    requests: u64,
    connects: u64,
}

impl Told {
    /// All that has arrived so far counts as told.
    pub(super) fn already(mock: &MockServal) -> Self {
        mock.look(Self::of)
    }

    fn of(journal: &Journal) -> Self {
        Self {
            requests: journal.request_count,
            connects: journal.connect_count,
        }
    }
}

/// What the journal has that was not told yet. A count that fell was cleared.
fn news(journal: &Journal, seen: Told) -> Vec<String> {
    let new = |count: u64, told: u64| {
        let new = if count < told { count } else { count - told };
        usize::try_from(new).unwrap_or(usize::MAX)
    };
    let requests = new(journal.request_count, seen.requests);
    let connects = new(journal.connect_count, seen.connects);
    let newest = |len: usize, n: usize| len.saturating_sub(n);
    let refused = journal
        .requests
        .iter()
        .skip(newest(journal.requests.len(), requests))
        .filter(|request| !request.authorised)
        .map(refused_line);
    let connects = journal
        .connects
        .iter()
        .skip(newest(journal.connects.len(), connects))
        .map(connect_line);
    refused.chain(connects).collect()
}

fn refused_line(request: &RecordedRequest) -> String {
    let what = if request.endpoint == Endpoint::Token {
        "the client id or secret is wrong"
    } else {
        "the bearer token is missing, unknown or expired"
    };
    let line = format!(
        "{:.3}  {} {}  {what}",
        request.at, request.method, request.path
    );
    output::printable(&line)
}

fn connect_line(connect: &RecordedConnect) -> String {
    let outcome = match (connect.answered, connect.stored) {
        (Some(status), true) => format!("{status} connected"),
        (Some(status), false) => format!("{status} refused"),
        (None, true) => "connected, but not answered".to_owned(),
        (None, false) => "not answered".to_owned(),
    };
    let line = format!(
        "{:.3}  connect  ticket {}  external {}  subtype {}  {outcome}",
        connect.at,
        connect.ticket_id,
        connect.external_id,
        connect.subtype.as_deref().unwrap_or("-"),
    );
    output::printable(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connect_is_told_in_one_line_with_its_end() {
        let connect = |answered, stored| RecordedConnect {
            at: "2026-03-17T12:41:09.25Z".parse().unwrap(),
            ticket_id: "t-1".to_owned(),
            external_id: "C111:1.000000".to_owned(),
            subtype: None,
            target: serde_json::Value::Null,
            accounted_for_message_ids: Vec::new(),
            object: None,
            body: bytes::Bytes::new(),
            answered,
            stored,
        };
        let start =
            "2026-03-17T12:41:09.250Z  connect  ticket t-1  external C111:1.000000  subtype -  ";
        for (answered, stored, end) in [
            (Some(200), true, "200 connected"),
            (Some(409), false, "409 refused"),
            (None, true, "connected, but not answered"),
            (None, false, "not answered"),
        ] {
            let line = connect_line(&connect(answered, stored));
            assert_eq!(line, format!("{start}{end}"));
        }
        let mut journal = Journal::default();
        journal.connects.push_back(connect(Some(200), true));
        journal.connects.push_back(connect(Some(500), false));
        journal.connect_count = 7;
        let told = |connects| Told {
            requests: 0,
            connects,
        };
        assert_eq!(news(&journal, told(7)).len(), 0);
        assert_eq!(news(&journal, told(6)).len(), 1);
        assert_eq!(news(&journal, told(0)).len(), 2);
        // Cleared in between, and two have arrived since.
        journal.connect_count = 2;
        assert_eq!(news(&journal, told(7)).len(), 2);
    }
}
