//! The addresses of calls, and their names in errors.

use reqwest::Url;

/// The address of a call, and its name in errors.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) url: Url,
    /// The address with names instead of ids: errors are shown to anybody.
    pub(super) name: String,
}

/// `{base}/v2/{path}`. A segment such as `{ticket}` is replaced by the next one of `ids`,
/// percent-encoded.
pub(super) fn route(base: &Url, path: &str, ids: &[&str]) -> Route {
    let mut ids = ids.iter().copied();
    let segments = path.split('/').map(|segment| {
        let id = segment.starts_with('{').then(|| ids.next());
        id.flatten().unwrap_or(segment)
    });
    let mut url = base.clone();
    url.path_segments_mut()
        .expect("an http URL has a path")
        .pop_if_empty()
        .push("v2")
        .extend(segments);
    let name = format!("{}/v2/{path}", base.as_str().trim_end_matches('/'));
    Route { url, name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_holds_no_id_and_an_id_is_one_segment() {
        for (base, place) in [
            ("https://serval.example", "https://serval.example"),
            (
                "https://gw.example:8443/serval/",
                "https://gw.example:8443/serval",
            ),
        ] {
            let base = Url::parse(base).unwrap();
            let path = "tickets/{ticket}/disconnect/{source}";
            let made = route(&base, path, &["a/b", "c?d"]);
            assert_eq!(
                made.url.as_str(),
                format!("{place}/v2/tickets/a%2Fb/disconnect/c%3Fd")
            );
            assert_eq!(made.name, format!("{place}/v2/{path}"));
        }
    }
}
