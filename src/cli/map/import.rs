//! `map import`: a file of mappings, all of it or none.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use http::Method;
use serde_json::Value;

use super::super::backend::{Answer, Backend, Call, Missing};
use super::super::feed::Feed;
use super::super::{Failure, Outcome, output};
use super::format::Format;
use crate::config::Config;

/// Faulty lines that a person is shown; the API tells a few more.
const SHOWN: usize = 20;

/// Arguments of `map import`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file; `-` for the standard input
    ///
    /// CSV begins with a header line: the columns `source`, `external_id` and `ticket_id` in any order,
    /// and perhaps `accounted_for_message_ids`, separated by spaces or semicolons. NDJSON has an object
    /// with these members on each line. At most 64 MiB and 200,000 mappings.
    #[arg(verbatim_doc_comment)]
    file: PathBuf,
    /// Its format; else its name tells (.csv, .ndjson, .jsonl), and the standard input is CSV
    #[arg(long)]
    format: Option<Format>,
    /// Prints the API's answer, JSON, also where it refuses the file
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(config: &Config, args: Args) -> Outcome {
    let Args { file, format, json } = args;
    let format = format_of(&file, format)?;
    let mut feed = open(&file)?;
    // A program on the other side of a pipe may take its time to begin.
    feed.wait().await;
    Backend::with(config, Missing::Create, async |backend: &Backend| {
        // A token that is refused is refused before the file is on its way: an answer to somebody
        // who is still sending may be lost.
        let any = Call::new(Method::GET, &["mappings"]).with("limit", Some("1"));
        backend.call(&any).await?;
        let call = Call::new(Method::POST, &["mappings", "import"]);
        let sent = backend
            .upload(&call, format.content_type(), feed.pieces())
            .await;
        // Why the file stopped coming explains whatever was answered to the half of it.
        if let Some(failure) = feed.end() {
            return Err(failure);
        }
        let answer = sent?;
        if json {
            output::json(&answer.body);
        }
        if let Some(refusal) = answer.refusal() {
            return Err(refusal_of(&file, &answer, refusal));
        }
        if !json {
            output::line(done(&file, &answer.body, backend.once_it_runs()));
        }
        Ok(())
    })
    .await
}

fn format_of(file: &Path, format: Option<Format>) -> Result<Format, Failure> {
    let is_stdin = is_stdin(file);
    let guess = || is_stdin.then_some(Format::Csv).or_else(|| Format::of(file));
    format.or_else(guess).ok_or_else(|| {
        Failure::Usage(format!(
            "{} does not end in .csv, .ndjson or .jsonl: say --format csv or --format ndjson",
            file.display()
        ))
    })
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

/// The refusal with the lines that it is about.
fn refusal_of(file: &Path, answer: &Answer, refusal: Failure) -> Failure {
    let faults = answer.body["errors"].as_array();
    match (refusal, faults) {
        (Failure::Usage(detail), faults) => {
            let faults = faults.map_or(&[][..], Vec::as_slice);
            let more = answer.body["more"].as_u64().unwrap_or_default();
            Failure::Usage(faults_of(&named(file), &detail, faults, more))
        }
        (failed @ Failure::Failed(_), _) => failed,
    }
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

fn done(file: &Path, answer: &Value, once_it_runs: &str) -> String {
    let count = |name: &str| answer[name].as_u64().unwrap_or_default();
    let (imported, created) = (count("imported"), count("created"));
    let mappings = if imported == 1 { "mapping" } else { "mappings" };
    format!(
        "{}: {imported} {mappings} imported, {created} of them new{}",
        named(file),
        if imported == 0 { "" } else { once_it_runs }
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
