//! Files of mappings on their way to and from the API, a piece at a time.
//!
//! Invariant: nothing here holds a whole file.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::StatusCode;
use serde_json::Value;

use super::{Backend, Call, refused};
use crate::cli::Failure;
use crate::http::Pieces;

/// An answer to a file, or a refusal, is short: a hundred faults at most.
const MAX_ANSWER: usize = 4 << 20;

impl Backend {
    /// Sends a file and answers what the API says, also where it is a refusal.
    pub(in crate::cli) async fn upload(
        &self,
        call: &Call,
        content_type: &str,
        file: Pieces,
    ) -> Result<Answer, Failure> {
        let (status, answer) = self.exchange(call, content_type, file).await?;
        let body = short(answer).await?;
        Ok(Answer { status, body })
    }

    /// Asks for a file; a refusal is a failure.
    pub(in crate::cli) async fn download(&self, call: &Call) -> Result<Pieces, Failure> {
        let nothing = stream::empty().boxed();
        let (status, file) = self.exchange(call, "application/json", nothing).await?;
        if status.is_success() {
            return Ok(file);
        }
        Err(refused(status, &short(file).await?))
    }

    async fn exchange(
        &self,
        call: &Call,
        content_type: &str,
        body: Pieces,
    ) -> Result<(StatusCode, Pieces), Failure> {
        match self {
            Self::Direct(direct) => Ok(direct.exchange(call, content_type, body).await?),
            Self::Remote(remote) => remote.exchange(call, content_type, body).await,
        }
    }
}

/// What the API said to a file.
#[derive(Debug)]
pub(in crate::cli) struct Answer {
    status: StatusCode,
    pub(in crate::cli) body: Value,
}

impl Answer {
    /// The refusal, if it is one.
    pub(in crate::cli) fn refusal(&self) -> Option<Failure> {
        (!self.status.is_success()).then(|| refused(self.status, &self.body))
    }
}

/// Reads an answer that is no file.
async fn short(mut answer: Pieces) -> Result<Value, Failure> {
    let foreign = || {
        Failure::Failed(anyhow::anyhow!(
            "what answers is not serval-connect's admin API; look at admin.listen"
        ))
    };
    let mut body = Vec::new();
    while let Some(piece) = answer.try_next().await.map_err(broke_off)? {
        if body.len() + piece.len() > MAX_ANSWER {
            return Err(foreign());
        }
        body.extend_from_slice(&piece);
    }
    serde_json::from_slice(&body).map_err(|_| foreign())
}

/// An answer that ended before its end.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what `map_err` hands over"
)]
pub(in crate::cli) fn broke_off(error: Box<dyn std::error::Error + Send + Sync>) -> Failure {
    Failure::Failed(anyhow::anyhow!("the answer broke off: {error}"))
}
