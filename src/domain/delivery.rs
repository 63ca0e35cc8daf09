//! The policy of deliveries.
