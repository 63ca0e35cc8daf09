//! The edges of the program: the clock, HTTP clients, certificates, metrics, the log and traces, the
//! privacy of the memory, the secrets that no text from outside may repeat, ranges of time, and values that are
//! replaced while others read them. Each exists once, and is used by all rooms.

pub mod blot;
pub mod clock;
pub(crate) mod disk;
pub mod live;
pub mod memory;
pub mod metrics;
pub mod outbound;
pub(crate) mod server_url;
pub mod shapes;
pub mod telemetry;
pub mod tls;
pub(crate) mod units;
pub mod window;
