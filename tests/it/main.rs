//! Tests of the whole: the real daemon, the real binary, real sockets.

mod demo;
