//! The shapes that a value can have, and how each is read from TOML and from the environment.
//!
//! Invariant: a refusal says what was expected and never repeats the value, which may be a secret.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::units;

/// A key of a section or of a source, without its value.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name below the section.
    pub name: &'static str,
    /// The values that it takes.
    pub shape: Shape,
    /// True if a change takes a restart.
    pub is_fixed: bool,
}

impl Key {
    /// A key whose change a reload takes over.
    pub const fn new(name: &'static str, shape: Shape) -> Self {
        Self {
            name,
            shape,
            is_fixed: false,
        }
    }
}

/// The values that a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// An IP address and a port.
    Address,
    /// A text that is not empty.
    Text,
    /// The path of a file.
    File,
    /// A list of texts that are not empty.
    Texts,
    /// A text that is shown to nobody.
    Secret,
    /// A list of texts that are shown to nobody.
    Secrets,
    /// The URL of a database, of which a part is shown to nobody.
    DatabaseUrl,
    /// Bytes, both ends included.
    Size {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A span of time, both ends included.
    Duration {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// A whole number, both ends included.
    Count {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// `true` or `false`.
    Switch,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A table of anything, passed on as it stands. A later layer replaces the whole of it.
    Object,
    /// A table of texts. Layers merge in it.
    TextTable,
}

impl Shape {
    /// True if the value must never be shown. Such keys can also be read from files.
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Secrets | Self::DatabaseUrl)
    }

    /// Checks a value from TOML and brings it into the form that the typed structs read.
    pub(crate) fn read(self, value: &Value) -> Result<Value, String> {
        self.accept(value)
            .ok_or_else(|| format!("expected {}", self.expected()))
    }

    /// Reads a value from an environment variable.
    pub(crate) fn read_text(self, text: &str) -> Result<Value, String> {
        self.parse_text(text)
            .and_then(|value| self.accept(&value))
            .ok_or_else(|| {
                let form = if matches!(self, Self::Texts | Self::Secrets) {
                    ", comma-separated or as a JSON array"
                } else if matches!(self, Self::Object | Self::TextTable) {
                    ", as JSON"
                } else {
                    ""
                };
                format!("expected {}{form}", self.expected())
            })
    }

    /// Reads the content of a secret's file: the text without its last line break, or one secret
    /// a line for a list.
    pub(crate) fn read_file_content(self, content: &str) -> Result<Value, String> {
        // Some editors begin a file with a byte order mark, which nobody sees.
        let content = content.strip_prefix('\u{feff}').unwrap_or(content);
        let unusable = |what| format!("cannot be used: {what}");
        if self == Self::Secrets {
            let lines: Vec<&str> = content
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .collect();
            if lines.is_empty() {
                return Err("holds no secret: expected one a line".to_owned());
            }
            return self.read(&Value::from(lines)).map_err(unusable);
        }
        let text = content.trim_end_matches(['\r', '\n']);
        if text.trim().is_empty() {
            return Err("is empty".to_owned());
        }
        self.read(&Value::from(text)).map_err(unusable)
    }

    /// The value with its relative path counted from `folder`, if it has one.
    pub(crate) fn placed(self, folder: &Path, value: Value) -> Value {
        let placed = match (self, value.as_str()) {
            (Self::File, Some(path)) => folder.join(path).to_str().map(str::to_owned),
            (Self::DatabaseUrl, Some(url)) => placed_database(folder, url),
            _ => None,
        };
        placed.map_or(value, Value::from)
    }

    fn parse_text(self, text: &str) -> Option<Value> {
        match self {
            Self::Count { .. } => text.trim().parse::<i64>().ok().map(Value::from),
            Self::Switch => text.trim().parse::<bool>().ok().map(Value::from),
            // Lists from the environment may be JSON, or words between commas. JSON is needed for
            // an item that holds a comma.
            Self::Texts | Self::Secrets if !text.trim_start().starts_with('[') => {
                let items = text.split(',').map(str::trim);
                Some(items.filter(|item| !item.is_empty()).collect())
            }
            Self::Texts | Self::Secrets | Self::Object | Self::TextTable => {
                serde_json::from_str(text).ok()
            }
            // A secret may begin or end with a blank, so it is taken as it stands.
            Self::Secret => Some(Value::from(text)),
            Self::Address
            | Self::Text
            | Self::File
            | Self::DatabaseUrl
            | Self::Size { .. }
            | Self::Duration { .. }
            | Self::OneOf(_) => Some(Value::from(text.trim())),
        }
    }

    fn accept(self, value: &Value) -> Option<Value> {
        let fits = match self {
            Self::Address => value.as_str()?.parse::<SocketAddr>().is_ok(),
            Self::Text | Self::File | Self::Secret | Self::DatabaseUrl => is_line(value),
            Self::Texts | Self::Secrets => value.as_array()?.iter().all(is_line),
            Self::Size { min, max } => {
                // A bare number counts bytes.
                let text = value.as_u64().map_or_else(
                    || value.as_str().map(str::to_owned),
                    |bytes| Some(bytes.to_string()),
                )?;
                let size = units::parse_size(&text)?;
                return (min..=max).contains(&size).then(|| Value::from(text));
            }
            Self::Duration { min, max } => {
                (min..=max).contains(&units::parse_duration(value.as_str()?)?)
            }
            Self::Count { min, max } => (min..=max).contains(&value.as_i64()?),
            Self::Switch => value.is_boolean(),
            Self::OneOf(words) => words.contains(&value.as_str()?),
            Self::Object => value.is_object(),
            Self::TextTable => value.as_object()?.values().all(is_line),
        };
        fits.then(|| value.clone())
    }

    fn expected(self) -> String {
        match self {
            Self::Address => "an IP address and a port, such as \"127.0.0.1:8080\"".to_owned(),
            Self::Text | Self::File | Self::Secret | Self::DatabaseUrl => {
                "a text on one line that is not empty".to_owned()
            }
            Self::Texts | Self::Secrets => {
                "a list of texts such as [\"…\"], each on one line and not empty".to_owned()
            }
            Self::Size { min, max } => format!(
                "a size such as \"2MiB\", from {} to {}",
                units::shown_size(min),
                units::shown_size(max)
            ),
            Self::Duration { min, max } => format!(
                "a duration such as \"90s\" or \"7d\", from {} to {}",
                units::shown_duration(min),
                units::shown_duration(max)
            ),
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Switch => "true or false".to_owned(),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Object => "a table, such as { name = \"…\" }".to_owned(),
            Self::TextTable => "a table of texts".to_owned(),
        }
    }
}

fn placed_database(folder: &Path, url: &str) -> Option<String> {
    let rest = url.strip_prefix("sqlite:")?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    // `:memory:` is no path, and is refused elsewhere.
    let is_relative = Path::new(path).is_relative() && !path.is_empty() && !path.starts_with(':');
    let placed = is_relative.then(|| folder.join(path))?;
    Some(format!("sqlite://{}", placed.to_str()?))
}

/// A text that is not empty and has no line break or other control character, which could not
/// travel in an HTTP header.
fn is_line(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| !text.trim().is_empty() && !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DURATION: Shape = Shape::Duration {
        min: Duration::from_secs(1),
        max: Duration::from_mins(1),
    };
    const SIZE: Shape = Shape::Size {
        min: 1024,
        max: 4096,
    };
    const COUNT: Shape = Shape::Count { min: 1, max: 256 };

    #[test]
    fn text_from_the_environment_is_read_by_the_shape_of_its_key() {
        for (shape, text, expected) in [
            (Shape::Address, "[::1]:80", Some(json!("[::1]:80"))),
            (Shape::Address, "localhost:80", None),
            (Shape::Text, " a ", Some(json!("a"))),
            (Shape::Texts, "a, b,,c", Some(json!(["a", "b", "c"]))),
            (Shape::Texts, r#"["a,b"]"#, Some(json!(["a,b"]))),
            (Shape::Texts, "[]", Some(json!([]))),
            (Shape::Texts, r#"["a""#, None),
            (Shape::Texts, "[1]", None),
            (Shape::Secret, "pass word", Some(json!("pass word"))),
            (Shape::Secret, "pass\nword", None),
            (SIZE, "2KiB", Some(json!("2KiB"))),
            (SIZE, "2048", Some(json!("2048"))),
            (SIZE, "1GiB", None),
            (DURATION, "1m", Some(json!("1m"))),
            (DURATION, "61s", None),
            (DURATION, "0s", None),
            (DURATION, "90", None),
            (COUNT, "256", Some(json!(256))),
            (COUNT, "257", None),
            (COUNT, "0", None),
            (COUNT, "four", None),
            (Shape::Switch, "true", Some(json!(true))),
            (Shape::Switch, "yes", None),
            (Shape::OneOf(&["text", "json"]), "json", Some(json!("json"))),
            (Shape::OneOf(&["text", "json"]), "xml", None),
            (
                Shape::Object,
                r#"{"a":{"b":null}}"#,
                Some(json!({"a": {"b": null}})),
            ),
            (Shape::Object, "[]", None),
            (Shape::TextTable, r#"{"a":"b"}"#, Some(json!({"a": "b"}))),
            (Shape::TextTable, r#"{"a":1}"#, None),
        ] {
            assert_eq!(shape.read_text(text).ok(), expected, "{shape:?} {text:?}");
        }
    }

    #[test]
    fn a_relative_path_counts_from_the_folder_of_its_file() {
        for (shape, written, expected) in [
            (Shape::File, "a.pem", "/etc/sc/a.pem"),
            (Shape::File, "../a.pem", "/etc/sc/../a.pem"),
            (Shape::File, "/a.pem", "/a.pem"),
            (Shape::Text, "a.pem", "a.pem"),
            (
                Shape::DatabaseUrl,
                "sqlite://d/x.db",
                "sqlite:///etc/sc/d/x.db",
            ),
            (Shape::DatabaseUrl, "sqlite:x.db", "sqlite:///etc/sc/x.db"),
            (Shape::DatabaseUrl, "sqlite:///x.db", "sqlite:///x.db"),
            (Shape::DatabaseUrl, "sqlite:/x.db", "sqlite:/x.db"),
            (Shape::DatabaseUrl, "sqlite::memory:", "sqlite::memory:"),
            (Shape::DatabaseUrl, "sqlite://", "sqlite://"),
            (Shape::DatabaseUrl, "postgres://h/d", "postgres://h/d"),
        ] {
            let placed = shape.placed(Path::new("/etc/sc"), written.into());
            assert_eq!(placed, expected, "{written}");
        }
        let here = Shape::DatabaseUrl.placed(Path::new(""), "sqlite://d/x.db".into());
        assert_eq!(here, "sqlite://d/x.db");
    }

    #[test]
    fn toml_values_are_not_bent_into_another_type() {
        for (shape, value, good) in [
            (COUNT, json!(4), true),
            (COUNT, json!("4"), false),
            (COUNT, json!(4.0), false),
            (Shape::Switch, json!("true"), false),
            (Shape::Texts, json!("a"), false),
            (Shape::Text, json!(""), false),
            (SIZE, json!(2048), true),
            (DURATION, json!(30), false),
        ] {
            assert_eq!(shape.read(&value).is_ok(), good, "{shape:?} {value}");
        }
    }

    #[test]
    fn a_file_holds_one_secret_or_one_a_line() {
        let read = |shape: Shape, content: &str| shape.read_file_content(content).ok();
        assert_eq!(read(Shape::Secret, "s3cret\r\n"), Some(json!("s3cret")));
        assert_eq!(read(Shape::Secret, " s3cret"), Some(json!(" s3cret")));
        assert_eq!(
            read(Shape::Secret, "\u{feff}s3cret\n"),
            Some(json!("s3cret"))
        );
        assert_eq!(read(Shape::Secret, "\u{feff}\n"), None);
        assert_eq!(read(Shape::Secret, "\n"), None);
        assert_eq!(read(Shape::Secret, "one\ntwo\n"), None);
        assert_eq!(
            read(Shape::Secrets, "# current\n new \n\n# previous\nold"),
            Some(json!(["new", "old"]))
        );
        assert_eq!(read(Shape::Secrets, "# nothing\n"), None);
    }
}
