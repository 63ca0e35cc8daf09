//! `demo`: shows everything at work on this machine, with nothing to set up.

mod account;
mod samples;
mod scenes;
mod stage;
mod step;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio_util::sync::CancellationToken;

use self::account::row;
use self::samples::{Sample, TO_TRY};
use self::scenes::{CONNECTED, SCENES};
use self::stage::Stage;
use self::step::{Memory, connects_of, is_identical};
use super::mock_serval::command;
use crate::config::Environment;
use crate::edge::telemetry::{self, LogConfig, LogFormat};
use crate::process::lifecycle;
use crate::rehearsal::mock_serval::MockConfig;
use crate::terminal::output::{self, Tone};
use crate::terminal::{Failure, Global, Outcome};

/// Time limit of everything that should happen.
const PATIENCE: Duration = Duration::from_secs(10);

const DETAILS: &str = "\
The demo starts a stand-in for Serval and the real daemon in this process, on free ports of 127.0.0.1,
with a SQLite database in a temporary folder and random secrets. Then it plays ServiceNow
and Slack: it signs sample webhooks as they would, posts them, and shows for each whether all was as
expected, what the daemon answered, the states of the event, and the connect call that Serval got.
With --verbose it shows headers and bodies, too.

The demo reads no configuration file and no SERVAL_… variable of yours, changes nothing, and uses no
network beyond this machine. The folder is removed at the end.

Afterwards everything keeps running until Ctrl-C, with commands to try. With --once the demo ends by
itself; the exit code is 0 only if every step and every connect was as expected, else 1.

Examples:
  serval-connect demo
  serval-connect demo --once
  serval-connect demo --verbose 2>daemon.log";

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = DETAILS)]
pub(crate) struct Args {
    /// Ends after the last step; exit code 0 only if all was as expected
    #[arg(long)]
    once: bool,
    /// Shows headers and bodies, and the daemon's log on the standard error
    #[arg(long, short)]
    verbose: bool,
}

pub(crate) async fn run(_global: &Global, args: Args) -> Outcome {
    let level = if args.verbose { "info" } else { "error" };
    let log = LogConfig {
        level: level.to_owned(),
        format: LogFormat::Text,
    };
    telemetry::init(&log).map_err(anyhow::Error::from)?;
    let colours = output::takes_colours(&Environment::from_process());
    let (mut stage, app) = Stage::set_up(MockConfig::default(), PATIENCE).await?;
    stage.is_verbose = args.verbose;

    let stop = CancellationToken::new();
    let daemon = app.run(stop.clone().cancelled_owned());
    tokio::pin!(daemon);
    // The daemon runs beside the scenes in this task. It ends by itself only after a failure.
    let played = tokio::select! {
        ended = &mut daemon => {
            return Err(Failure::Failed(ended.err().unwrap_or_else(|| anyhow!("the daemon ended"))));
        }
        played = show(&stage, args.once, colours) => played,
    };
    // The daemon stops before the stand-in, so that its last calls are still answered.
    stop.cancel();
    daemon.await?;
    let folder = stage
        .database
        .parent()
        .map(|path| path.display().to_string());
    stage.tear_down().await;
    if !args.once {
        output::line(format!(
            "\nstopped; {} is removed",
            folder.unwrap_or_default()
        ));
    }
    Ok(played?)
}

/// Shows all steps, and then waits for Ctrl-C unless `once` is set.
async fn show(stage: &Stage, once: bool, colours: bool) -> anyhow::Result<()> {
    for line in introduction(stage, colours) {
        output::line(line);
    }
    let started = Instant::now();
    let steps = play(stage, |number, account| {
        for line in account.lines(number, colours) {
            output::line(line);
        }
        output::line("");
    });
    let good = tokio::select! {
        good = steps => good,
        () = lifecycle::interrupted() => return Err(anyhow!("interrupted before the last step")),
    };
    let faults = check_all(stage);
    let all = SCENES.len();
    let verdict = |good: bool, text: String| {
        let tone = if good { Tone::Good } else { Tone::Bad };
        output::painted(&text, tone, colours)
    };
    output::line(output::painted("Summary", Tone::Strong, colours));
    let steps = format!(
        "{good} of {all} as expected, in {:.1} s",
        started.elapsed().as_secs_f32()
    );
    output::line(row("steps", &verdict(good == all, steps)));
    let connects = if faults.is_empty() {
        format!(
            "{} expected, {0} arrived, each once and byte for byte",
            CONNECTED.len()
        )
    } else {
        format!("NOT AS EXPECTED: {}", faults.join("; "))
    };
    output::line(row("connects", &verdict(faults.is_empty(), connects)));

    for line in outlook(colours) {
        output::line(line);
    }
    if !once {
        for line in invitation(stage, colours) {
            output::line(line);
        }
        tokio::select! {
            () = command::watch(&stage.mock, command::Told::already(&stage.mock)) => {}
            () = lifecycle::interrupted() => {}
        }
    }
    // The exit code is the proof, so it covers the ledger of the mock, too.
    if good == all && faults.is_empty() {
        Ok(())
    } else {
        Err(anyhow!(
            "not everything was as expected; see NOT AS EXPECTED above"
        ))
    }
}

/// Plays all steps, and counts those that went as expected.
async fn play(stage: &Stage, mut tell: impl FnMut(usize, &account::Account)) -> usize {
    let mut memory = Memory::default();
    let mut good = 0;
    for (scene, number) in SCENES.iter().zip(1..) {
        let account = scene.play(stage, &mut memory).await;
        good += usize::from(account.is_good());
        tell(number, &account);
    }
    good
}

/// Faults of all connects together: each must have arrived once, and no others.
fn check_all(stage: &Stage) -> Vec<String> {
    let mut faults = Vec::new();
    let all = stage.mock.look(|journal| journal.connect_count);
    if all != CONNECTED.len() as u64 {
        faults.push(format!(
            "{} connects expected, {all} arrived",
            CONNECTED.len()
        ));
    }
    for sample in CONNECTED {
        let connects = connects_of(stage, sample.ticket_id);
        let is_right = matches!(&connects[..], [connect]
            if connect.answered == Some(200) && connect.stored && is_identical(connect, sample));
        if !is_right {
            faults.push(format!(
                "{} is not connected as it should be",
                sample.ticket_id
            ));
        }
    }
    faults
}

fn introduction(stage: &Stage, colours: bool) -> Vec<String> {
    let title = "serval-connect demo: signed webhooks become connect calls";
    let serval = stage.mock.base_url();
    vec![
        output::painted(title, Tone::Strong, colours),
        "It proves that a webhook which was answered is stored, and reaches Serval once and byte for byte; that a".to_owned(),
        "repetition, an echo and a forged one reach it not at all; and that an unmapped one waits for its mapping.".to_owned(),
        String::new(),
        row(
            "daemon",
            &format!(
                "{}webhooks/…  (the real daemon, in this process)",
                stage.public
            ),
        ),
        row("admin API", stage.admin.as_str()),
        row("Serval", &format!("{serval}  (a stand-in)")),
        row("database", &stage.database.display().to_string()),
        String::new(),
    ]
}

/// The path of this program, so that a command works as it is printed, in any folder.
fn program() -> String {
    let path = std::env::current_exe();
    path.map_or_else(
        |_| "serval-connect".to_owned(),
        |path| path.display().to_string(),
    )
}

/// Lines about Serval afterwards, and about how to go on with one's own systems.
fn outlook(colours: bool) -> Vec<String> {
    let program = program();
    vec![
        String::new(),
        "At the real Serval, each of these tickets then shows its incident, requested item or thread as a connected"
            .to_owned(),
        "external ticket, and Serval keeps both in step.".to_owned(),
        String::new(),
        output::painted("With your own systems", Tone::Strong, colours),
        format!("   {program} init              # writes ./serval-connect.toml"),
        format!("   {program} check --online    # names what is left to fill in"),
        format!("   {program} serve"),
    ]
}

fn invitation(stage: &Stage, colours: bool) -> Vec<String> {
    let program = program();
    let (public, admin) = (&stage.public, &stage.admin);
    let (console, serval) = (admin.origin().ascii_serialization(), stage.mock.base_url());
    let token = &stage.admin_token;
    let (secret, file) = (stage.secret_file.display(), stage.to_try.display());
    let Sample {
        source,
        external_id,
        ticket_id,
        ..
    } = TO_TRY;
    let heading = |text: &str| output::painted(text, Tone::Strong, colours);
    let faint = |text: &str| output::painted(text, Tone::Faint, colours);
    let told = |label: &str, text: String| row(label, &text);
    vec![
        String::new(),
        heading("Everything keeps running until Ctrl-C"),
        told(
            "webhooks",
            format!("{public}webhooks/servicenow and {public}webhooks/slack"),
        ),
        told(
            "console",
            format!("{console}  in a browser, log in with  {token}"),
        ),
        told(
            "admin API",
            format!("{admin}  with  Authorization: Bearer {token}"),
        ),
        told(
            "Serval",
            format!("{serval}/_connects  (the connects at the stand-in)"),
        ),
        told("database", stage.database.display().to_string()),
        String::new(),
        heading("Try next, in another terminal"),
        faint("   # an incident without a mapping: it is parked"),
        format!("   {program} send {source} --secret-file {secret} \\"),
        format!("     --url {public}webhooks/{source} {file}"),
        faint("   # map it: it is sent to Serval at once, and appears below"),
        format!("   curl -X PUT -H 'Authorization: Bearer {token}' \\"),
        format!(
            "     -d '{{\"ticket_id\":\"{ticket_id}\"}}' {admin}mappings/{source}/{external_id}"
        ),
        faint("   # the inbox, newest first"),
        format!("   curl -H 'Authorization: Bearer {token}' '{admin}events?limit=3'"),
        String::new(),
        heading("Connects at Serval"),
    ]
}
