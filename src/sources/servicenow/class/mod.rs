//! Which class a record has: what each witness says, and which of them decides.
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
        let numbered = |prefix| {
            number
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        if numbered("INC") {
            Some(Self::Incident)
        } else if numbered("RITM") {
            Some(Self::RequestedItem)
        } else {
            None
        }
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

/// The parent of every ticket class: as a table it says nothing about the class.
const PARENT: &str = "task";

/// What one witness says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Says {
    /// Nothing, or a text that is neither a name nor a known label.
    Nothing,
    Ours(Class),
    /// Another class, by its table's name.
    Other(String),
}

/// What is known about a record's class, in the order of its weight.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Witnesses<'a> {
    /// The record's own `sys_class_name`.
    pub(super) class_name: Option<&'a str>,
    /// `table` or `table_name`, and where it stands.
    pub(super) table: Option<Table<'a>>,
    /// The key that the record stands under.
    pub(super) wrapper: Option<Class>,
    /// `/webhooks/{source}/{table}`.
    pub(super) path: Option<&'a str>,
    /// The record's number.
    pub(super) number: Option<&'a str>,
}

/// A `table` or `table_name` in the body.
#[derive(Debug, Clone, Copy)]
pub(super) enum Table<'a> {
    /// In the envelope, where it can mean nothing else.
    OfEnvelope(&'a str),
    /// Among the record's columns, where it may be a column of that name.
    OfRecord(&'a str),
}

/// What the witnesses amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Ours(Class),
    /// Another class, by its table's name.
    Other(String),
    /// `sys_class_name` and `table` contradict each other.
    Conflict,
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
            if read.insert(name, class).is_some_and(|other| other != class) {
                return Err(format!("{alias:?} stands for two classes"));
            }
        }
        Ok(Self { aliases: read })
    }

    /// Weighs the witnesses.
    pub(super) fn decide(&self, witnesses: &Witnesses<'_>) -> Verdict {
        let class_name = self.read(witnesses.class_name);
        let (table, certain) = match witnesses.table {
            None => (Says::Nothing, true),
            Some(Table::OfEnvelope(text)) => (self.read_table(Some(text)), true),
            Some(Table::OfRecord(text)) => {
                let says = self.read_table(Some(text));
                let certain = match &says {
                    Says::Ours(_) => true,
                    Says::Other(name) => OTHERS.iter().any(|(_, known)| known == name),
                    Says::Nothing => false,
                };
                (says, certain)
            }
        };
        let told = class_name != Says::Nothing && table != Says::Nothing;
        if told && certain && class_name != table {
            return Verdict::Conflict;
        }
        let wrapper = witnesses.wrapper.map_or(Says::Nothing, Says::Ours);
        let path = self.read_table(witnesses.path);
        let number = witnesses.number.and_then(Class::from_number);
        [
            class_name,
            table,
            wrapper,
            path,
            number.map_or(Says::Nothing, Says::Ours),
        ]
        .into_iter()
        .find_map(|says| match says {
            Says::Nothing => None,
            Says::Ours(class) => Some(Verdict::Ours(class)),
            Says::Other(name) => Some(Verdict::Other(name)),
        })
        .unwrap_or(Verdict::Unknown)
    }

    fn read_table(&self, text: Option<&str>) -> Says {
        match self.read(text) {
            Says::Other(name) if name == PARENT => Says::Nothing,
            says @ (Says::Nothing | Says::Ours(_) | Says::Other(_)) => says,
        }
    }

    fn read(&self, text: Option<&str>) -> Says {
        let text = text.unwrap_or_default().trim();
        let name = normalize(text);
        if let Some(class) = self
            .aliases
            .get(&name)
            .copied()
            .or_else(|| Class::parse(&name))
        {
            return Says::Ours(class);
        }
        if let Some((_, table)) = OTHERS.iter().find(|(l, t)| *l == name || *t == name) {
            return Says::Other((*table).to_owned());
        }
        // A word with a capital is a label, perhaps a translated one ("Störung").
        if name.is_empty() {
            Says::Nothing
        } else if is_table_name(text) || name == PARENT {
            Says::Other(name)
        } else {
            Says::Nothing
        }
    }
}

/// Whether `text` is empty or written as ServiceNow writes the names of tables.
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
