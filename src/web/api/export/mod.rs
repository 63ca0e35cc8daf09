//! Lists as files: the mappings, and the audit.
//!
//! Invariant: at most one page is in memory. A fault in the middle aborts the answer, so that a part is
//! not mistaken for the whole.

pub(super) mod audit;
pub(super) mod mappings;

use axum::body::Body;
use axum::http::HeaderName;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::store::StoreError;
use crate::web::problem::Problem;

/// Number of rows that are read at once.
const PAGE: u32 = 1000;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Csv,
    Ndjson,
}

impl Format {
    /// Header fields of the answer, which has a file of this name.
    fn fields(self, name: &str) -> [(HeaderName, String); 2] {
        let (content_type, extension) = match self {
            Self::Csv => ("text/csv; charset=utf-8; header=present", "csv"),
            Self::Ndjson => ("application/x-ndjson", "ndjson"),
        };
        let disposition = format!("attachment; filename=\"{name}.{extension}\"");
        [
            (CONTENT_TYPE, content_type.to_owned()),
            (CONTENT_DISPOSITION, disposition),
        ]
    }

    /// Writes the header line, if the format has one.
    fn head<const N: usize>(self, columns: [&str; N]) -> Vec<u8> {
        match self {
            Self::Csv => csv_rows([columns]),
            Self::Ndjson => Vec::new(),
        }
    }
}

/// A list that is read page by page.
trait Pages: Send + Sized + 'static {
    /// Reads and writes the next page; `None` behind the last one.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;
}

/// Answers with the head and all pages as a file.
async fn file(
    format: Format,
    name: &str,
    head: Vec<u8>,
    mut pages: impl Pages,
) -> Result<Response, Problem> {
    // The first page is read before the answer begins, so that a fault still gets a status of its own.
    let first = pages.next().await?;
    let is_over = first.is_none();
    let start = [head, first.unwrap_or_default()].concat();
    let rest = stream::try_unfold((pages, is_over), async |(mut pages, is_over)| {
        if is_over {
            return Ok(None);
        }
        let next: Option<Vec<u8>> = pages.next().await?;
        Ok::<_, StoreError>(next.map(|text| (text, (pages, false))))
    });
    let body = Body::from_stream(stream::iter([Ok(start)]).chain(rest));
    Ok((format.fields(name), body).into_response())
}

fn csv_rows<T: AsRef<[u8]>, const N: usize>(rows: impl IntoIterator<Item = [T; N]>) -> Vec<u8> {
    const IN_MEMORY: &str = "a Vec takes everything";
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).expect(IN_MEMORY);
    }
    writer.into_inner().expect(IN_MEMORY)
}
