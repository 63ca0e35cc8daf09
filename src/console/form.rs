//! What a form sent.
//!
//! Invariant: the only readers of a form, and they read none that does not carry what its page was
//! given. [`Action`] reads those that change something: not of whoever may only look.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use subtle::ConstantTimeEq as _;

use super::Console;
use super::access::Viewer;
use super::fault::Fault;

/// The field that says that a form is of a page of ours.
const CSRF: &str = "csrf";

/// The fields of a form.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    fn read(body: &[u8]) -> Self {
        let decode = |part: &str| {
            let spaced = part.replace('+', " ");
            percent_encoding::percent_decode_str(&spaced)
                .decode_utf8_lossy()
                .into_owned()
        };
        let text = String::from_utf8_lossy(body);
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let split = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self(
            split
                .map(|(name, value)| (decode(name), decode(value)))
                .collect(),
        )
    }

    /// A field, without the blanks around it. Empty is as good as none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let named = self.0.iter().filter(|(key, _)| key == name);
        named
            .map(|(_, value)| value.trim())
            .find(|value| !value.is_empty())
    }

    /// All fields of a name that are not empty.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(key, _)| key == name);
        named
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The fields whose names begin with `prefix`, named by the rest.
    pub(super) fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .iter()
            .filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, value.trim())))
            .filter(|(_, value)| !value.is_empty())
    }
}

/// A form of a page of ours.
#[derive(Debug)]
pub(super) struct Form {
    /// Who sent it.
    pub(super) viewer: Viewer,
    /// Its fields.
    pub(super) fields: Fields,
}

impl FromRequest<Console> for Form {
    type Rejection = Fault;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Fault> {
        let Some(viewer) = request.extensions().get::<Viewer>().cloned() else {
            return Err(Fault::forbidden("Nobody is logged in."));
        };
        let fields = fields(request, console).await?;
        let sent = fields.get(CSRF).unwrap_or_default();
        if !bool::from(sent.as_bytes().ct_eq(viewer.csrf.as_bytes())) {
            return Err(Fault::forbidden(
                "This form is not of this session: it was opened before you logged in, or another \
                 site sent it. Go back, reload the page and try again.",
            ));
        }
        Ok(Self { viewer, fields })
    }
}

/// A form that changes something.
#[derive(Debug)]
pub(super) struct Action {
    /// Who sent it.
    pub(super) viewer: Viewer,
    /// Its fields.
    pub(super) fields: Fields,
}

impl FromRequest<Console> for Action {
    type Rejection = Fault;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Fault> {
        let Form { viewer, fields } = Form::from_request(request, console).await?;
        if !viewer.may_act() {
            return Err(Fault::forbidden(
                "Your token may only look. Log in with one of admin.tokens to do this.",
            ));
        }
        Ok(Self { viewer, fields })
    }
}

/// The fields of a form, whoever sent it: for the login, before which there is no session.
pub(super) async fn fields(request: Request, console: &Console) -> Result<Fields, Fault> {
    let body = Bytes::from_request(request, console)
        .await
        .map_err(|rejection| {
            let status = rejection.status();
            if status == StatusCode::PAYLOAD_TOO_LARGE {
                Fault::new(status, "The form is too large.")
            } else {
                Fault::malformed("The form did not arrive as a whole.")
            }
        })?;
    Ok(Fields::read(&body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_and_empty_ones_left_out() {
        let fields = Fields::read(b"a=1+2%26&a=%20&a=x&t:s%3AC1=id&t:=&b&%ff=%ff");
        assert_eq!(fields.get("a"), Some("1 2&"));
        assert_eq!(fields.all("a").collect::<Vec<_>>(), ["1 2&", "x"]);
        assert_eq!(fields.get("b"), None);
        assert_eq!(fields.below("t:").collect::<Vec<_>>(), [("s:C1", "id")]);
    }
}
