//! Adds to the message about a wrong command line what may stand there.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::builder::Command;
use clap::error::ErrorKind;
use clap::{Error, Parser};

use crate::terminal::output;

/// Reads the command line. If it is wrong, or asks for help, that is printed, and the exit code is returned.
///
/// # Errors
///
/// The exit code: 0 for help, 2 for a wrong command line.
pub(super) fn parse<C: Parser>() -> Result<C, ExitCode> {
    C::try_parse().map_err(|error| {
        drop(error.print());
        if let Some(hint) = hint(C::command(), &error, std::env::args_os().skip(1)) {
            output::note(hint);
        }
        let code = u8::try_from(error.exit_code());
        code.map_or(ExitCode::FAILURE, ExitCode::from)
    })
}

/// Returns the commands or options that may stand where the error is.
fn hint(
    mut command: Command,
    error: &Error,
    arguments: impl Iterator<Item = OsString>,
) -> Option<String> {
    command.build();
    for argument in arguments {
        let next = argument
            .to_str()
            .and_then(|name| command.find_subcommand(name));
        if let Some(next) = next {
            command = next.clone();
        }
    }
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let is_unknown = error.kind() == ErrorKind::UnknownArgument;
    if error.kind() == ErrorKind::InvalidSubcommand || (is_unknown && command.has_subcommands()) {
        let names = commands(&command);
        return Some(format!("The commands of {name}: {names}"));
    }
    is_unknown.then(|| format!("{name} takes: {}", options(&command)))
}

fn commands(command: &Command) -> String {
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
    let names: Vec<&str> = shown.map(Command::get_name).collect();
    names.join(", ")
}

fn options(command: &Command) -> String {
    let shown = command.get_arguments().filter(|one| !one.is_hide_set());
    let names: Vec<String> = shown.map(ToString::to_string).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn what_may_stand_where_the_error_is_is_named() {
        let rows: [(&str, &[&str]); 7] = [
            (
                "status",
                &["The commands of serval-connect: serve, ", ", erase"],
            ),
            (
                "audit list",
                &["The commands of serval-connect audit: export"],
            ),
            (
                "map INC0010001",
                &["The commands of serval-connect map: ", "import"],
            ),
            (
                "events list INC0010001",
                &["serval-connect events list takes: ", "--external-id <"],
            ),
            (
                "map export mappings.csv",
                &["serval-connect map export takes: ", "--output <"],
            ),
            ("events list --last 1h", &["--since <"]),
            (
                "serve --port 8080",
                &["serval-connect serve takes: ", "--config <FILE>"],
            ),
        ];
        for (line, expected) in rows {
            let words = std::iter::once("serval-connect").chain(line.split(' '));
            let error = Cli::try_parse_from(words).expect_err("it is wrong");
            let hint = hint(Cli::command(), &error, line.split(' ').map(OsString::from));
            let hint = hint.expect("something may stand there");
            for word in expected {
                assert!(hint.contains(word), "{line}: {hint}");
            }
        }
    }

    #[test]
    fn other_errors_are_left_as_they_are() {
        for line in ["--help", "map set", "events list --limit x"] {
            let words = std::iter::once("serval-connect").chain(line.split(' '));
            let error = Cli::try_parse_from(words).expect_err("it is no command");
            assert_eq!(
                hint(Cli::command(), &error, line.split(' ').map(OsString::from)),
                None,
                "{line}"
            );
        }
    }
}
