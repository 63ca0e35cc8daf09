//! Figures side by side, as Markdown, and how they stand to the goals.

use std::fmt::Write as _;

/// A table that is printed when it is whole.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: &[&str]) -> Self {
        let head = columns.iter().map(|&column| column.to_owned()).collect();
        Self {
            title: title.into(),
            rows: vec![head],
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn print(&self) {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = format!("\n### {}\n\n", self.title);
        for (index, row) in self.rows.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                write!(text, "| {cell:<width$} ").expect("a String takes all");
            }
            text.push_str("|\n");
            if index == 0 {
                for width in &widths {
                    write!(text, "|{}", "-".repeat(width + 2)).expect("a String takes all");
                }
                text.push_str("|\n");
            }
        }
        println!("{text}");
    }
}

/// A figure with what is asked of it.
#[derive(Debug, Clone)]
pub(crate) struct Goal {
    pub(crate) name: String,
    pub(crate) measured: f64,
    /// What must be reached.
    pub(crate) bound: Bound,
    /// What would be good.
    pub(crate) aim: f64,
}

/// Which side of the bound is good.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    pub(crate) fn new(name: impl Into<String>, measured: f64, bound: Bound, aim: f64) -> Self {
        Self {
            name: name.into(),
            measured,
            bound,
            aim,
        }
    }

    fn is_met(&self) -> bool {
        self.reaches(match self.bound {
            Bound::AtLeast(bound) | Bound::AtMost(bound) => bound,
        })
    }

    fn reaches(&self, wanted: f64) -> bool {
        match self.bound {
            Bound::AtLeast(_) => self.measured >= wanted,
            Bound::AtMost(_) => self.measured <= wanted,
        }
    }

    fn wanted(&self) -> String {
        match self.bound {
            Bound::AtLeast(bound) => format!(">= {bound}"),
            Bound::AtMost(bound) => format!("<= {bound}"),
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.is_met(), self.reaches(self.aim)) {
            (true, true) => "yes, and the aim",
            (true, false) => "yes",
            (false, _) => "no",
        }
    }
}

/// Says which goals are missed; `true` if any is. The last lines of a run are what is left of it in many a log.
pub(crate) fn print_missed(goals: &[Goal]) -> bool {
    let missed = goals.iter().filter(|goal| !goal.is_met());
    let mut is_any = false;
    for goal in missed {
        let (name, value) = (&goal.name, number(goal.measured));
        println!("missed: {name}: {value}, wanted {}", goal.wanted());
        is_any = true;
    }
    is_any
}

/// Prints the goals.
pub(crate) fn print_goals(goals: &[Goal]) {
    if goals.is_empty() {
        return;
    }
    let mut table = Table::new("Goals", &["measure", "value", "at least", "aim", "met?"]);
    for goal in goals {
        let aim = match goal.bound {
            Bound::AtLeast(_) => format!(">= {}", goal.aim),
            Bound::AtMost(_) => format!("<= {}", goal.aim),
        };
        table.row(vec![
            goal.name.clone(),
            number(goal.measured),
            goal.wanted(),
            aim,
            goal.verdict().to_owned(),
        ]);
    }
    table.print();
}

/// Three significant digits.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The middle of some figures; of two, the lower.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().unwrap_or(f64::NAN)
}
