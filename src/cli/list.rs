//! Lists of the API: reads as many pages as are wanted, and prints a table or JSON.

use http::Method;
use serde_json::{Value, json};

use super::backend::{Backend, Call};
use super::mentions::Search;
use super::source::source;
use crate::config::Config;
use crate::terminal::{Failure, Form, Outcome, output};

/// Largest page that is asked for.
const PAGE: usize = 500;
/// Longest text in a cell of [`Cell::Short`], in characters.
pub(super) const TEXT_WIDTH: usize = 60;

/// Options of every command that lists something.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Only of this source
    #[arg(long)]
    source: Option<String>,
    /// At most N
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// All, whatever their number
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    form: Form,
}

impl Options {
    /// Largest number of rows; `None`: no limit.
    fn most(&self) -> Option<usize> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        (!self.all).then_some(limit)
    }
}

/// A range of time on the command line.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Times {
    /// Only from this time on: back from now, such as 24h or 7d, or a time such as 2026-03-01T12:00:00Z
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) since: Option<String>,
    /// Only before this time, likewise
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) until: Option<String>,
}

/// A list of the API, and the table that shows it.
pub(super) struct List {
    /// The path below `/api/v1/`.
    pub(super) path: &'static str,
    pub(super) columns: &'static [Column],
    /// Printed if the list is empty.
    pub(super) empty: &'static str,
    /// The end of the list that a limit keeps, such as `newest`.
    pub(super) kept: &'static str,
    /// Printed below a table.
    pub(super) advice: Option<&'static str>,
}

/// A column: its heading, and the member of the JSON object that it shows.
pub(super) struct Column(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) Cell,
);

/// Form of the values of a column.
pub(super) enum Cell {
    Text,
    Short,
    Time,
}

impl List {
    /// Prints what matches `filters`.
    pub(super) async fn print(
        &self,
        config: &Config,
        options: &Options,
        filters: &[(&'static str, Option<&str>)],
    ) -> Outcome {
        let nothing = async |_: &Backend, _: Option<&str>| Vec::new();
        self.print_or_say(config, options, filters, nothing).await
    }

    /// Prints what matches `filters`. Where nothing does, also prints what `absent` says of this source.
    pub(super) async fn print_or_say(
        &self,
        config: &Config,
        options: &Options,
        filters: &[(&'static str, Option<&str>)],
        absent: impl AsyncFnOnce(&Backend, Option<&str>) -> Vec<String>,
    ) -> Outcome {
        // The command line knows the configured names, and its message lists them.
        if let Some(name) = &options.source {
            source(config, name)?;
        }
        let all = [("source", options.source.as_deref())];
        let call = all.iter().chain(filters).fold(
            Call::new(Method::GET, &[self.path]),
            |call, (key, value)| call.with(key, *value),
        );
        let (list, said) = Backend::with(config, async |backend: &Backend| {
            let list = read(backend, &call, options).await?;
            let is_empty = list["data"].as_array().is_none_or(Vec::is_empty);
            let said = if is_empty && !options.form.json {
                absent(backend, options.source.as_deref()).await
            } else {
                Vec::new()
            };
            Ok((list, said))
        })
        .await?;
        options.form.show(&list, |list| self.show(list));
        said.into_iter().for_each(output::note);
        Ok(())
    }

    /// Prints the events that match `filters` and whose stored bodies mention the value.
    pub(super) async fn print_mentions(
        &self,
        config: &Config,
        options: &Options,
        value: &str,
        filters: &[(&'static str, Option<&str>)],
    ) -> Outcome {
        if let Some(name) = &options.source {
            source(config, name)?;
        }
        let all = [filters, &[("source", options.source.as_deref())]].concat();
        let search = Search::new(value, &all);
        let (found, next) = Backend::with(config, async |backend: &Backend| {
            let mut found = Vec::new();
            let take = |event| found.push(event);
            let searched = search.run(backend, options.most(), take).await?;
            Ok((found, searched.next))
        })
        .await?;
        let list = json!({ "data": found, "next_cursor": next });
        options.form.show(&list, |list| self.show(list));
        Ok(())
    }

    fn show(&self, list: &Value) {
        let items = list["data"].as_array().map_or(&[][..], Vec::as_slice);
        if items.is_empty() {
            output::note(self.empty);
            return;
        }
        let head = self.columns.iter().map(|Column(heading, ..)| *heading);
        output::table(head, items.iter().map(|item| self.row(item)));
        // Without this line a person would take the first page for the whole list.
        if !list["next_cursor"].is_null() {
            let (kept, n) = (self.kept, items.len());
            output::note(format_args!("the {kept} {n}; more with --limit N or --all"));
        }
        if let Some(advice) = self.advice {
            output::note(advice);
        }
    }

    pub(super) fn row(&self, item: &Value) -> Vec<String> {
        let cell = |Column(_, member, cell): &Column| match cell {
            Cell::Text => output::cell(item, member),
            Cell::Short => output::shortened(&output::cell(item, member), TEXT_WIDTH),
            Cell::Time => output::time(item, member).unwrap_or_else(|| output::NOTHING.to_owned()),
        };
        self.columns.iter().map(cell).collect()
    }
}

/// Follows the cursors of a list: `{"data": […], "next_cursor": …}`, as the API writes it.
async fn read(backend: &Backend, call: &Call, options: &Options) -> Result<Value, Failure> {
    let limit = options.most().unwrap_or(usize::MAX);
    let mut data: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        // The last page asks only for the rows that are still wanted, so that the cursor of the answer
        // continues right after them.
        let page = limit.saturating_sub(data.len()).min(PAGE);
        let call = call
            .clone()
            .with("limit", Some(&page.to_string()))
            .with("cursor", cursor.as_deref());
        let mut body = backend.call(&call).await?.body;
        if let Value::Array(items) = body["data"].take() {
            data.extend(items);
        }
        cursor = body["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() || data.len() >= limit {
            return Ok(json!({ "data": data, "next_cursor": cursor }));
        }
    }
}
