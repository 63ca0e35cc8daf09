//! Which replica makes the calls: the *leader*. The others store webhooks and answer people.
//!
//! That is for order and economy only: one circuit breaker, one pace, one unlink at a time. That no ticket is called
//! twice at once is up to the claims, which are rows of the database, and to the fence: see
//! [`Replica::may_call`](super::replica::Replica::may_call). So two leaders for a moment make no call twice. Unlinks have
//! no claims: one that a leader had begun before it lost the lead may end after a call of the next leader.

/// The leader, as a replica sees it. By the clock of the database, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leader {
    pub(super) is_me: bool,
    /// Time since its last beat; `None`: it has signed off, or never was.
    pub(super) silent_ms: Option<i64>,
    /// False if its session at the server has ended, so that its process is dead or cut off.
    pub(super) is_connected: bool,
}

/// Decision of a replica about the lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lead {
    /// This replica is the leader.
    Keep,
    /// This replica becomes the leader.
    Take,
    /// Another one is.
    Follow,
}

/// Decides about the lead. `patience_ms`: how long a leader may be silent.
pub(super) fn decide(leader: Leader, patience_ms: i64) -> Lead {
    if leader.is_me {
        return Lead::Keep;
    }
    let is_silent = leader.silent_ms.is_none_or(|silent| silent > patience_ms);
    if is_silent || !leader.is_connected {
        Lead::Take
    } else {
        Lead::Follow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_that_is_silent_or_gone_is_replaced_and_no_other() {
        let rows = [
            (true, Some(0), true, Lead::Keep),
            // Its own session is a new one after a cut.
            (true, Some(60_000), false, Lead::Keep),
            (false, Some(0), true, Lead::Follow),
            (false, Some(10_000), true, Lead::Follow),
            (false, Some(10_001), true, Lead::Take),
            (false, Some(0), false, Lead::Take),
            (false, None, false, Lead::Take),
            (false, None, true, Lead::Take),
        ];
        for (is_me, silent_ms, is_connected, expected) in rows {
            let leader = Leader {
                is_me,
                silent_ms,
                is_connected,
            };
            assert_eq!(decide(leader, 10_000), expected, "{leader:?}");
        }
    }
}
