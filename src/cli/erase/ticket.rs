//! `erase --external-id`: removes everything that is stored about one external ticket, and proves it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use http::Method;
use serde_json::{Value, json};

use crate::cli::backend::{Backend, Call};
use crate::cli::file::existing;
use crate::config::Config;
use crate::process::database;
use crate::store::Database;
use crate::terminal::{Failure, Form, Outcome, output};

/// Number of bytes of the database file that are searched at once.
const CHUNK: usize = 1 << 20;

/// Why no file of a database on a server was searched.
const ON_SERVER: &str = "This proves nothing about the server's files: deleted rows stay in them until VACUUM, and in \
    the write-ahead log, on standbys and in backups for as long as those are kept";
/// Why no file was searched where the daemon has it at another place.
const ELSEWHERE: &str =
    "The daemon's files are not here, so they were not searched: run this command where they are";

/// Erases one external ticket, of this source or of all that know the id.
pub(super) async fn run(
    config: &Config,
    external_id: &str,
    source: Option<&str>,
    form: Form,
) -> Outcome {
    let sources = sources(config, external_id, source)?;
    // All sources are erased under one lock, so that no daemon starts in between.
    let answers = Backend::with(config, async |backend: &Backend| {
        let mut answers = Vec::new();
        for name in &knowing(backend, external_id, source, sources).await? {
            let call = Call::new(Method::POST, &["erase"])
                .body(json!({ "source": name, "external_id": external_id }));
            answers.push(backend.call(&call).await?.body);
        }
        Ok(answers)
    })
    .await?;
    let ids: BTreeSet<&str> = answers
        .iter()
        .filter_map(|answer| answer["external_id"].as_str())
        .collect();
    // The files are searched after the database is closed, or while the daemon goes on: the API
    // cannot prove that deleted bytes are gone. Those of a server are out of reach.
    let database = database(config);
    let places = if database.is_on_server() {
        Err(ON_SERVER)
    } else if existing(&database).is_err() {
        Err(ELSEWHERE)
    } else {
        Ok(ids.iter().try_fold(0, |sum, id| {
            search(&database, id).map(|places| sum + places)
        })?)
    };
    if form.json {
        output::json(&json!({ "erased": answers, "places_in_file": places.ok() }));
    } else {
        answers.iter().for_each(show);
        output::line(proof(places, naming_bodies(&answers)));
    }
    verdict(&answers)
}

/// The sources whose data is erased.
fn sources(
    config: &Config,
    external_id: &str,
    source: Option<&str>,
) -> Result<Vec<String>, Failure> {
    if let Some(source) = source {
        return Ok(vec![source.to_owned()]);
    }
    let possible: Vec<String> = config
        .sources
        .iter()
        // The form of the id tells the kind of its source. Several sources of one kind may know it,
        // and nothing of it may remain, so all of them are erased.
        .filter(|(_, source)| {
            source.kind.read_typed(external_id).is_ok()
                || source.kind.parse_external_id(external_id).is_ok()
        })
        .map(|(name, _)| name.to_string())
        .collect();
    if possible.is_empty() {
        return Err(Failure::Usage(format!(
            "{external_id:?} is not a valid id for any configured source: name the source with --source, or \
             give the daemon's configuration with --config"
        )));
    }
    Ok(possible)
}

/// Leaves out the sources that do not know a number. Nothing is erased before all of them have answered.
async fn knowing(
    backend: &Backend,
    external_id: &str,
    source: Option<&str>,
    sources: Vec<String>,
) -> Result<Vec<String>, Failure> {
    if source.is_some() {
        return Ok(sources);
    }
    let (mut knowing, mut refused) = (Vec::new(), None);
    for source in sources {
        let call = Call::new(Method::GET, &["events"])
            .with("source", Some(&source))
            .with("external_id", Some(external_id))
            .with("limit", Some("1"));
        match backend.call(&call).await {
            Ok(_) => knowing.push(source),
            Err(refusal @ Failure::Usage(_)) => refused = Some(refusal),
            Err(failure) => return Err(failure),
        }
    }
    match refused {
        Some(refusal) if knowing.is_empty() => Err(refusal),
        _ => Ok(knowing),
    }
}

fn show(answer: &Value) {
    let source = output::cell(answer, "source");
    let removed = answer["removed"].as_object();
    for (table, n) in removed.into_iter().flatten() {
        output::line(format_args!("{source}: {n} removed from {table}"));
    }
    let cleared = &answer["mentions_cleared"];
    output::line(format_args!(
        "{source}: {cleared} errors and answers of other tickets cleared, because they named it"
    ));
    let left = &answer["left"];
    output::line(format_args!("{source}: {left} rows left that mention it"));
    // The write-ahead log still holds the old pages until it is emptied. Saying "erased" before
    // that would be false.
    if answer["log_emptied"] == false {
        output::warn(
            "the write-ahead log could not be emptied, because another process reads it (a backup?): \
             run the same command again later",
        );
    }
}

/// Number of bodies that name the id. All sources are in one database, so each answer counts the same.
fn naming_bodies(answers: &[Value]) -> u64 {
    let numbers = answers
        .iter()
        .filter_map(|answer| answer["naming_bodies"].as_u64());
    numbers.max().unwrap_or_default()
}

/// Says where the id still is. Compressed bodies do not show it to a search of the files; an error: there were no files
/// to search.
fn proof(places: Result<usize, &str>, bodies: u64) -> String {
    match places {
        _ if bodies > 0 => format!(
            "the id is still in {bodies} bodies of other external tickets that refer to it: erase those, too, \
             if needed"
        ),
        Err(why) => format!("no row has the id any more. {why}"),
        Ok(0) => "the id is nowhere in the database's files any more".to_owned(),
        Ok(n) => format!(
            "the id is still in {n} places of the database's files: in bodies of other external \
             tickets that refer to it, or in data that is being written right now"
        ),
    }
}

/// Fails if rows are left, and if there was nothing to remove: the id may be mistyped.
fn verdict(answers: &[Value]) -> Outcome {
    let sum = |pick: fn(&Value) -> u64| answers.iter().map(pick).sum::<u64>();
    // A webhook may have arrived between the removal and the count. The person asked for all to be
    // gone, so the exit code must not be 0.
    if sum(|answer| answer["left"].as_u64().unwrap_or_default()) > 0 {
        return Err(Failure::failed(
            "more about it was stored meanwhile: run the same command again",
        ));
    }
    let removed = sum(|answer| {
        let tables = answer["removed"].as_object();
        let rows = tables.into_iter().flat_map(|tables| tables.values());
        rows.filter_map(Value::as_u64).sum()
    });
    if removed == 0 {
        return Err(Failure::failed(
            "nothing was stored about it: check the spelling of the id",
        ));
    }
    Ok(())
}

/// Number of places of the id in the database file and its write-ahead log.
fn search(database: &Database, id: &str) -> Result<usize, Failure> {
    let path = database.file();
    let path = path.map_err(|error| Failure::Usage(error.to_string()))?;
    let mut log = path.clone().into_os_string();
    log.push("-wal");
    // Deleted data may remain in the write-ahead log, so it is searched, too.
    let mut places = 0;
    for path in [path.as_path(), Path::new(&log)] {
        places += match File::open(path).and_then(|file| count(file, id.as_bytes())) {
            Ok(places) => places,
            // There is no log if no daemon runs, and a daemon may end at any moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => {
                let context = format!("cannot search {}", path.display());
                return Err(Failure::Failed(anyhow::Error::new(error).context(context)));
            }
        };
    }
    Ok(places)
}

/// Number of places of `needle` in `input`, ignoring case.
fn count(mut input: impl io::Read, needle: &[u8]) -> io::Result<usize> {
    let Some(first) = needle.first() else {
        return Ok(0);
    };
    // A window slides over the file, which may be larger than the memory.
    let mut window = Vec::with_capacity(CHUNK + needle.len());
    let mut found = 0;
    loop {
        let read = input.by_ref().take(CHUNK as u64).read_to_end(&mut window)?;
        if read == 0 {
            return Ok(found);
        }
        let mut at = 0;
        while let Some(skip) = window[at..]
            .iter()
            .position(|byte| byte.eq_ignore_ascii_case(first))
        {
            at += skip;
            let here = window.get(at..at + needle.len());
            found += usize::from(here.is_some_and(|here| here.eq_ignore_ascii_case(needle)));
            at += 1;
        }
        // Keeps the end: a match may begin here and go on in the next chunk.
        let kept = window.len().min(needle.len() - 1);
        window.drain(..window.len() - kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_needle_is_found_once_wherever_the_chunks_end() {
        for start in [0, 5, CHUNK - 3, CHUNK - 1, CHUNK, 2 * CHUNK - 2] {
            let mut hay = vec![b'a'; 2 * CHUNK + 100];
            hay[start..start + 4].copy_from_slice(b"abCd");
            assert_eq!(count(hay.as_slice(), b"abcd").unwrap(), 1, "{start}");
        }
        assert_eq!(count(&b"aaaa"[..], b"aa").unwrap(), 3);
        assert_eq!(count(&b""[..], b"aa").unwrap(), 0);
    }

    #[test]
    fn an_id_without_a_trace_is_a_failure() {
        let answer =
            |events: u64, left: u64| json!({ "removed": { "events": events }, "left": left });
        assert!(verdict(&[answer(1, 0), answer(0, 0)]).is_ok());
        assert!(verdict(&[answer(0, 0)]).is_err());
        assert!(verdict(&[answer(1, 1)]).is_err());
    }
}
