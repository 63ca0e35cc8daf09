//! Pauses and resumes all calls to Serval.

use axum::response::Response;

use crate::web::console::frame::{Action, Fault, Flash};

/// Pauses or resumes.
pub(crate) async fn set(Action(view): Action) -> Result<Response, Fault> {
    let paused = match view.fields.get("do") {
        Some("pause") => true,
        Some("resume") => false,
        _ => return Err(Fault::malformed("The form must name pause or resume.")),
    };
    let done = async {
        let why = view.why()?;
        view.operators().pause(view.who(), paused, &why).await
    };
    let flash = Flash::of(done.await, |()| {
        Flash::done(if paused {
            "Calls to Serval are paused. Webhooks are still stored."
        } else {
            "Calls to Serval are resumed."
        })
    })?;
    Ok(flash.at("/"))
}
