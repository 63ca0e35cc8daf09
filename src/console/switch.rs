//! The switch of all calls to Serval.

use axum::extract::State;
use axum::response::Response;

use super::Console;
use super::fault::{Fault, sentence};
use super::flash::Flash;
use super::form::Action;
use crate::operator::{Refusal, Why};

/// Pauses or resumes.
pub(super) async fn set(
    State(console): State<Console>,
    Action { viewer, fields }: Action,
) -> Result<Response, Fault> {
    let paused = match fields.get("do") {
        Some("pause") => true,
        Some("resume") => false,
        _ => return Err(Fault::malformed("The form says neither pause nor resume.")),
    };
    let why = match Why::read(fields.get("reason")) {
        Ok(why) => why,
        Err(refusal) => return Ok(refused(&refusal).at("/")),
    };
    console.desk().pause(&viewer.operator, paused, &why).await?;
    let said = if paused {
        "Calls to Serval are paused. Webhooks are stored all the same."
    } else {
        "Calls to Serval are made again."
    };
    Ok(Flash::done(said).at("/"))
}

/// A refusal as a message.
pub(super) fn refused(refusal: &Refusal) -> Flash {
    Flash::refused(sentence(&refusal.to_string()))
}
