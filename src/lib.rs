//! Turns `ServiceNow` and Slack webhooks into Serval connect calls, and loses none of them.
//!
//! A webhook is verified, stored and acknowledged. A worker then makes the connect call for it and
//! retries for as long as that takes. The two halves meet only in the store: an acknowledged webhook
//! is on disk, so the process may be killed between any two steps. This page is the map of the code.
//!
//! # Who may use whom
//!
//! ```text
//! main ── cli ──┬── process ──┬── web ── operators ──┬── sources ──┐
//!               │             └── delivery ──────────┼── store ────┼── domain
//!               │                                    └── serval ───┘
//!               └── rehearsal (no part of the daemon)
//!
//! beside: config    reads files and the environment; knows the settings of the rooms it configures
//!         edge      clock, HTTP clients, TLS files, metrics, log and traces: used by all but domain
//!         terminal  what all commands share; for cli and rehearsal
//! ```
//!
//! A room uses rooms to its right or on its level, never the other way round. `web` and `delivery` do not know
//! each other's work: operators see only the [`Monitor`](delivery::Monitor) of the worker, to show it
//! and to pause it. `domain` and `sources` have no I/O, no clock and nothing asynchronous.
//! `tests/it/layers` holds these borders: `MAY_USE` is the exact table.
//!
//! # The rooms, in the order to read them
//!
//! [`domain`]: the rules. Identifiers that are checked where they enter ([`domain::ids`]), events and
//! their states ([`domain::event`]), where a new event goes ([`domain::ingest`]), what the end of a
//! call means ([`domain::delivery`]), when to try again ([`domain::retry`]). Every decision is a pure
//! function with a table of tests.
//!
//! [`sources`]: the systems that send webhooks. Each kind of source is one folder that implements
//! [`sources::Kind`] and [`sources::Source`]: its configuration, how its webhooks are authenticated,
//! what they mean and how they are answered. No other room names a system in its code. Nothing is parsed before it
//! is verified, by type. Nothing is printed again: an event points at its bytes in the body.
//!
//! [`store`]: the inbox, the queue and the mappings, in `SQLite`. The only room that knows SQL. All
//! writes go through one [`Writer`](store::Writer), which runs those that wait in one transaction and
//! answers after the commit. Every change of state is guarded by the state it expects, and is kept
//! with its time and reason.
//!
//! [`serval`]: the client of Serval's public API. Fetches one token for all callers, makes calls, and
//! reads every refusal into one [`ServalError`](serval::ServalError). Decides nothing.
//!
//! [`delivery`]: the worker. It makes a call only under a claim, and ends a claim with one settlement or one lesson.
//! [`delivery::gate`] decides whether a call may be made now; [`delivery::classify`] reads failures;
//! the policy is in [`domain::delivery`].
//!
//! [`operators`]: what a person may see and do, for the API and the console alike: tokens and their
//! scopes, the actions, and the audit of who did what and why.
//!
//! [`web`]: the two listeners. The public one has the webhooks and `/healthz`; the admin one has the
//! API, the console, `/metrics` and `/readyz`. A 2xx for a webhook is made only from what the store
//! has committed.
//!
//! [`config`]: reads the layers of the configuration, and is the only reader of the environment. No
//! error and no report holds a secret.
//!
//! [`edge`]: the clock, HTTP clients (always with timeouts), TLS files, metrics, the log and traces.
//! `.clippy.toml` forbids the ways around them.
//!
//! [`process`]: builds the daemon, starts and stops its tasks, and reloads the configuration.
//!
//! [`cli`]: one file for each command. `terminal` has what the commands share, and prints.
//!
//! [`rehearsal`]: plays the other side: a strict stand-in for Serval, a signer of webhooks, the demo.
//!
//! # The path of one webhook
//!
//! 1. *Receive.* [`web::public_router`] routes `POST /webhooks/{source}` and `POST /webhooks/{source}/{table}`, and reads the body within its
//!    size limit and time limit. An unknown source is a 404.
//! 2. *Verify.* [`Source::verify`](sources::Source::verify) checks the raw bytes against every
//!    secret and turns [`Unverified`](sources::Unverified) into [`Verified`](sources::Verified). A
//!    credential that is present and wrong is a 401, even if a weaker one would have passed.
//! 3. *Interpret.* [`Source::interpret`](sources::Source::interpret) returns a
//!    [`Receipt`](sources::Receipt): a challenge to answer, or
//!    [`NewEvent`](domain::event::NewEvent)s, each with a
//!    [`Disposition`](domain::event::Disposition). A body that is not JSON is a 400, a record without a
//!    usable id a 422; nothing of either is stored.
//! 4. *Store.* [`Store::record`](store::Store::record) hands the events to the writer. In one
//!    transaction it finds duplicates by delivery id and by content, and
//!    [`ingest::place`](domain::ingest::place) decides the state of each event: `queued`, `parked`,
//!    `skipped`, `ignored` or `dead`.
//! 5. *Acknowledge.* After the commit: 202 with the ids of the events, or Slack's empty 200. If nothing
//!    could be stored: 503 with `Retry-After`.
//! 6. *Claim.* While nothing else is due and the [`Worker`](delivery::Worker) has free slots, step 4
//!    claims the event as it stores it, and the worker [receives it](store::Store::handed_off) after
//!    the commit. Otherwise the commit wakes the worker, and
//!    [`Store::claim_or_offer`](store::Store::claim_or_offer) claims what is due: the oldest event of
//!    each external ticket, and at most one.
//! 7. *Connect.* If the payload names a Serval ticket that the mapping does not, `delivery::learn`
//!    asks Serval about it, and [`Store::learn`](store::Store::learn) writes the mapping or a
//!    conflict; the event is claimed again. Then `delivery::connect` has
//!    [`ServalClient::connect`](serval::ServalClient::connect) send the stored object byte for
//!    byte. If an earlier call may have arrived, it reads the ticket's
//!    [links](serval::ServalClient::external_tickets) first. No transaction is open meanwhile.
//! 8. *Decide.* [`classify`](delivery::classify::classify) reads a failure, and
//!    [`decide`](domain::delivery::decide) returns what comes [next](domain::delivery::Next): retry,
//!    hold all calls, or give up.
//! 9. *Settle.* [`Store::settle`](store::Store::settle) writes the attempt and the new state in one
//!    transaction, only for the holder of the claim. Once a pair is linked, other queued events of the
//!    pair end as `skipped`, unless changed records are sent again (`reconnect`).
//!
//! A crash before 5: the webhook was never acknowledged, so the sender repeats it. A crash after 5: the
//! event is in the queue. If it was claimed, the claim is void at the next start and its pair is *in
//! doubt*, so that step 7 reads the links first.
//!
//! # Glossary
//!
//! Comments, messages and documents use these words, each for one thing.
//!
//! | word | meaning |
//! |---|---|
//! | source | a configured sender of webhooks, `[sources.<name>]` |
//! | kind | the system behind a source, such as `slack` |
//! | webhook | one HTTP request of a source |
//! | event | one thing that a webhook reports, as stored in the inbox |
//! | inbox | the stored events |
//! | external ticket | what an event is about: a source and an external id |
//! | Serval ticket | the ticket at Serval, named by its ticket id |
//! | object | the JSON of the external ticket that is sent to Serval |
//! | mapping | external ticket → Serval ticket |
//! | hint | a Serval ticket that a payload names, before Serval was asked about it |
//! | learn | write the mapping that a hint names, after asking Serval; the *lesson* is Serval's answer |
//! | conflict | a payload names another Serval ticket than the mapping, or that of a copy in another source |
//! | connect | the call that links an external ticket to a Serval ticket |
//! | link | what Serval keeps after a connect; to *unlink* is to remove it |
//! | pair | an external ticket and a Serval ticket that are, or were, linked |
//! | queued, parked, connected, skipped, ignored, expired, dead | the states of an event |
//! | claim | the exclusive right to work on one event, until it is settled or runs out |
//! | settle | end a claim: write the attempt and the event's next state |
//! | attempt | one try of a connect call, as stored |
//! | in doubt | Serval may have the pair, since an earlier call may have arrived: read the links before the next call |
//! | retry | the same event again, after a backoff |
//! | circuit breaker | stops all calls while Serval refuses or fails; a *probe* is its test call |
//! | step | the clock shows another time than may have passed: it was set, or the daemon was off for long |
//! | slot | permission for one call in flight (`delivery.concurrency`) |
//! | pace | the limit of calls per second (`delivery.rate`) |
//! | replay | a person queues a dead or expired event again, or an ignored one that its source would connect now |
//! | retention | deletes bodies and events after their time |
//! | uptime | the time that counts for ages: in which the daemon was up, and the clock made no step |
//! | operator | a person with an admin token |
//! | round trip | one request to the `SQLite` thread and its answer |

pub mod domain;
pub mod sources;
pub mod store;

pub mod serval;

pub mod delivery;
pub mod operators;

pub mod web;

pub mod config;
pub mod edge;
pub mod process;

pub mod cli;
mod terminal;

pub mod rehearsal;
