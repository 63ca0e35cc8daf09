//! The ways a `ServiceNow` sender proves itself: Standard Webhooks, bearer token, basic.
