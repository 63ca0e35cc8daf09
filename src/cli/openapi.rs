//! `openapi`: prints the OpenAPI document of the API.

use crate::terminal::{Outcome, output};
use crate::web;

#[expect(clippy::unnecessary_wraps, reason = "all commands return an outcome")]
pub(super) fn run() -> Outcome {
    output::line(web::document().trim_end());
    Ok(())
}
