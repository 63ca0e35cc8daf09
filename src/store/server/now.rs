//! The clock of the server, by which all replicas go.

/// The time in milliseconds, as a part of a statement.
macro_rules! server_now {
    () => {
        "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
    };
}
pub(super) use server_now;
