//! Messages and mentions: which may connect, which only refer to a thread, which are noise.
//!
//! Invariant: only what somebody wrote may connect, and never what we wrote ourselves. Edits,
//! deletions and notices carry a thread at most.

use super::envelope::{Authorization, BotProfile, Envelope, Field, Inner, Message};
use super::thread;
use crate::domain::event::{ChannelMove, Disposition, Rank};
use crate::domain::ids::{ExternalId, ServalTicketId};
use crate::sources::Unreadable;
use crate::sources::hint::HintReader;

/// The workspace's wishes.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) direct_messages: bool,
    pub(super) trusted_apps: Vec<String>,
    pub(super) trusted_users: Vec<String>,
    pub(super) own_ids: Vec<String>,
    pub(super) metadata_keys: Vec<String>,
    pub(super) hints: HintReader,
}

/// What becomes of an event, and what it is about.
pub(super) struct Verdict {
    pub(super) disposition: Disposition,
    pub(super) external_id: Option<ExternalId>,
    pub(super) content_key: Option<String>,
    pub(super) rank: Rank,
    pub(super) channel_move: Option<ChannelMove>,
    pub(super) hint: Option<ServalTicketId>,
}

impl Verdict {
    /// Not a ticket event.
    pub(super) fn ignore(reason: &'static str) -> Self {
        Self::refer(reason, None)
    }

    /// Not a ticket event, but about a known thread.
    pub(super) fn refer(reason: &'static str, external_id: Option<ExternalId>) -> Self {
        Self {
            disposition: Disposition::Ignore(reason),
            external_id,
            content_key: None,
            rank: Rank::default(),
            channel_move: None,
            hint: None,
        }
    }
}

/// The two types of event that bring a message. Where both are subscribed to, both come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Mention,
}

/// Says what a message is.
pub(super) fn sort(
    kind: Kind,
    envelope: &Envelope<'_>,
    event: &Inner<'_>,
    rules: &Rules,
) -> Result<Verdict, Unreadable> {
    let subtype = event.subtype.text();
    let thread = || thread::of(event.channel, event.thread_ts, event.ts);
    Ok(match subtype.as_deref() {
        None if event.subtype.is_given() => Verdict::ignore("notice"),
        // A mention is announced again whenever its message is edited.
        None if kind == Kind::Mention && event.edited.is_given() => {
            Verdict::refer("edited", thread())
        }
        // Slack forgets the subtype `message_replied` when it sends by HTTP.
        None if event.message.object_json().is_some() => thread_update(event)?,
        None | Some("file_share" | "thread_broadcast" | "me_message" | "bot_message") => {
            post(envelope, event, rules)?
        }
        Some("message_changed") => changed(event)?,
        Some("message_deleted") => deleted(event)?,
        Some("message_replied") => thread_update(event)?,
        Some("tombstone") => Verdict::refer("root_deleted", thread()),
        Some("assistant_app_thread") => Verdict::refer("assistant_thread", thread()),
        Some("document_mention") => Verdict::ignore("document_mention"),
        Some(other) if other.starts_with("channel_") || other.starts_with("group_") => {
            Verdict::ignore("channel_notice")
        }
        Some(_) => Verdict::ignore("notice"),
    })
}

/// Something that somebody wrote.
fn post(envelope: &Envelope<'_>, event: &Inner<'_>, rules: &Rules) -> Result<Verdict, Unreadable> {
    let external_id = thread::of(event.channel, event.thread_ts, event.ts);
    let judged = judge(envelope, event, rules)?;
    let needs_id = matches!(judged, Disposition::Connect | Disposition::Skip(_));
    let disposition = if needs_id && external_id.is_none() {
        Disposition::Ignore("unusable_id")
    } else {
        judged
    };
    let content_key = (disposition == Disposition::Connect)
        .then(|| content_key(envelope, event))
        .flatten();
    Ok(Verdict {
        channel_move: None,
        disposition,
        external_id,
        content_key,
        rank: thread::rank(event.thread_ts, event.ts),
        hint: None,
    })
}

fn judge(
    envelope: &Envelope<'_>,
    event: &Inner<'_>,
    rules: &Rules,
) -> Result<Disposition, Unreadable> {
    let author = Author::read(event)?;
    // Before all else: of a direct message that nobody asked for, nothing is kept.
    let disposition = if is_direct(event) && !rules.direct_messages {
        Disposition::Ignore("direct_message")
    } else if event.hidden.is_true() {
        Disposition::Ignore("hidden")
    } else if author.is_own(envelope, rules)? {
        Disposition::Skip("echo")
    } else if author.is_slack() {
        Disposition::Ignore("system_message")
    } else if author.is_bot {
        if author.is_trusted(rules) {
            Disposition::Connect
        } else {
            Disposition::Ignore("bot_message")
        }
    } else if author.user.text().is_none() {
        Disposition::Ignore("no_author")
    } else {
        Disposition::Connect
    };
    Ok(disposition)
}

/// Whether the Serval ticket that the message names may be believed: somebody who is trusted wrote
/// it, and nobody edited it since.
pub(super) fn may_name_ticket(event: &Inner<'_>, rules: &Rules) -> Result<bool, Unreadable> {
    let author = Author::read(event)?;
    let is_trusted = author.is_trusted(rules) || is_among(author.user, &rules.trusted_users);
    Ok(is_trusted && !event.edited.is_given())
}

/// Names the message itself, so that its twin is known as such.
fn content_key(envelope: &Envelope<'_>, event: &Inner<'_>) -> Option<String> {
    let message = thread::of(event.channel, event.ts, event.ts)?;
    let team = envelope.team_id.text().filter(|team| team.len() <= 64);
    Some(format!("msg:{}:{message}", team.unwrap_or_default()))
}

fn is_direct(event: &Inner<'_>) -> bool {
    let channel = event.channel.text();
    let channel_type = event.channel_type.text();
    channel.is_some_and(|id| id.starts_with('D'))
        || matches!(channel_type.as_deref(), Some("im" | "mpim" | "app_home"))
}

/// Who wrote a message, in the several ways in which Slack says so.
struct Author<'a> {
    user: Field<'a>,
    bot_id: Field<'a>,
    app_ids: [Field<'a>; 2],
    is_bot: bool,
}

impl<'a> Author<'a> {
    fn read(event: &Inner<'a>) -> Result<Self, Unreadable> {
        let profile: Option<BotProfile<'a>> = event.bot_profile.object()?;
        Ok(Self {
            user: event.user,
            bot_id: event.bot_id,
            is_bot: profile.is_some()
                || event.bot_id.is_given()
                || event.subtype.text().as_deref() == Some("bot_message"),
            app_ids: [event.app_id, profile.unwrap_or_default().app_id],
        })
    }

    fn is_own(&self, envelope: &Envelope<'_>, rules: &Rules) -> Result<bool, Unreadable> {
        let our_app = envelope.api_app_id.text();
        if our_app.is_some() && self.app_ids.iter().any(|id| id.text() == our_app) {
            return Ok(true);
        }
        if [self.user, self.bot_id]
            .into_iter()
            .any(|id| is_among(id, &rules.own_ids))
        {
            return Ok(true);
        }
        let installation: Authorization<'_> = envelope
            .authorizations
            .first()
            .object()?
            .unwrap_or_default();
        let our_user = installation.user_id.text();
        Ok(installation.is_bot.is_true() && our_user.is_some() && our_user == self.user.text())
    }

    /// Slack itself, or Slackbot.
    fn is_slack(&self) -> bool {
        matches!(self.user.text().as_deref(), Some("USLACK" | "USLACKBOT"))
    }

    fn is_trusted(&self, rules: &Rules) -> bool {
        let [app, profile] = self.app_ids;
        [app, profile, self.bot_id]
            .into_iter()
            .any(|id| is_among(id, &rules.trusted_apps))
    }
}

fn is_among(id: Field<'_>, ids: &[String]) -> bool {
    id.text()
        .is_some_and(|id| ids.iter().any(|listed| *listed == id))
}

/// An edit, or an unfurled link, or a root that left its replies behind.
fn changed(event: &Inner<'_>) -> Result<Verdict, Unreadable> {
    let now: Message<'_> = event.message.object()?.unwrap_or_default();
    let before: Message<'_> = event.previous_message.object()?.unwrap_or_default();
    let reason = match now.subtype.text().as_deref() {
        Some("tombstone") => "root_deleted",
        Some("assistant_app_thread") => "assistant_thread",
        _ => "edited",
    };
    let thread = thread::of(event.channel, now.thread_ts, now.ts)
        .or_else(|| thread::of(event.channel, before.thread_ts, before.ts));
    Ok(Verdict::refer(reason, thread))
}

fn deleted(event: &Inner<'_>) -> Result<Verdict, Unreadable> {
    let before: Message<'_> = event.previous_message.object()?.unwrap_or_default();
    let thread = thread::of(event.channel, before.thread_ts, event.deleted_ts)
        .or_else(|| thread::of(event.channel, before.thread_ts, before.ts));
    Ok(Verdict::refer("deleted", thread))
}

/// A root's count of replies went up; the reply comes as an event of its own.
fn thread_update(event: &Inner<'_>) -> Result<Verdict, Unreadable> {
    let root: Message<'_> = event.message.object()?.unwrap_or_default();
    let thread = thread::of(event.channel, root.thread_ts, root.ts);
    Ok(Verdict::refer("thread_update", thread))
}
