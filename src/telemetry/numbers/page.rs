//! Reads a page of `OpenMetrics`, as [`crate::metrics`] writes it: the one form in which all numbers
//! of the daemon come together, so that no instrument is needed twice.

use std::collections::BTreeMap;

/// What the type line of a family says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The numbers of one name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Family {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) help: String,
    /// Such as `seconds`; empty for none.
    pub(super) unit: String,
    pub(super) samples: Vec<Sample>,
}

/// One line of numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    /// What the name has beyond that of its family, such as `_bucket`.
    pub(super) suffix: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) value: f64,
}

/// The families of a page. What is not understood is left out: a page is ours, so it is nothing.
pub(super) fn read(page: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for line in page.lines() {
        let mut words = line.splitn(4, ' ');
        if let (Some("#"), Some(word), Some(name)) = (words.next(), words.next(), words.next()) {
            let text = words.next().unwrap_or_default();
            describe(&mut families, word, name, text);
        } else if let Some(family) = families.last_mut() {
            family.samples.extend(sample(&family.name, line));
        }
    }
    families.retain(|family| !family.samples.is_empty());
    families
}

fn describe(families: &mut Vec<Family>, word: &str, name: &str, text: &str) {
    if families.last().is_none_or(|last| last.name != name) {
        families.push(Family {
            name: name.to_owned(),
            kind: Kind::Gauge,
            help: String::new(),
            unit: String::new(),
            samples: Vec::new(),
        });
    }
    let Some(family) = families.last_mut() else {
        return;
    };
    match word {
        // The writer ends what it is told with a stop.
        "HELP" => family.help = unescaped(text.trim_end_matches('.')),
        "UNIT" => text.clone_into(&mut family.unit),
        "TYPE" => {
            family.kind = match text {
                "counter" => Kind::Counter,
                "histogram" => Kind::Histogram,
                _ => Kind::Gauge,
            }
        }
        _ => {}
    }
}

fn sample(family: &str, line: &str) -> Option<Sample> {
    let rest = line.strip_prefix(family)?;
    let (suffix, rest) = rest.split_at(rest.find(['{', ' '])?);
    let (labels, value) = match rest.strip_prefix('{') {
        None => (BTreeMap::new(), rest),
        Some(rest) => labels(rest)?,
    };
    // A time or an exemplar may follow.
    let value = value.trim_start().split(' ').next()?.parse().ok()?;
    Some(Sample {
        suffix: suffix.to_owned(),
        labels,
        value,
    })
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let is_quote = |(at, _): &(usize, char)| {
            let before = &quoted.as_bytes()[..*at];
            let slashes = before.iter().rev().take_while(|byte| **byte == b'\\');
            slashes.count().is_multiple_of(2)
        };
        let ends = quoted.char_indices().filter(|(_, c)| *c == '"');
        let (end, _) = { ends }.find(is_quote)?;
        labels.insert(name.to_owned(), unescaped(&quoted[..end]));
        rest = quoted[end + 1..].trim_start_matches(',');
    }
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => plain.push('\n'),
                Some(other) => plain.push(other),
                None => {}
            },
            (c, false) => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_as_it_was_written() {
        let page = "# HELP a_seconds How long.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n\
            a_seconds_sum{to=\"x\"} 1.5\na_seconds_bucket{le=\"+Inf\",to=\"x\"} 2\n\
            # HELP b Of \\\\ what.\n# TYPE b counter\nb_total 7\n\
            b_total{said=\"a \\\"word\\\", {odd}\\\\\",and=\"x\\ny\"} 8 1.0\n\
            # HELP c Nothing yet.\n# TYPE c counter\n# EOF\n";
        let families = read(page);
        let names: Vec<_> = families.iter().map(|f| (f.name.as_str(), f.kind)).collect();
        assert_eq!(
            names,
            [("a_seconds", Kind::Histogram), ("b", Kind::Counter)]
        );
        assert_eq!(
            (families[0].help.as_str(), families[0].unit.as_str()),
            ("How long", "seconds")
        );
        assert_eq!(families[0].samples[1].labels["le"], "+Inf");
        assert_eq!(families[1].help, "Of \\ what");
        let odd = &families[1].samples[1];
        assert_eq!(odd.labels["said"], "a \"word\", {odd}\\");
        assert_eq!((odd.labels["and"].as_str(), odd.value), ("x\ny", 8.0));
        assert_eq!(odd.suffix, "_total");
    }
}
