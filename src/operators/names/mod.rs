//! Names that people have for tickets: those of external tickets, and those of Serval tickets.

mod external;
mod serval;

pub use external::{of_several, unheard};
pub use serval::{NamedTicket, ServalNames, read_serval_ticket};
