//! Saves a list of the API as a file.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt as _;

use super::format::Format;
use super::sink::Sink;
use crate::cli::backend::{Backend, Call, broke_off};
use crate::config::Config;
use crate::terminal::{Failure, Outcome, output};
use crate::web::Pieces;

/// Endings of files that no export writes.
const FOREIGN: [&str; 4] = ["xlsx", "xls", "ods", "json"];

/// Options of every command that exports a list.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// The format; by default the one of the file name, otherwise CSV
    #[arg(long)]
    format: Option<Format>,
    /// The file to write, `-` for the standard output; an old file is replaced at the end
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

impl Target {
    /// Saves what `call` answers. The words name the rows.
    pub(crate) async fn save(
        &self,
        config: &Config,
        call: Call,
        [one, many]: [&str; 2],
    ) -> Outcome {
        let file = &self.output;
        let format = self.format()?;
        let call = call.with("format", Some(format.as_str())).transfer(None);
        Backend::with(config, async |backend: &Backend| {
            let pieces = backend.download(&call).await?;
            let lines = write(pieces, file).await?;
            // On the standard output a remark would stand between the lines on a terminal.
            if file.as_os_str() != "-" {
                let n = match format {
                    Format::Csv => lines.saturating_sub(1),
                    Format::Ndjson => lines,
                };
                let rows = if n == 1 { one } else { many };
                output::note(format_args!("{}: {n} {rows}", file.display()));
            }
            Ok(())
        })
        .await
    }
}

impl Target {
    fn format(&self) -> Result<Format, Failure> {
        if let Some(format) = self.format.or_else(|| Format::of(&self.output)) {
            return Ok(format);
        }
        let ending = self.output.extension().and_then(OsStr::to_str);
        // A program that opens such a file expects something else than is in it.
        if ending.is_some_and(|ending| FOREIGN.contains(&ending.to_ascii_lowercase().as_str())) {
            return Err(Failure::Usage(format!(
                "{}: an export is CSV, which spreadsheets open, or NDJSON: name the file .csv or \
                 .ndjson, or give --format",
                self.output.display()
            )));
        }
        Ok(Format::Csv)
    }
}

/// Writes the file and returns its number of lines. No value can hold a line break, so each row is one line.
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
