//! `map import`: a file of mappings, all of it or none.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use http::Method;
use serde_json::Value;

use crate::cli::backend::{Answer, Backend, Call};
use crate::cli::files::feed::Feed;
use crate::cli::files::format::Format;
use crate::config::Config;
use crate::terminal::{Failure, Form, Outcome, output};

/// Largest number of faulty lines that are shown. The API reports some more.
const SHOWN: usize = 20;

/// Arguments of `map import`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file; `-` for the standard input
    ///
    /// CSV begins with a header line: the columns `source`, `external_id` and `ticket_id` in any order,
    /// and perhaps `accounted_for_message_ids`, its ids separated by spaces or semicolons. Fields are
    /// separated by commas, semicolons or tabs. NDJSON has an object with these members on each line.
    /// Other columns are passed over and named. UTF-8 or UTF-16, at most 64 MiB and 200,000 mappings.
    #[arg(verbatim_doc_comment)]
    file: PathBuf,
    /// The format; by default that of the file name (.csv, .tsv, .ndjson, .jsonl, .json), CSV for `-`
    #[arg(long)]
    format: Option<Format>,
    /// Also unlinks the pairs at Serval whose mappings are replaced
    #[arg(long)]
    disconnect_others: bool,
    #[command(flatten)]
    form: Form,
}

pub(super) async fn run(config: &Config, args: Args) -> Outcome {
    let Args {
        file,
        format,
        disconnect_others,
        form,
    } = args;
    let format = format_of(&file, format)?;
    let mut feed = open(&file)?;
    // Waits for the first bytes: a program at the other end of a pipe may start slowly, and the
    // database must not be locked meanwhile.
    feed.wait().await;
    if is_stdin(&file) && feed.is_empty() {
        return Err(Failure::Usage(nothing_came(format)));
    }
    Backend::with(config, async |backend: &Backend| {
        // Checks the token before the file is sent: the client could miss an early refusal while
        // it is still sending.
        let any = Call::new(Method::GET, &["mappings"]).with("limit", Some("1"));
        backend.call(&any).await?;
        let call =
            Call::new(Method::POST, &["mappings", "import"])
                .with("disconnect_others", disconnect_others.then_some("true"))
                .transfer(Some(format.content_type()));
        let sent = backend.upload(&call, feed.pieces()).await;
        // If the file could not be read to its end, the answer is about half a file. The reason
        // for that is the better message.
        if let Some(failure) = feed.end() {
            return Err(failure);
        }
        let answer = sent?;
        // A program reads the faulty lines out of the answer, so it is printed for a refusal, too.
        if form.json {
            output::json(&answer.body);
        }
        if let Some(refusal) = answer.refusal() {
            return Err(refusal_of(&file, &answer, refusal));
        }
        if !form.json {
            output::line(done(&file, &answer));
            if let Some(names) = output::member(&answer.body, "passed_over") {
                output::line(format_args!(
                    "passed over, since they are not read: {names}"
                ));
            }
            if let Some(n) = answer.body["still_connected"].as_u64().filter(|n| *n > 0) {
                let pairs = if n == 1 { "pair" } else { "pairs" };
                output::line(format_args!(
                    "Serval still has {n} {pairs} of before, since a corrected mapping leaves the old pair; see: links \
                     list, or --disconnect-others"
                ));
            }
        }
        Ok(())
    })
    .await
}

fn format_of(file: &Path, format: Option<Format>) -> Result<Format, Failure> {
    let is_stdin = is_stdin(file);
    let guess = || is_stdin.then_some(Format::Csv).or_else(|| Format::of(file));
    format
        .or_else(guess)
        .or_else(|| read_as(file))
        .ok_or_else(|| {
            let path = file.display();
            if file.is_dir() {
                return Failure::Usage(format!("{path} is a folder; give the file that is in it"));
            }
            Failure::Usage(format!(
                "{path} does not end in .csv, .ndjson or .jsonl: give --format csv or --format ndjson"
            ))
        })
}

/// The format as which a file with another extension is read. Of a workbook, the API says how to save it.
fn read_as(file: &Path) -> Option<Format> {
    let extension = file.extension()?.to_str()?.to_ascii_lowercase();
    match extension.as_str() {
        "tsv" | "tab" | "xls" | "xlsx" | "ods" => Some(Format::Csv),
        "json" => Some(Format::Ndjson),
        _ => None,
    }
}

/// The refusal of an empty pipe: the program at its other end probably failed.
fn nothing_came(format: Format) -> String {
    let missing = match format {
        Format::Csv => ", and even the header line is missing",
        Format::Ndjson => "",
    };
    format!(
        "the standard input is empty{missing}: nothing was imported; did the command before it fail?"
    )
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn open(file: &Path) -> Result<Feed, Failure> {
    if is_stdin(file) {
        return Ok(Feed::of_stdin());
    }
    let opened = Feed::of_file(file).with_context(|| format!("cannot read {}", file.display()));
    opened.map_err(Failure::Failed)
}

fn named(file: &Path) -> String {
    if is_stdin(file) {
        "the standard input".to_owned()
    } else {
        file.display().to_string()
    }
}

/// Adds the faulty lines to a refusal of the file.
fn refusal_of(file: &Path, answer: &Answer, refusal: Failure) -> Failure {
    let Failure::Usage(detail) = refusal else {
        return refusal;
    };
    let faults = answer.body["errors"].as_array();
    let faults = faults.map_or(&[][..], Vec::as_slice);
    let more = answer.body["more"].as_u64().unwrap_or_default();
    Failure::Usage(faults_of(&named(file), &detail, faults, more))
}

fn faults_of(name: &str, detail: &str, faults: &[Value], more: u64) -> String {
    let mut text = format!("{name}: {detail}");
    for fault in faults.iter().take(SHOWN) {
        let detail = output::cell(fault, "detail");
        write!(text, "\n  line {}: {detail}", fault["line"]).expect("a String takes all");
    }
    let rest = more + faults.len().saturating_sub(SHOWN) as u64;
    if rest > 0 {
        let lines = if rest == 1 { "line" } else { "lines" };
        write!(text, "\n  and {rest} more {lines}").expect("a String takes all");
    }
    text
}

fn done(file: &Path, answer: &Answer) -> String {
    let count = |name: &str| answer.body[name].as_u64().unwrap_or_default();
    let (imported, created) = (count("imported"), count("created"));
    let mappings = if imported == 1 { "mapping" } else { "mappings" };
    format!(
        "{}: {imported} {mappings} imported, {created} of them new{}",
        named(file),
        if imported == 0 {
            ""
        } else {
            answer.once_it_runs()
        }
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_format_is_what_is_said_or_what_the_name_tells() {
        let (csv, ndjson) = (Some(Format::Csv), Some(Format::Ndjson));
        for (file, said, expected) in [
            ("a.csv", None, csv),
            ("a.CSV", None, csv),
            ("a.csv", ndjson, ndjson),
            ("a.jsonl", None, ndjson),
            ("b/a.ndjson", None, ndjson),
            ("-", None, csv),
            ("-", ndjson, ndjson),
            ("a.tsv", None, csv),
            ("a.XLSX", None, csv),
            ("a.json", None, ndjson),
            ("a.txt", csv, csv),
            ("a.txt", None, None),
            ("csv", None, None),
        ] {
            let found = format_of(Path::new(file), said).ok();
            assert_eq!(found, expected, "{file} {said:?}");
        }
    }

    #[test]
    fn faults_are_listed_up_to_a_number_that_a_person_reads() {
        let fault = |line: usize| json!({ "line": line, "detail": "bad\u{1b}[2J\nnews" });
        let few: Vec<Value> = (2..4).map(fault).collect();
        let text = faults_of("x.csv", "2 lines are faulty", &few, 0);
        let expected = "x.csv: 2 lines are faulty\n  line 2: bad\\u{1b}[2J news\n  line 3: \
                        bad\\u{1b}[2J news";
        assert_eq!(text, expected);
        let many: Vec<Value> = (1..=100).map(fault).collect();
        let text = faults_of("x.csv", "many", &many, 7);
        assert_eq!(text.lines().count(), 1 + SHOWN + 1);
        assert!(text.ends_with("\n  and 87 more lines"), "{text}");
    }
}
