//! `map export`: the mappings as a file that imports again.

use std::path::{Path, PathBuf};

use futures_util::TryStreamExt as _;
use http::Method;

use super::super::backend::{Backend, Call, Missing, broke_off};
use super::super::sink::Sink;
use super::super::{Outcome, output};
use super::format::Format;
use super::source;
use crate::config::Config;
use crate::domain::ids::{ServalTicketId, SourceName};
use crate::http::Pieces;

/// Arguments of `map export`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The format; else the output's name tells, and everything else is CSV
    #[arg(long)]
    format: Option<Format>,
    /// The file to write, in the place of the old one once it is whole; `-` for the standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Of one source only
    #[arg(long)]
    source: Option<String>,
    /// Of one Serval ticket only
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
        .with("ticket_id", ticket_id.as_ref().map(ServalTicketId::as_str));
    Backend::with(config, Missing::Refuse, async |backend: &Backend| {
        let pieces = backend.download(&call).await?;
        let lines = write(pieces, &file).await?;
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

/// Writes the file and answers its lines. A mapping is a line: nothing in it can hold a line break.
async fn write(mut pieces: Pieces, file: &Path) -> Result<usize, super::Failure> {
    let mut sink = Sink::open(file)?;
    let mut lines = 0;
    while let Some(piece) = pieces.try_next().await.map_err(broke_off)? {
        lines += piece.split(|byte| *byte == b'\n').count() - 1;
        if !sink.write(&piece)? {
            break;
        }
    }
    sink.keep()?;
    Ok(lines)
}
