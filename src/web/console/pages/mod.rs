//! One file for each page, named as its template.

pub(super) mod audit;
pub(super) mod chart;
pub(super) mod conflicts;
pub(super) mod dead;
pub(super) mod event;
pub(super) mod events;
pub(super) mod find;
pub(super) mod json;
pub(super) mod mappings;
pub(super) mod overview;
pub(super) mod parked;
pub(super) mod payload;
mod replicas;
pub(super) mod switch;
pub(super) mod ticket;
pub(super) mod verdict;
