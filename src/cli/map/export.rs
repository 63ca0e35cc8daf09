//! `map export`: writes mappings as a file that can be imported again.

use std::path::{Path, PathBuf};

use futures_util::TryStreamExt as _;
use http::Method;

use super::format::Format;
use crate::cli::backend::{Backend, Call, broke_off};
use crate::cli::sink::Sink;
use crate::cli::source::source;
use crate::config::Config;
use crate::domain::ids::{ServalTicketId, SourceName};
use crate::terminal::{Failure, Outcome, output};
use crate::web::Pieces;

/// Arguments of `map export`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The format; by default the one of the file name, otherwise CSV
    #[arg(long)]
    format: Option<Format>,
    /// The file to write, `-` for the standard output; an old file is replaced at the end
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Only of this source
    #[arg(long)]
    source: Option<String>,
    /// Only of this Serval ticket
    #[arg(long)]
    ticket_id: Option<ServalTicketId>,
}

pub(super) async fn run(config: &Config, args: Args) -> Outcome {
    let Args {
        format,
        output: file,
        source: name,
        ticket_id,
    } = args;
    let name = name.map(|name| source(config, &name)).transpose()?;
    let format = format.or_else(|| Format::of(&file)).unwrap_or(Format::Csv);
    let call = Call::new(Method::GET, &["mappings", "export"])
        .with("format", Some(format.as_str()))
        .with("source", name.as_ref().map(SourceName::as_str))
        .with("ticket_id", ticket_id.as_ref().map(ServalTicketId::as_str))
        .transfer(None);
    Backend::with(config, async |backend: &Backend| {
        let pieces = backend.download(&call).await?;
        let lines = write(pieces, &file).await?;
        // On the standard output a remark would stand between the lines on a terminal.
        if file.as_os_str() != "-" {
            let n = match format {
                Format::Csv => lines.saturating_sub(1),
                Format::Ndjson => lines,
            };
            let mappings = if n == 1 { "mapping" } else { "mappings" };
            output::note(format_args!("{}: {n} {mappings}", file.display()));
        }
        Ok(())
    })
    .await
}

/// Writes the file and returns its number of lines. No value can hold a line break, so each mapping
/// is one line.
async fn write(mut pieces: Pieces, file: &Path) -> Result<usize, Failure> {
    let mut sink = Sink::open(file)?;
    let mut lines = 0;
    while let Some(piece) = pieces.try_next().await.map_err(broke_off)? {
        lines += piece.split(|byte| *byte == b'\n').count() - 1;
        // The reader has gone away (`| head`), so the rest is not fetched.
        if !sink.write(&piece)? {
            break;
        }
    }
    sink.keep()?;
    Ok(lines)
}
