//! Messages and mentions: which may connect, which only refer to a thread, which are noise.
//!
//! Invariant: only what somebody wrote may connect, and never what we wrote ourselves. Edits,
//! deletions and notices refer to a thread at most.

use super::channel;
use super::config::Config;
use super::envelope::{Authorization, BotProfile, Envelope, Inner, Message};
use super::thread;
use crate::domain::event::{ChannelNews, Disposition, Question, Rank};
use crate::domain::ids::{ExternalId, ServalTicketId};
use crate::domain::reason::Reason;
use crate::domain::report::Report;
use crate::sources::hint::HintReader;
use crate::sources::json::field::Field;
use crate::sources::source::Unreadable;

/// The configuration of a workspace.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) config: Config,
    pub(super) hints: HintReader,
}

/// The meaning of an event.
pub(super) struct Verdict {
    pub(super) disposition: Disposition,
    pub(super) external_id: Option<ExternalId>,
    pub(super) content_key: Option<String>,
    pub(super) rank: Rank,
    pub(super) report: Report,
    pub(super) channel: Option<ChannelNews>,
    pub(super) question: Option<Question>,
    pub(super) hint: Option<ServalTicketId>,
}

impl Verdict {
    /// Not a ticket event.
    pub(super) fn ignore(reason: &'static str) -> Self {
        Self::refer(reason, None)
    }

    /// Not a ticket event, but about a known thread.
    pub(super) fn refer(reason: &'static str, external_id: Option<ExternalId>) -> Self {
        Self::new(Disposition::Ignore(reason), external_id)
    }

    /// The event repeats the message `ts` of the thread: what is kept of it goes with that message.
    pub(super) fn about(self, ts: Field<'_>) -> Self {
        let rank = Rank(0, thread::rank(Field::default(), ts).1);
        Self { rank, ..self }
    }

    /// The message `ts` of the thread was deleted. The thread may go on.
    fn of_gone(self, ts: Field<'_>) -> Self {
        let report = Report::MessageDeletion;
        Self { report, ..self }.about(ts)
    }

    fn new(disposition: Disposition, external_id: Option<ExternalId>) -> Self {
        Self {
            disposition,
            external_id,
            content_key: None,
            rank: Rank::default(),
            report: Report::Message,
            channel: None,
            question: None,
            hint: None,
        }
    }
}

/// The two types of event that bring a message. An app that subscribes to both gets both.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Announced {
    Message,
    Mention,
}

/// Decides what a message is, by its subtype.
pub(super) fn sort(
    announced: Announced,
    envelope: &Envelope<'_>,
    event: &Inner<'_>,
    rules: &Rules,
) -> Result<Verdict, Unreadable> {
    let subtype = event.subtype.text();
    let thread = || thread::of(event.channel, event.thread_ts, event.ts);
    Ok(match subtype.as_deref() {
        None if event.subtype.is_given() => Verdict::ignore("notice"),
        None if announced == Announced::Mention && event.edited.is_given() => {
            mentioned_again(envelope, event, rules)?
        }
        // Slack leaves the subtype `message_replied` out when it sends by HTTP.
        None if event.message.object_json().is_some() => thread_update(event)?,
        other if is_post(other) => post(envelope, event, rules)?,
        Some("message_changed") => changed(envelope, event, rules)?,
        Some("message_deleted") => deleted(event)?,
        Some("message_replied") => thread_update(event)?,
        Some("tombstone") => Verdict::refer("root_deleted", thread()).of_gone(event.ts),
        Some("assistant_app_thread") => {
            Verdict::refer("assistant_thread", thread()).about(event.ts)
        }
        Some("document_mention") => Verdict::ignore("document_mention"),
        Some(other) if other.starts_with("channel_") || other.starts_with("group_") => {
            Verdict::ignore("channel_notice")
        }
        Some(_) | None => Verdict::ignore("notice"),
    })
}

/// True for the subtypes of what somebody wrote.
fn is_post(subtype: Option<&str>) -> bool {
    matches!(
        subtype,
        None | Some("file_share" | "thread_broadcast" | "me_message" | "bot_message")
    )
}

/// Something that somebody wrote.
fn post(envelope: &Envelope<'_>, event: &Inner<'_>, rules: &Rules) -> Result<Verdict, Unreadable> {
    let external_id = thread::of(event.channel, event.thread_ts, event.ts);
    let mut disposition = by_author(envelope, event, rules)?;
    let needs_id = matches!(disposition, Disposition::Connect | Disposition::Skip(_));
    if needs_id && external_id.is_none() {
        disposition = Disposition::Ignore("unusable_id");
    }
    let is_wanted = disposition == Disposition::Connect;
    let content_key = content_key(event).filter(|_| is_wanted);
    Ok(Verdict {
        content_key,
        rank: thread::rank(event.thread_ts, event.ts),
        ..Verdict::new(disposition, external_id)
    })
}

fn by_author(
    envelope: &Envelope<'_>,
    event: &Inner<'_>,
    rules: &Rules,
) -> Result<Disposition, Unreadable> {
    let author = Author::read(event)?;
    // The first check that holds decides. Direct messages come first: nothing is kept of one that
    // nobody asked for. Our own messages come before those of bots, because we are a bot too.
    Ok(
        if channel::is_direct(event) && !rules.config.direct_messages {
            Disposition::Ignore(channel::IGNORED)
        } else if event.hidden.is_true() {
            Disposition::Ignore("hidden")
        } else if author.is_own(envelope, rules)? {
            Disposition::Skip(Reason::Echo)
        } else if author.is_slack() {
            Disposition::Ignore("system_message")
        } else if author.is_bot && !author.is_trusted(rules) {
            Disposition::Ignore("bot_message")
        } else if !author.is_bot && author.user.text().is_none() {
            Disposition::Ignore("no_author")
        } else {
            Disposition::Connect
        },
    )
}

/// True if the Serval ticket that the message names may be believed: a trusted sender wrote the
/// message, and nobody has edited it since.
pub(super) fn may_name_ticket(event: &Inner<'_>, rules: &Rules) -> Result<bool, Unreadable> {
    let author = Author::read(event)?;
    let is_trusted = author.is_trusted(rules) || is_among(author.user, &rules.config.trusted_users);
    Ok(is_trusted && !event.edited.is_given())
}

/// Names the message itself, so that its twin is recognised: message and mention, or the same message
/// through another workspace of a shared channel.
fn content_key(event: &Inner<'_>) -> Option<String> {
    let message = thread::of(event.channel, event.ts, event.ts)?;
    Some(format!("msg:{message}"))
}

/// The author of a message, in the several fields in which Slack names one.
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
        // An app id, a configured id, or the bot user of the first installation: each shows that
        // the message is ours.
        let our_app = envelope.api_app_id.text();
        if our_app.is_some() && self.app_ids.iter().any(|id| id.text() == our_app) {
            return Ok(true);
        }
        if [self.user, self.bot_id]
            .into_iter()
            .any(|id| is_among(id, &rules.config.own_ids))
        {
            return Ok(true);
        }
        let installation: Authorization<'_> = envelope
            .authorizations
            .elements()
            .first()
            .copied()
            .unwrap_or_default()
            .object()?
            .unwrap_or_default();
        let our_user = installation.user_id.text();
        Ok(installation.is_bot.is_true() && our_user.is_some() && our_user == self.user.text())
    }

    /// True for Slack itself and for Slackbot.
    fn is_slack(&self) -> bool {
        matches!(self.user.text().as_deref(), Some("USLACK" | "USLACKBOT"))
    }

    fn is_trusted(&self, rules: &Rules) -> bool {
        let [app, profile] = self.app_ids;
        [app, profile, self.bot_id]
            .into_iter()
            .any(|id| is_among(id, &rules.config.trusted_apps))
    }
}

fn is_among(id: Field<'_>, ids: &[String]) -> bool {
    id.text()
        .is_some_and(|id| ids.iter().any(|listed| *listed == id))
}

/// An edit, or an unfurled link, or a root that left its replies behind.
fn changed(
    envelope: &Envelope<'_>,
    event: &Inner<'_>,
    rules: &Rules,
) -> Result<Verdict, Unreadable> {
    let now = Inner::read(event.message)?.unwrap_or_default();
    let before = Message::read(event.previous_message)?.unwrap_or_default();
    let subtype = now.subtype.text();
    let ts = now.ts.or(before.ts);
    // An unfurl or a tombstone may leave `thread_ts` out of the new message. The old one still has
    // it.
    let thread_ts = now.thread_ts.or(before.thread_ts);
    let thread = || thread::of(event.channel, thread_ts, ts);
    Ok(match subtype.as_deref() {
        Some("tombstone") => Verdict::refer("root_deleted", thread()).of_gone(ts),
        Some("assistant_app_thread") => Verdict::refer("assistant_thread", thread()).about(ts),
        // The edited message is judged as if it had just been posted, in the channel of the
        // envelope: the inner message does not repeat the channel.
        subtype if is_post(subtype) && now.ts.is_given() => {
            let message = Inner {
                channel: event.channel,
                channel_type: event.channel_type,
                thread_ts,
                ..now
            };
            edited(envelope, &message, event.ts, rules)?
        }
        _ => Verdict::refer("edited", thread()).about(ts),
    })
}

/// A message as it is now. Only of one that would have been kept the text is wanted.
fn edited(
    envelope: &Envelope<'_>,
    message: &Inner<'_>,
    changed_at: Field<'_>,
    rules: &Rules,
) -> Result<Verdict, Unreadable> {
    // An edit of a message that we would never have kept, such as one of a bot, must not bring its
    // text into the database.
    let original = post(envelope, message, rules)?;
    let edit: Message<'_> = message.edited.object()?.unwrap_or_default();
    let micros = |ts: Field<'_>| ts.text().as_deref().and_then(thread::micros);
    // Edits can arrive out of order. The later of both times orders them; Slack leaves out one or
    // the other.
    let version = micros(edit.ts).max(micros(changed_at));
    let is_kept = matches!(
        original.disposition,
        Disposition::Connect | Disposition::Skip(_)
    );
    let mut verdict = Verdict::refer("edited", original.external_id);
    verdict.rank = Rank(version.unwrap_or(Rank::UNKNOWN), original.rank.1);
    if is_kept {
        verdict.report = Report::MessageEdit;
    }
    Ok(verdict)
}

/// A mention is announced again whenever its message is edited. It may also be announced for the first
/// time: an edit may bring the mention, and not every app is told about other messages.
fn mentioned_again(
    envelope: &Envelope<'_>,
    event: &Inner<'_>,
    rules: &Rules,
) -> Result<Verdict, Unreadable> {
    let as_new = post(envelope, event, rules)?;
    let question = as_new.content_key.map(|content_key| Question::IsNew {
        content_key,
        rank: as_new.rank,
    });
    let verdict = edited(envelope, event, Field::default(), rules)?;
    Ok(Verdict {
        question,
        ..verdict
    })
}

fn deleted(event: &Inner<'_>) -> Result<Verdict, Unreadable> {
    let before = Message::read(event.previous_message)?;
    // Only the message tells its thread.
    let question = (before
        .is_none()
        .then(|| channel::id(event.channel))
        .flatten())
    .map(|channel| Question::WhichTicket { channel });
    let before = before.unwrap_or_default();
    let ts = event.deleted_ts.or(before.ts);
    let thread = thread::of(event.channel, before.thread_ts, ts);
    let verdict = Verdict::refer("deleted", thread).of_gone(ts);
    Ok(Verdict {
        question,
        ..verdict
    })
}

/// The root's count of replies went up; the reply comes as an event of its own.
fn thread_update(event: &Inner<'_>) -> Result<Verdict, Unreadable> {
    let root = Message::read(event.message)?.unwrap_or_default();
    let thread = thread::of(event.channel, root.thread_ts, root.ts);
    Ok(Verdict::refer("thread_update", thread).about(root.ts))
}
