//! Serval's public API, as far as the product needs it: the token, connect, and the links of a ticket.
//!
//! Invariant: the only module that knows Serval's wire format.
