//! Advice about calls to Serval that failed.

use crate::config::ServalConfig;
use crate::serval::{Code, Refusal, ServalError};
use crate::terminal::Failure;

/// Advice about a 403.
pub(super) const SCOPE: &str = "give the key the scopes to read teams and app instances, and \
     access to the team, at https://app.serval.com/admin/settings";

/// The failure of a call, with advice.
pub(super) fn failure(error: &ServalError, serval: &ServalConfig) -> Failure {
    Failure::failed(format_args!(
        "{error}\nwhat to do: {} (serval.base_url is {})",
        advice(error),
        serval.base_url
    ))
}

fn advice(error: &ServalError) -> &'static str {
    match error {
        ServalError::CredentialsRefused(_) => {
            "check serval.client_id and serval.client_secret, or serval.bearer_token: API keys are \
             made, and revoked, at https://app.serval.com/admin/settings"
        }
        ServalError::NoToken(cause) => advice(cause),
        ServalError::Network { .. } => {
            "check serval.base_url, and whether this machine may reach it: name resolution, \
             firewall, HTTPS_PROXY, trusted certificates"
        }
        ServalError::Refused(Refusal {
            code: Code::PermissionDenied,
            ..
        }) => SCOPE,
        ServalError::Refused(Refusal {
            status: 408 | 425 | 429 | 500..,
            ..
        }) => "Serval does not take this now; try again in a while",
        ServalError::Refused(_) | ServalError::Foreign(_) => {
            "check serval.base_url, and what is on the way: the answer may be that of a portal, a \
             gateway or a proxy"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::serval::{Foreign, NetworkKind};

    #[test]
    fn every_failure_says_what_to_do() {
        let refusal = |status, code| Refusal {
            call: "GET https://x/v2/teams".to_owned(),
            status,
            code,
            message: String::new(),
            request_id: None,
            retry_after: None,
        };
        let refused = |status, code| ServalError::Refused(refusal(status, code));
        let network = ServalError::Network {
            kind: NetworkKind::Dns,
            sent: false,
            detail: String::new(),
        };
        for (error, word) in [
            (
                ServalError::CredentialsRefused(refusal(401, Code::Unauthenticated)),
                "client_secret",
            ),
            (refused(403, Code::PermissionDenied), "scopes"),
            (refused(404, Code::NotFound), "portal"),
            (refused(503, Code::Unavailable), "in a while"),
            (network.clone(), "firewall"),
            (ServalError::NoToken(Arc::new(network)), "firewall"),
            (
                ServalError::NoToken(Arc::new(refused(429, Code::ResourceExhausted))),
                "in a while",
            ),
            (
                ServalError::Foreign(Foreign {
                    call: "GET https://x/v2/teams".to_owned(),
                    status: 200,
                    what: "a web page".to_owned(),
                    excerpt: String::new(),
                    request_id: None,
                    retry_after: None,
                }),
                "portal",
            ),
        ] {
            let advice = advice(&error);
            assert!(advice.contains(word), "{error}: {advice}");
        }
    }
}
