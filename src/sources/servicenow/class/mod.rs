//! The class of a record: what each witness tells, and which witness decides.
//!
//! Invariant: a class is told from names, or from labels that are known; never guessed.

use std::collections::BTreeMap;

/// A class that Serval can connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Incident,
    RequestedItem,
}

impl Class {
    /// Serval's `externalTicketSubtype`.
    pub(super) fn subtype(self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::RequestedItem => "requested_item",
        }
    }

    /// ServiceNow's name of the table.
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::RequestedItem => "sc_req_item",
        }
    }

    /// Reads a table's name, or the label that ServiceNow shows for it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "incident" => Some(Self::Incident),
            "sc_req_item" | "requested_item" | "requested item" => Some(Self::RequestedItem),
            _ => None,
        }
    }

    fn from_number(number: &str) -> Option<Self> {
        let number = number.trim().to_ascii_uppercase();
        let is_numbered = |prefix: &str| {
            let rest = number.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let prefixes = [("INC", Self::Incident), ("RITM", Self::RequestedItem)];
        let found = prefixes.into_iter().find(|(prefix, _)| is_numbered(prefix));
        found.map(|(_, class)| class)
    }
}

/// Labels of other classes, with their names; the names alone are the known other tables.
const OTHERS: &[(&str, &str)] = &[
    ("request", "sc_request"),
    ("catalog task", "sc_task"),
    ("change request", "change_request"),
    ("change task", "change_task"),
    ("problem", "problem"),
    ("problem task", "problem_task"),
    ("incident task", "incident_task"),
    ("security incident", "sn_si_incident"),
    ("case", "sn_customerservice_case"),
    ("hr case", "sn_hr_core_case"),
    ("ticket", "ticket"),
    ("interaction", "interaction"),
    ("knowledge", "kb_knowledge"),
];

/// The parent of every ticket class: as a table it tells nothing about the class.
const PARENT: &str = "task";

/// Beginnings of the names of classes that a customer made.
const OWN_PREFIXES: [&str; 2] = ["u_", "x_"];

/// The texts that tell a record's class, the weightiest first.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Witnesses<'a> {
    /// The record's own `sys_class_name`.
    pub(super) class_name: Option<&'a str>,
    /// `table` or `table_name` of the envelope.
    pub(super) table: Option<&'a str>,
    /// The key that the record stands under.
    pub(super) wrapper: Option<Class>,
    /// `/webhooks/{source}/{table}`.
    pub(super) path: Option<&'a str>,
    /// `table` or `table_name` among the columns, where it may be a column of that name.
    pub(super) column: Option<&'a str>,
    /// The record's number.
    pub(super) number: Option<&'a str>,
}

/// The class of a record, from one witness or from all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Ours(Class),
    /// Another class, by its table's name.
    Other(String),
    /// `sys_class_name` names one of our classes, and the envelope the other.
    Conflict,
    /// No text, or none that is a name or a known label.
    Unknown,
}

/// The classes of a source: the known ones and its aliases.
#[derive(Debug)]
pub(super) struct Classes {
    aliases: BTreeMap<String, Class>,
}

impl Classes {
    /// Reads the configured aliases, class name or label to class; an error says what is wrong.
    pub(super) fn try_new(aliases: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut read = BTreeMap::new();
        for (alias, class) in aliases {
            let name = normalize(alias);
            if name.is_empty() {
                return Err("an alias has no name".to_owned());
            }
            let class = Class::parse(&normalize(class)).ok_or_else(|| {
                format!("{alias:?} must stand for \"incident\" or \"sc_req_item\"")
            })?;
            // Two spellings of one alias may differ only in case.
            if read.insert(name, class).is_some_and(|other| other != class) {
                return Err(format!("{alias:?} stands for two classes"));
            }
        }
        Ok(Self { aliases: read })
    }

    /// Weighs the witnesses.
    pub(super) fn decide(&self, witnesses: &Witnesses<'_>) -> Verdict {
        let class_name = self.read(witnesses.class_name);
        let [table, wrapper, path, number] = self.read_around(witnesses);
        if let (Verdict::Ours(one), Verdict::Ours(other)) = (&class_name, &table)
            && one != other
        {
            return Verdict::Conflict;
        }
        let column = self.read_table(witnesses.column);
        // The number is the weakest: an administrator can choose any prefix.
        let mut by_weight = [class_name, table, wrapper, path, column, number].into_iter();
        let told = by_weight.find(|told| *told != Verdict::Unknown);
        told.unwrap_or(Verdict::Unknown)
    }

    /// True if `verdict`, which is no class of ours, may only miss an alias: the class has a label that
    /// is not known, or it is not one of the known other classes, and it is the customer's own or
    /// something around the record names a class of ours.
    pub(super) fn may_need_alias(&self, verdict: &Verdict, witnesses: &Witnesses<'_>) -> bool {
        match verdict {
            Verdict::Ours(_) | Verdict::Conflict => false,
            Verdict::Unknown => witnesses
                .class_name
                .is_some_and(|label| !label.trim().is_empty()),
            Verdict::Other(name) => {
                let is_own = OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
                let is_ours = |told: &Verdict| matches!(told, Verdict::Ours(_));
                let around = self.read_around(witnesses);
                !is_known_table(name) && (is_own || around.iter().any(is_ours))
            }
        }
    }

    /// Reads the witnesses that can only mean the class: envelope, wrapper, path and number.
    fn read_around(&self, witnesses: &Witnesses<'_>) -> [Verdict; 4] {
        let ours = |class: Option<Class>| class.map_or(Verdict::Unknown, Verdict::Ours);
        [
            self.read_table(witnesses.table),
            ours(witnesses.wrapper),
            self.read_table(witnesses.path),
            ours(witnesses.number.and_then(Class::from_number)),
        ]
    }

    fn read_table(&self, text: Option<&str>) -> Verdict {
        match self.read(text) {
            Verdict::Other(name) if name == PARENT => Verdict::Unknown,
            told
            @ (Verdict::Ours(_) | Verdict::Other(_) | Verdict::Conflict | Verdict::Unknown) => told,
        }
    }

    fn read(&self, text: Option<&str>) -> Verdict {
        let text = text.unwrap_or_default().trim();
        let name = normalize(text);
        let alias = self.aliases.get(&name).copied();
        if let Some(class) = alias.or_else(|| Class::parse(&name)) {
            return Verdict::Ours(class);
        }
        if let Some((_, table)) = OTHERS.iter().find(|(l, t)| *l == name || *t == name) {
            return Verdict::Other((*table).to_owned());
        }
        // A word with a capital is a label, perhaps a translated one ("Störung").
        if !name.is_empty() && (is_table_name(text) || name == PARENT) {
            Verdict::Other(name)
        } else {
            Verdict::Unknown
        }
    }
}

fn is_known_table(name: &str) -> bool {
    name == PARENT || OTHERS.iter().any(|(_, known)| *known == name)
}

/// True if `text` is empty or written as ServiceNow writes the names of tables.
pub(super) fn is_table_name(text: &str) -> bool {
    text.len() <= 80
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn normalize(text: &str) -> String {
    text.trim().to_lowercase()
}

#[cfg(test)]
mod tests;
