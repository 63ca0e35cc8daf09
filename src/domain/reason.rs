//! Reasons: why an event is in its state, where the state alone does not tell.

use super::words::words;

words! {
    /// Reason for a state. A new one needs a text in the console, which does not compile without it,
    /// and a line in `docs/states.md`, which a test checks.
    ///
    /// Stored events may have other reasons: the words of an operator who replayed them, or a reason
    /// of another version. Views hold reasons as texts for that; the console shows the word itself
    /// and a general text for its state.
    pub enum Reason {
        /// A mapping was written or changed.
        Mapped = "mapped",
        /// The event that was to be sent for its external ticket was deleted.
        StandsIn = "stands_in",
        /// The payload names a Serval ticket that the mapping does not name; Serval is asked about it.
        Learning = "learning",
        /// An echo names a Serval ticket: it teaches the mapping, but connects nothing.
        LearningEcho = "learning_echo",
        /// Serval was found to have the pair.
        AlreadyLinked = "already_linked",
        /// Serval has the pair since an earlier call.
        AlreadyConnected = "already_connected",
        /// Another event represents the external ticket better.
        Superseded = "superseded",
        /// Another event brought the same content.
        Duplicate = "duplicate",
        /// The record or message was deleted before it was sent.
        Deleted = "deleted",
        /// Written by Serval or by this integration.
        Echo = "echo",
        /// Its channel was archived while it was parked.
        ChannelArchived = "channel_archived",
        /// Its channel was deleted, and its message with it.
        ChannelDeleted = "channel_deleted",
        /// No mapping exists.
        NoMapping = "no_mapping",
        /// The payload names two classes.
        ClassConflict = "class_conflict",
        /// A fault lasted for longer than `delivery.give_up_after`.
        GaveUp = "gave_up",
        /// Serval has connected the external ticket, but not to this Serval ticket.
        Conflict = "conflict",
        /// Serval does not know the Serval ticket.
        NotFound = "not_found",
        /// The credentials may not connect this Serval ticket.
        PermissionDenied = "permission_denied",
        /// Serval refuses the request.
        InvalidArgument = "invalid_argument",
        /// The Serval ticket cannot be connected in its state.
        FailedPrecondition = "failed_precondition",
        /// Serval refuses a value of the request.
        OutOfRange = "out_of_range",
        /// Serval knows the ticket, but not a call, or what else the call names.
        Unimplemented = "unimplemented",
        /// The source is not configured any more.
        UnknownSource = "unknown_source",
        /// The stored row cannot be read.
        BrokenRow = "broken_row",
        ;
        /// A source ignores the event, with a reason that its kind gives.
        Ignored(&'static str)
    }
}

impl Reason {
    /// Explains why an event that died of this must never be sent again. `None`: it may be sent.
    pub fn forbids_replay(self) -> Option<&'static str> {
        (self == Self::ClassConflict).then_some(
            "its class is in doubt, so it could connect as what it is not; mend the sender: the \
             record's next update is a new event",
        )
    }
}
