//! Authenticating a request over its raw bytes: signatures, tokens, time windows.

pub mod request;
pub mod schemes;
pub mod signature;
