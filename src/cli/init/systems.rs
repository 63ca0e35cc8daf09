//! The flags of `init` that each kind of source has: one with its name, and one for its integration id.

use clap::{Arg, ArgAction, ArgMatches, Command, Error};

use crate::sources::{BUILT_IN, SourceKind};

/// A system that may send webhooks.
#[derive(Debug, Clone)]
pub(super) struct System {
    pub(super) kind: SourceKind,
    pub(super) is_wanted: bool,
    pub(super) integration_id: Option<String>,
}

/// All systems.
#[derive(Debug, Clone)]
pub(super) struct Systems(pub(super) Vec<System>);

/// Name of the flag for the integration id. The names of arguments live as long as the program.
fn integration_flag(kind: SourceKind) -> &'static str {
    format!("{}-integration-id", kind.name()).leak()
}

impl clap::FromArgMatches for Systems {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let system = |kind: &SourceKind| {
            let integration_id = matches.get_one::<String>(integration_flag(*kind)).cloned();
            System {
                kind: *kind,
                is_wanted: matches.get_flag(kind.name()) || integration_id.is_some(),
                integration_id,
            }
        };
        Ok(Self(BUILT_IN.iter().map(system).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for Systems {
    fn augment_args(command: Command) -> Command {
        BUILT_IN.iter().fold(command, |command, kind| {
            let (name, id) = (kind.name(), integration_flag(*kind));
            let wanted = Arg::new(name).long(name).action(ArgAction::SetTrue);
            let integration = Arg::new(id).long(id).value_name("ID");
            command
                .arg(wanted.help(format!("{name} sends webhooks")))
                .arg(integration.help(format!(
                    "Its integration at Serval, as `discover` lists it; implies --{name}"
                )))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
