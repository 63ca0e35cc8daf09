//! Answers of the admin API: reading them, and turning a refusal into a failure.

use futures_util::TryStreamExt as _;
use http::StatusCode;
use serde_json::Value;

use crate::terminal::Failure;
use crate::web::Pieces;

/// Size limit of an answer that is read whole: an event with its raw body, or a page of a list.
const MAX_ANSWER: usize = 256 << 20;

/// An answer that was read whole, also if it is a refusal.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    /// True if no daemon runs, so that this process answered.
    pub(crate) is_direct: bool,
}

impl Answer {
    /// The failure that this answer means, if it is not a 2xx.
    pub(crate) fn refusal(&self) -> Option<Failure> {
        (!self.status.is_success()).then(|| refused(self.status, &self.body))
    }

    /// Text for a report about something that the daemon will do: nothing happens while it is down.
    pub(crate) fn once_it_runs(&self) -> &'static str {
        if self.is_direct {
            "; the daemon is not running, Serval is told once it is"
        } else {
            ""
        }
    }
}

/// The failure that an answer other than 2xx means.
pub(super) fn refused(status: StatusCode, body: &Value) -> Failure {
    let detail = body["detail"].as_str().unwrap_or("no explanation");
    match status {
        StatusCode::BAD_REQUEST
        | StatusCode::UNPROCESSABLE_ENTITY
        | StatusCode::PAYLOAD_TOO_LARGE => Failure::Usage(detail.to_owned()),
        StatusCode::UNAUTHORIZED => Failure::failed(
            "the daemon refused this command: it was started with other admin.tokens than the first \
             one here; give this command the daemon's configuration with --config",
        ),
        _ => Failure::failed(detail),
    }
}

/// Reads an answer that is not a file.
pub(super) async fn read_whole(mut answer: Pieces) -> Result<Value, Failure> {
    let mut body = Vec::new();
    while let Some(piece) = answer.try_next().await.map_err(broke_off)? {
        body.extend_from_slice(&piece);
        // The address may be that of another service, which could send without end.
        if body.len() > MAX_ANSWER {
            let limit = MAX_ANSWER >> 20;
            return Err(Failure::failed(format!(
                "the answer is larger than {limit} MiB: ask for less at once"
            )));
        }
    }
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&body).map_err(|_| foreign())
}

fn foreign() -> Failure {
    Failure::failed(
        "the server at admin.listen is not serval-connect's admin API: check admin.listen",
    )
}

/// The failure of an answer that was cut off.
#[expect(
    clippy::needless_pass_by_value,
    reason = "`map_err` passes the error by value"
)]
pub(crate) fn broke_off(error: Box<dyn std::error::Error + Send + Sync>) -> Failure {
    Failure::failed(format_args!("the answer broke off: {error}"))
}
