//! Ingest plan.
