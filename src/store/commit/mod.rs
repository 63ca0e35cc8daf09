//! The one writer: gathers the writes that wait, runs them in one transaction, and answers after the commit.

pub(crate) mod counts;
pub(crate) mod effects;
pub(crate) mod fault;
pub(crate) mod group;
pub(crate) mod growth;
pub(crate) mod heard;
pub(crate) mod importing;
pub(crate) mod job;
pub(crate) mod save;
pub(crate) mod tally;
pub(crate) mod turn;
pub(crate) mod tx;
pub(crate) mod writer;
