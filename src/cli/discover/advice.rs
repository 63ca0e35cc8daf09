//! What an operator can do about a call to Serval that failed.

use crate::cli::Failure;
use crate::config::ServalConfig;
use crate::serval::ServalError;

/// About a 403.
pub(super) const SCOPE: &str = "give the key the scopes to read teams and app instances, and \
     access to the team, at https://app.serval.com/admin/settings";

/// A failed call, with what to do about it.
pub(super) fn failure(error: &ServalError, serval: &ServalConfig) -> Failure {
    Failure::Failed(anyhow::anyhow!(
        "{error}\nwhat to do: {} (serval.base_url is {})",
        advice(error),
        serval.base_url
    ))
}

fn advice(error: &ServalError) -> &'static str {
    match error {
        ServalError::CredentialsRefused { .. } => {
            "check serval.client_id and serval.client_secret, or serval.bearer_token: API keys are \
             made, and revoked, at https://app.serval.com/admin/settings"
        }
        ServalError::NoToken(cause) => advice(cause),
        ServalError::Network { .. } => {
            "check serval.base_url, and whether this machine may reach it: name resolution, \
             firewall, HTTPS_PROXY, trusted certificates"
        }
        ServalError::Refused { status: 403, .. } => SCOPE,
        ServalError::Refused {
            status: 408 | 425 | 429 | 500..,
            ..
        } => "Serval does not take this now; try again in a while",
        ServalError::Refused { .. } | ServalError::BadAnswer { .. } => {
            "check serval.base_url: what answers there does not speak Serval's API, it may be a \
             portal or a proxy"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::serval::NetworkKind;

    #[test]
    fn every_failure_says_what_to_do() {
        let refused = |status| ServalError::Refused {
            status,
            code: None,
            message: String::new(),
            request_id: None,
            retry_after: None,
        };
        let network = ServalError::Network {
            kind: NetworkKind::Dns,
            sent: false,
            detail: String::new(),
        };
        for (error, word) in [
            (
                ServalError::CredentialsRefused {
                    status: 401,
                    message: String::new(),
                    request_id: None,
                },
                "client_secret",
            ),
            (refused(403), "scopes"),
            (refused(404), "portal"),
            (refused(503), "in a while"),
            (network.clone(), "firewall"),
            (ServalError::NoToken(Arc::new(network)), "firewall"),
            (ServalError::NoToken(Arc::new(refused(429))), "in a while"),
            (
                ServalError::BadAnswer {
                    status: 200,
                    detail: String::new(),
                },
                "portal",
            ),
        ] {
            let advice = advice(&error);
            assert!(advice.contains(word), "{error}: {advice}");
        }
    }
}
