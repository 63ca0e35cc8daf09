//! `mock-serval`: the stand-in for Serval alone.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::config::{MockConfig, Repeat};
use super::dialect::Dialect;
use super::fault::Fault;
use super::server::MockServal;
pub(crate) use super::watch::{Told, watch};
use crate::process::lifecycle;
use crate::terminal::daemon::reachable;
use crate::terminal::{Global, Outcome, output};

const DETAILS: &str = "\
The stand-in answers what Serval's public API documents: the token endpoint, connect and disconnect,
the external tickets and messages of a ticket, teams, app instances and integrations. It is strict:
a connect with an unknown field, or without a valid token, is refused as Serval would refuse it.
An identifier such as ACM-10 is no id of a ticket, as at Serval; the list of tickets (GET /v2/tickets)
has the identifier of each ticket that was named as known or is connected. It keeps everything in
memory, and it is for rehearsals only: its own paths ask for no credential.

A fault is text, its parts separated by commas: what happens, and where and when.

  what    status=503 (or just 503)    that status; nothing is stored
          conflict                    409 already_exists; nothing is stored
          drop                        carried out and stored, then closed without an answer
          reset                       the connection is reset before anything is stored
          hang                        no answer at all; nothing is stored
          latency=250ms               wait first; alone, or beside one of the above
          retry_after=7               with a status: the header, in seconds
          retry_after=date:7          the same as an HTTP date that many seconds ahead
          dialect=string|numeric      how Serval writes this error, with a code
          dialect=text|html|json|empty  how a gateway writes it
  where   path=connect                the default; or token, external-tickets, tickets, messages,
                                      directory, all
          ticket=ID                   only calls about this Serval ticket
  when    count=3                     only for this number of calls, then the fault is gone
          rate=0.3                    with this probability

Of several faults that fit, the first decides; latencies add up. They can be changed while it runs:

  PUT    /_faults     a JSON list of faults in their text form replaces all
  GET    /_faults     the present faults           DELETE /_faults     removes all faults
  GET    /_connects   the connects that arrived    GET    /_requests   all requests
  DELETE /_requests   clears both

Examples:
  A Serval that accepts everything valid:
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
pub(crate) struct Args {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// The client id that the token endpoint accepts
    #[arg(long, value_name = "ID", default_value = "mock-client")]
    client_id: String,
    /// The client secret that the token endpoint accepts; it is printed, so invent one
    #[arg(long, value_name = "SECRET", default_value = "mock-secret")]
    client_secret: String,
    /// A bearer token that is always valid
    #[arg(long, value_name = "TOKEN")]
    bearer_token: Option<SecretString>,
    /// A fault, see below; may be repeated
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Fault>,
    /// The lifetime of tokens in seconds; "unstated": an hour, which the answer does not state
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = read_life)]
    expires_in: Life,
    /// The format of error answers
    #[arg(long, value_enum, default_value = "string")]
    dialect: Dialect,
    /// The answer to connecting the same pair again
    #[arg(long, value_enum, default_value = "accepted")]
    repeat: Repeat,
    /// A ticket that exists; may be repeated. If left out, every ticket exists
    #[arg(long = "known-ticket", value_name = "ID")]
    known_tickets: Vec<String>,
    /// A ticket that does not exist; may be repeated
    #[arg(long = "unknown-ticket", value_name = "ID")]
    unknown_tickets: Vec<String>,
}

/// Lifetime of a token in seconds; `None` if the answer does not state it.
#[derive(Debug, Clone, Copy)]
struct Life(Option<u64>);

fn read_life(text: &str) -> Result<Life, &'static str> {
    if text == "unstated" {
        return Ok(Life(None));
    }
    let seconds = text.parse().map_err(|_| "expected seconds, or unstated")?;
    Ok(Life(Some(seconds)))
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

pub(crate) async fn run(_global: &Global, args: Args) -> Outcome {
    let listen = args.listen;
    let config = MockConfig::from(args);
    let (id, secret) = (config.client_id.clone(), config.client_secret.clone());
    let faults: Vec<String> = config.faults.iter().map(ToString::to_string).collect();
    let known: Vec<String> = config.known_tickets.iter().flatten().cloned().collect();
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
    for id in known {
        let identifier = MockServal::friendly_identifier(&id);
        output::line(format!("the ticket {id} has the identifier {identifier}"));
    }
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
