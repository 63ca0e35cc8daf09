//! The style, the script and the icon: compiled in, named by their content, kept for ever.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::IntoResponse;
use sha2::{Digest as _, Sha256};

use super::fault::Fault;

const STYLE: &str = include_str!("assets/console.css");
const SCRIPT: &str = include_str!("assets/console.js");
/// Under a name that stands for the content.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const ICON: &str = include_str!("assets/icon.svg");

/// The addresses of the assets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
}

/// The addresses, which change with the content.
pub(super) fn names() -> &'static Names {
    static NAMES: LazyLock<Names> = LazyLock::new(|| Names {
        style: format!("/assets/{}.css", tag(STYLE)),
        script: format!("/assets/{}.js", tag(SCRIPT)),
        icon: format!("/assets/{}.svg", tag(ICON)),
    });
    &NAMES
}

/// The first half of the SHA-256.
fn tag(content: &str) -> String {
    let hash = Sha256::digest(content);
    hash.iter().take(16).fold(String::new(), |mut text, byte| {
        // A string takes all that is written.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

type Asset = ([(HeaderName, HeaderValue); 2], &'static str);

/// Serves one.
pub(super) async fn serve(Path(name): Path<String>) -> Result<impl IntoResponse, Fault> {
    find(&name).ok_or_else(|| Fault::missing("No such file."))
}

fn find(name: &str) -> Option<Asset> {
    let names = names();
    let path = format!("/assets/{name}");
    let (kind, content) = match path {
        path if path == names.style => ("text/css; charset=utf-8", STYLE),
        path if path == names.script => ("text/javascript; charset=utf-8", SCRIPT),
        path if path == names.icon => ("image/svg+xml", ICON),
        _ => return None,
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CACHE_CONTROL, HeaderValue::from_static(FOR_EVER)),
    ];
    Some((headers, content))
}
