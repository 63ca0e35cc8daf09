//! Reads forms.
//!
//! Invariant: a form is read only if it carries the token that its page was given. [`Action`] is for
//! forms that change something, and refuses operators who may only view.

use axum::extract::{FromRequest, Request};
use subtle::ConstantTimeEq as _;

use super::fault::Fault;
use super::fields::Fields;
use super::page::View;
use super::viewer::Viewer;
use crate::web::console::state::Console;

/// Field with the token of the page.
const CSRF: &str = "csrf";

/// A form of a page of ours.
#[derive(Debug)]
pub(crate) struct Form(pub(crate) View);

impl FromRequest<Console> for Form {
    type Rejection = Fault;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Fault> {
        let viewer = request.extensions().get::<Viewer>().cloned();
        let fields = Fields::of_form(request, console).await?;
        let view = View::new(console, viewer, fields)?;
        let sent = view.fields.get(CSRF).unwrap_or_default();
        // In constant time, so that a foreign page cannot guess the token step by step.
        if !bool::from(sent.as_bytes().ct_eq(view.viewer.csrf.as_bytes())) {
            return Err(Fault::forbidden(
                "This form does not belong to this session: it was opened before you logged in, or \
                 another site sent it. Go back, reload the page and try again.",
            ));
        }
        Ok(Self(view))
    }
}

/// A form that changes something, from an operator who may.
#[derive(Debug)]
pub(crate) struct Action(pub(crate) View);

impl FromRequest<Console> for Action {
    type Rejection = Fault;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Fault> {
        let Form(view) = Form::from_request(request, console).await?;
        if !view.viewer.may_act() {
            return Err(Fault::forbidden(
                "Your token may only view. Log in with one of admin.tokens to do this.",
            ));
        }
        Ok(Self(view))
    }
}
