//! Texts by name that a browser sends: the fields of a form, or the parameters of an address.

use axum::extract::{FromRequest as _, Query, Request};
use axum::http::{StatusCode, Uri};

use super::fault::Fault;
use crate::web::console::state::Console;

/// The fields of a form, or the parameters of an address.
#[derive(Debug, Clone)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The parameters of an address.
    pub(crate) fn of_address(uri: &Uri) -> Result<Self, Fault> {
        let unreadable = |_| Fault::malformed("The address of this page cannot be read.");
        let Query(pairs) = Query::try_from_uri(uri).map_err(unreadable)?;
        Ok(Self(pairs))
    }

    /// The fields of a form from anybody: the login has no session yet.
    pub(crate) async fn of_form(request: Request, console: &Console) -> Result<Self, Fault> {
        let form = axum::Form::from_request(request, console).await;
        let axum::Form(pairs) = form.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "The form is too large.")
            }
            _ => Fault::malformed("The form cannot be read."),
        })?;
        Ok(Self(pairs))
    }

    /// A field without surrounding blanks; `None` if it is empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All fields of this name that are not empty.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.below(name)
            .filter_map(|(rest, value)| rest.is_empty().then_some(value))
    }

    /// The fields whose names begin with `prefix`, which is removed. Empty ones are left out.
    pub(crate) fn below(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, value.trim())))
            .filter(|(_, value)| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_fields_are_left_out() {
        let pairs = [
            ("a", "1 2&"),
            ("a", " "),
            ("a", "x"),
            ("t:s:C1", "id"),
            ("t:", ""),
            ("b", ""),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let fields = Fields(pairs.into());
        assert_eq!(fields.get("a"), Some("1 2&"));
        assert_eq!(fields.all("a").collect::<Vec<_>>(), ["1 2&", "x"]);
        assert_eq!(fields.get("b"), None);
        assert_eq!(fields.below("t:").collect::<Vec<_>>(), [("s:C1", "id")]);
    }
}
