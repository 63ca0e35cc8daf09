//! Reads the cookies of a request.

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use axum_extra::extract::cookie::Cookie;

/// All cookies of this name, in the order of the request. Browsers send the most specific cookie first;
/// one that a neighbour site set for the parent domain comes after it, so the first counts.
pub(crate) fn cookies<'a>(
    headers: &'a HeaderMap,
    name: &'a str,
) -> impl Iterator<Item = Cookie<'a>> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(Cookie::split_parse)
        .filter_map(Result::ok)
        .filter(move |cookie| cookie.name() == name)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn cookies_of_a_name_come_in_their_order() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; serval-connect=x=y"));
        headers.append(COOKIE, HeaderValue::from_static("b=2; serval-connect=z"));
        let values = |name| -> Vec<String> {
            let found = cookies(&headers, name);
            found.map(|cookie| cookie.value().to_owned()).collect()
        };
        assert_eq!(values("serval-connect"), ["x=y", "z"]);
        assert_eq!(values("b"), ["2"]);
        assert_eq!(values("connect"), [""; 0]);
    }
}
