//! The two listeners: the public one receives webhooks, the admin one serves operators.
//!
//! Invariant: a webhook is answered with 2xx only after the store has committed it.
//!
//! Three types carry errors. [`Refusal`](crate::operators::Refusal) is why an action was refused,
//! without a status. A handler of the API or of webhooks returns a [`Problem`], which is sent as JSON;
//! a page of the console returns a `Fault`, which is sent as HTML. Both are made from a `Refusal`, so
//! their statuses agree.

mod admission;
#[expect(unused_qualifications, reason = "written by the macro of utoipa")]
pub mod api;
mod browsers;
pub mod console;
mod extract;
mod health;
mod in_process;
pub mod listener;
mod metrics;
mod observe;
mod openapi;
mod plain;
mod problem;
mod ready;
mod refusals;
mod routes;
mod state;
mod webhooks;

pub use admission::RequestLimit;
pub use admission::bodies::Bodies;
pub use api::MAX_IMPORT;
pub use in_process::{InProcess, Pieces};
pub use problem::Problem;
pub use refusals::Refusals;
pub use routes::{admin_router, document, public_router};
pub use state::AppState;

#[cfg(test)]
mod tests;
