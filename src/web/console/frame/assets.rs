//! The style, the script and the icon: compiled in, and named by their content, so that browsers may
//! keep them without asking again.

use std::sync::LazyLock;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("../assets/console.css");
const SCRIPT: &str = include_str!("../assets/console.js");
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const ICON: &str = include_str!("../assets/icon.svg");

/// The addresses of the assets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) style: String,
    pub(crate) script: String,
    pub(crate) icon: String,
}

pub(crate) fn names() -> &'static Names {
    static NAMES: LazyLock<Names> = LazyLock::new(|| Names {
        style: format!("/assets/{}.css", tag(STYLE)),
        script: format!("/assets/{}.js", tag(SCRIPT)),
        icon: format!("/assets/{}.svg", tag(ICON)),
    });
    &NAMES
}

/// The first half of the SHA-256.
fn tag(content: &str) -> String {
    hex::encode(&Sha256::digest(content)[..16])
}

pub(crate) type Asset = ([(HeaderName, HeaderValue); 2], &'static str);

/// The asset with this name.
pub(crate) fn find(name: &str) -> Option<Asset> {
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
        (CACHE_CONTROL, HeaderValue::from_static(IMMUTABLE)),
    ];
    Some((headers, content))
}
