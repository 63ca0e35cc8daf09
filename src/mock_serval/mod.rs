//! A stand-in for Serval, for rehearsals and tests: strict about requests, with faults to switch on.
