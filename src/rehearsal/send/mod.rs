//! `send`: signs a file as `ServiceNow` or Slack would, and posts it.
//!
//! Invariant: the bytes of the file are what is signed and what is sent.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::Url;
use secrecy::SecretString;

use super::sender::{self, Answer};
use crate::config::Environment;
use crate::rehearsal::signer::{InvalidSigning, Signer, Stamp};
use crate::terminal::{Failure, Global, Outcome, daemon, output, web_url};

/// Advice where nobody answers.
const UNANSWERED: &str =
    "is the daemon running, and does it listen there, with http or https as in the URL?";
/// Environment variable that may hold the secret.
const SECRET_VARIABLE: &str = "SERVAL_CONNECT_SEND_SECRET";

/// Headers of the answer that are printed.
const TELLING: [http::HeaderName; 3] = [CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE];

const DETAILS: &str = "\
The file is signed and sent byte for byte: nothing is parsed, sorted or reformatted.
For ServiceNow it uses Standard Webhooks 1.0.0 (webhook-id, webhook-timestamp, webhook-signature),
for Slack its signature v0 (X-Slack-Request-Timestamp, X-Slack-Signature).

The secret is the one of the source's configuration: one of `secrets` (whsec_…) for ServiceNow, one of
`signing_secrets` for Slack. A secret on the command line can be seen by every user of the machine and
stays in the shell's history; better put it in a file (--secret-file) or in the environment variable
SERVAL_CONNECT_SEND_SECRET.

Without --url, the webhook goes to this machine, to the port of server.listen in the configuration
(8080 when there is none) and the path /webhooks/servicenow or /webhooks/slack.

Exit codes: 0 the daemon answered 2xx; 1 it answered something else, or nothing; 2 wrong usage.

Examples:
  An incident, signed as the business rule would:
    serval-connect send servicenow --secret-file servicenow.secret incident.json

  The same record to a second instance's source, from a pipe:
    jq .result incident.json | serval-connect send servicenow \\
      --secret-file eu.secret --url https://hooks.example.com/webhooks/servicenow-eu -

  A delivery and its repetition (the second answer says \"duplicate\":true):
    serval-connect send servicenow --secret-file s --id msg_1 incident.json
    serval-connect send servicenow --secret-file s --id msg_1 incident.json

  What happens to a stale and to a forged one (401):
    serval-connect send slack --secret-file s --timestamp 1700000000 message.json
    serval-connect send slack --forge message.json";

/// Arguments of `send`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = DETAILS)]
pub(crate) struct Args {
    /// The sender to play
    #[arg(value_parser = ["servicenow", "slack"])]
    kind: String,
    /// The JSON file to send; - reads the standard input
    file: PathBuf,
    /// The secret to sign with (visible to others on this machine, see below)
    #[arg(long, conflicts_with_all = ["secret_file", "bearer", "basic"])]
    secret: Option<SecretString>,
    /// A file with the secret to sign with
    #[arg(long, value_name = "FILE", conflicts_with_all = ["bearer", "basic"])]
    secret_file: Option<PathBuf>,
    /// Sends a static bearer token instead of a signature (ServiceNow only)
    #[arg(long, value_name = "TOKEN", conflicts_with = "basic")]
    bearer: Option<SecretString>,
    /// Sends basic authentication instead of a signature (ServiceNow only)
    #[arg(long, value_name = "USER:PASSWORD")]
    basic: Option<SecretString>,
    /// Where to post it
    #[arg(long, value_parser = web_url)]
    url: Option<Url>,
    /// The webhook-id; random by default (ServiceNow only)
    #[arg(long, conflicts_with_all = ["bearer", "basic"])]
    id: Option<String>,
    /// The time of signing in Unix seconds; by default now
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["bearer", "basic"])]
    timestamp: Option<u64>,
    /// Signs with a random key, to see the refusal; needs no secret
    #[arg(long)]
    forge: bool,
}

pub(crate) async fn run(global: &Global, args: Args) -> Outcome {
    let signer = signer(&args, &Environment::from_process())?;
    let (url, client) = match &args.url {
        Some(url) => (url.clone(), sender::client(url.as_str())?),
        None => own_daemon(global, &args.kind)?,
    };
    let body = read(&args.file)?;
    // A body that is not JSON is still sent: its refusal may be what the user wants to see.
    if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
        output::warn("the file is not JSON; it is sent as it is");
    }
    let id = match &args.id {
        Some(id) => id.clone(),
        None => sender::delivery_id()?,
    };
    let stamp = Stamp {
        id: &id,
        seconds: args.timestamp.unwrap_or_else(sender::unix_seconds),
    };
    let mut headers = signer.sign(stamp, &body)?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    output::line(format!("POST {url}"));
    for line in shown(&headers) {
        output::line(line);
    }
    let from = if args.file == Path::new("-") {
        "the standard input".to_owned()
    } else {
        args.file.display().to_string()
    };
    output::line(format!("{} bytes from {from}\n", body.len()));

    let answer = sender::call(&client, Method::POST, &url, headers, body).await;
    let answer =
        answer.map_err(|error| Failure::failed(format_args!("{error:#}; {UNANSWERED}")))?;
    for line in account(&answer) {
        output::line(line);
    }
    if answer.status.is_success() {
        Ok(())
    } else {
        let status = answer.status;
        Err(Failure::failed(format_args!(
            "the webhook was answered with {status}{}",
            advice(status)
        )))
    }
}

/// Advice about a refusal, beside that of its body.
fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => {
            "; sign with a secret that this source has in the configuration of the running daemon"
        }
        StatusCode::NOT_FOUND => {
            "; webhooks go to server.listen, and the path is /webhooks/ with the name of a source"
        }
        _ => "",
    }
}

impl From<InvalidSigning> for Failure {
    fn from(error: InvalidSigning) -> Self {
        Self::Usage(error.to_string())
    }
}

fn signer(args: &Args, environment: &Environment) -> Result<Signer, Failure> {
    if args.kind == "slack" {
        let foreign = [
            ("--bearer", args.bearer.is_some()),
            ("--basic", args.basic.is_some()),
            ("--id", args.id.is_some()),
        ];
        if let Some((flag, _)) = foreign.iter().find(|(_, given)| *given) {
            return Err(Failure::Usage(format!("{flag} is for servicenow only")));
        }
    }
    let signer = if let Some(token) = &args.bearer {
        Signer::bearer(token)
    } else if let Some(pair) = &args.basic {
        Signer::basic(pair)?
    } else if args.kind == "slack" {
        Signer::slack(&secret(args, environment)?)?
    } else {
        Signer::standard_webhooks(&secret(args, environment)?)?
    };
    Ok(if args.forge {
        signer.forged(sender::random()?)
    } else {
        signer
    })
}

fn secret(args: &Args, environment: &Environment) -> Result<SecretString, Failure> {
    if args.forge {
        // A random key replaces it, so any valid secret will do.
        return Ok("00000000000000000000000000000000".into());
    }
    if let Some(secret) = &args.secret {
        return Ok(secret.clone());
    }
    if let Some(path) = &args.secret_file {
        return match std::fs::read_to_string(path) {
            Ok(text) => Ok(text.trim().into()),
            Err(error) => Err(unreadable(path, &error)),
        };
    }
    environment
        .get(SECRET_VARIABLE)
        .map(SecretString::from)
        .ok_or_else(|| {
            Failure::Usage(format!(
                "no secret to sign with: give --secret-file FILE, --secret SECRET or {SECRET_VARIABLE}; \
                 it is the secret of the source in the daemon's configuration"
            ))
        })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Usage(format!("{} cannot be read: {error}", path.display()))
}

fn read(path: &Path) -> Result<Bytes, Failure> {
    if path == Path::new("-") {
        let mut body = Vec::new();
        let read = std::io::stdin().read_to_end(&mut body);
        return read
            .map(|_| body.into())
            .map_err(|error| unreadable(Path::new("the standard input"), &error));
    }
    let read = std::fs::read(path);
    read.map(Bytes::from)
        .map_err(|error| unreadable(path, &error))
}

/// The URL of the daemon of the configuration, reached from this machine, and a client for it.
fn own_daemon(global: &Global, kind: &str) -> Result<(Url, reqwest::Client), Failure> {
    let server = global.load()?.config.server;
    let cert = server.tls_cert_file.as_deref();
    let mut url = daemon::url_of(server.listen, "server.listen", cert.is_some())?;
    url.set_path(&format!("/webhooks/{kind}"));
    Ok((url, daemon::own_client(sender::TIMEOUT, "server", cert)?))
}

/// The headers as lines; static credentials are not shown.
fn shown(headers: &HeaderMap) -> Vec<String> {
    let show = |(name, value): (&http::HeaderName, &HeaderValue)| {
        let value = if name == AUTHORIZATION {
            "(not shown)".to_owned()
        } else {
            output::printable(&String::from_utf8_lossy(value.as_bytes()))
        };
        format!("{name}: {value}")
    };
    headers.iter().map(show).collect()
}

/// The answer as lines: status, some headers, body.
fn account(answer: &Answer) -> Vec<String> {
    let took = answer.took.as_millis();
    let mut lines = vec![format!("{} after {took} ms", answer.status)];
    for name in TELLING {
        if let Some(value) = answer.headers.get(&name) {
            let value = String::from_utf8_lossy(value.as_bytes());
            lines.push(format!("{name}: {}", output::printable(&value)));
        }
    }
    if !answer.body.is_empty() {
        let text = String::from_utf8_lossy(&answer.body);
        lines.push(format!("\n{}", output::printable(text.trim_end())));
    }
    lines
}

#[cfg(test)]
mod tests;
