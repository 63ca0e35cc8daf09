//! The admin API of a running daemon, for commands that need it.
