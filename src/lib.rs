//! Turns `ServiceNow` and Slack webhooks into Serval connect calls, and loses none of them.
//!
//! A webhook is checked, stored and acknowledged; a worker then makes the connect call for it, for
//! as long as it takes. The two halves meet in the store only: what was acknowledged is on the
//! disk, so the process may die between any two steps. This page is the map of the code.
//!
//! # Who may know whom
//!
//! ```text
//! main ── cli ── app ──┬── http ─────┬── operator ──┬── sources ──┐
//!                      ├── console ──┘              ├── store ────┼── domain
//!                      └── delivery ────────────────┴── serval ───┘
//!
//! upkeep, of app, uses store and nothing else of these
//!
//! beside: config   reads the environment; serval, delivery and app take their sections from it
//!         clock    time as a parameter    outbound   the one maker of HTTP clients, for serval
//!         live      what is in force      reload     asking for another configuration
//!         listener  sockets, of app       tls        certificates, for config, listener and cli
//!         lifecycle, telemetry            for app and cli
//!         mock_serval, signer             for cli's demo, send and mock-serval, and for tests
//! ```
//!
//! The left uses the right and never the other way round: `http` uses `sources` and `store`,
//! `delivery` uses `store` and `serval`. Of `delivery`, the doors of operators see only the
//! [`Monitor`](delivery::Monitor), to show and to pause it: no webhook goes that way. `domain` and
//! `sources` have no I/O, no clock and nothing asynchronous.
//!
//! # The modules, in the order to read them
//!
//! [`domain`]: the words and the rules. Identifiers that are checked where they enter
//! ([`domain::ids`]), events and their states ([`domain::event`]), where a new event goes
//! ([`domain::ingest`]), what the end of a call means ([`domain::delivery`]), when to try again
//! ([`domain::retry`]). Knows no other module; every decision is a pure function with a table of
//! tests.
//!
//! [`sources`]: what arrives. Each system is a folder that implements [`sources::Source`]: how its
//! webhooks are authenticated, and what they mean. Nothing is parsed before it is verified, by
//! type, and nothing is repaired or printed again: an event points at its bytes in the body.
//!
//! [`store`]: the inbox, the mappings, the claims. The only module that knows SQL. All writes go
//! through one [`Writer`](store::Writer), which lets those that wait share a commit; an answer
//! leaves after the commit that it speaks of. Every change of state is guarded by the state that it
//! expects and is kept with its time and reason. Whatever writes a mapping releases what waits for
//! it in the same transaction.
//!
//! [`serval`]: Serval's public API, and the only module that knows its wire format. Fetches one
//! token for all callers, makes calls, reads every kind of refusal into one
//! [`ServalError`](serval::ServalError). Decides nothing.
//!
//! [`delivery`]: the worker. A call is made only under a claim, and a claim ends in one settlement.
//! [`delivery::line`] says whether calls may be made at all, [`delivery::pace`] how fast,
//! [`delivery::classify`] reads failures; policy is left to [`domain::delivery`].
//!
//! [`operator`]: what a person may see and do, and its rules, for the API and the console alike: tokens
//! and their scopes, the actions of the [`Desk`](operator::Desk), who did them and why.
//!
//! [`console`]: the pages for operators, rendered from templates that are compiled in. Reads the store,
//! acts through the desk, decides nothing.
//!
//! [`http`]: the two listeners. The public one has webhooks and liveness; the admin one has the API
//! and readiness. A 2xx to a webhook is made only from what the store has committed.
//! [`listener`]: their sockets, with the limits of connections and of patience, and their TLS, whose
//! certificates [`tls`] reads.
//!
//! [`config`]: the layers of the configuration, and the only reader of the environment. No error or
//! report holds a secret. Its durations and sizes are read by `units`. What of it can change while
//! the daemon runs is [`live`]: one value for the listeners and one for delivery, each replaced as a
//! whole by the task that [`reload`] asks. A request, like a claim, ends with what it began with.
//!
//! [`clock`], [`outbound`], [`telemetry`], [`lifecycle`]: the edges, each the only one of its kind.
//! The machine's clock; HTTP clients, always with timeouts; the log and the exports of OTLP; tasks, signals and
//! the two stages of a stop. `.clippy.toml` forbids the ways around them.
//!
//! [`metrics`]: what operators watch. Whoever counts is handed the daemon's one
//! [`Metrics`](metrics::Metrics); a scrape asks for the levels of the moment.
//!
//! `upkeep`: deletes what was kept for long enough, in steps that nobody notices.
//!
//! [`app`]: composes all that and decides nothing. [`cli`]: a file for each command, and the one
//! place that prints.
//!
//! [`mock_serval`], [`signer`]: a stand-in for Serval that validates strictly and misbehaves on
//! request, and the other end of the signatures. No part of the daemon.
//!
//! # The path of one webhook
//!
//! 1. *Receive.* [`http::public_router`] routes `POST /webhooks/{source}` to `http::webhooks`,
//!    which reads the body within its limit and time. An unknown source is a 404.
//! 2. *Verify.* [`Source::verify`](sources::Source::verify) checks the raw bytes against every
//!    secret and turns [`Unverified`](sources::Unverified) into [`Verified`](sources::Verified). A
//!    credential that is present and wrong is a 401, also where a weaker one would have passed.
//! 3. *Interpret.* [`Source::interpret`](sources::Source::interpret) answers a
//!    [`Receipt`](sources::Receipt): Slack's challenge, or [`NewEvent`](domain::event::NewEvent)s,
//!    each with a [`Disposition`](domain::event::Disposition). What is not JSON is a 400, a record
//!    without a usable id a 422; nothing of either is stored.
//! 4. *Store.* [`Store::record`](store::Store::record) hands the events to the writer. In one
//!    transaction it finds duplicates by delivery and by content, and has
//!    [`ingest::place`](domain::ingest::place) decide where each event goes: `queued`, `parked`,
//!    `skipped`, `ignored` or `dead`.
//! 5. *Acknowledge.* After the commit: 202 with the events' ids, or Slack's empty 200. When nothing
//!    could be stored: 503 with `Retry-After`.
//! 6. *Claim.* While nothing else is due and the [`Worker`](delivery::Worker) has places, 4 claims the
//!    event as it stores it, and the worker [gets it](store::Store::handed_off) after the commit.
//!    Otherwise the commit wakes the worker. As far as the line allows,
//!    [`Store::claim_or_offer`](store::Store::claim_or_offer) takes what is due, the oldest event of
//!    each external ticket and at most one, and writes down that it did.
//! 7. *Connect.* If the payload names a Serval ticket that the mapping does not, `delivery::learn`
//!    asks Serval about it, and [`Store::learn`](store::Store::learn) writes the mapping or a
//!    conflict; the event is claimed again. Then `delivery::step` has
//!    [`ServalClient::connect`](serval::ServalClient::connect) send the stored object byte for
//!    byte. If an earlier call may have arrived, it looks at the ticket's
//!    [links](serval::ServalClient::external_tickets) first. No transaction is open meanwhile.
//! 8. *Decide.* [`classify`](delivery::classify::classify) reads a failure, and
//!    [`decide`](domain::delivery::decide) says what is [next](domain::delivery::Next): try again,
//!    hold the line, or give up.
//! 9. *Settle.* [`Store::settle`](store::Store::settle) writes the attempt and the new state in one
//!    transaction, for the holder of the claim only. `connected` takes everything else that was
//!    queued for the pair with it, as `skipped`.
//!
//! A crash before 5 was never acknowledged. After it, the event is found in the queue; if it was in
//! hand, its claim is void at the next start and the event is in doubt, so that 7 looks first.

pub mod domain;
pub mod sources;
pub mod store;

pub mod serval;

pub mod delivery;
pub mod operator;

pub mod console;
pub mod http;

pub mod config;
pub mod reload;
pub(crate) mod units;

pub mod clock;
pub mod live;
pub mod metrics;
pub mod outbound;
pub mod telemetry;
pub mod tls;

pub mod lifecycle;

pub mod listener;

pub mod app;
pub mod cli;
pub(crate) mod upkeep;

pub mod mock_serval;
pub mod signer;
