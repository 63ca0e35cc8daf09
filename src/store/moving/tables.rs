//! The tables that both kinds of database have, with their columns.

use super::MoveError;
use crate::store::engine::{Kind, Readers, Server, Via};
use crate::store::sql::{self, args};

/// Tables of the server that are about its processes. A file has none of them.
const OF_SERVER: [&str; 4] = ["replicas", "lead", "stagings", "sessions"];
/// Table that may have rows before.
const SETTINGS: &str = "settings";

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// True if a file has a row id for its rows, by which they are read in parts.
    pub(super) has_row_id: bool,
    /// True if the server numbers new rows.
    is_numbered: bool,
}

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

impl Table {
    /// True if a target in which it has rows is not taken.
    pub(super) fn must_be_empty(&self) -> bool {
        self.name != SETTINGS
    }

    /// The names of its columns, with commas.
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|c| c.name.as_str()).collect();
        names.join(", ")
    }

    /// Which rows are moved. Some settings are about the file, or the server has its own.
    pub(super) fn condition(&self) -> &'static str {
        if self.name == SETTINGS {
            "key NOT IN ('uptime', 'probed_at', 'copied', 'compatible_from')"
        } else {
            "TRUE"
        }
    }

    /// Statement that makes the server number new rows after those that are there.
    pub(super) fn numbering(&self) -> Option<String> {
        let name = &self.name;
        self.is_numbered.then(|| {
            format!(
                "SELECT setval(pg_get_serial_sequence('{name}', 'id'), \
                 (SELECT COALESCE(MAX(id), 0) + 1 FROM {name}), false)"
            )
        })
    }
}

/// Lists the tables of the server, and checks that they have a place for all that the file has.
pub(super) async fn tables(source: &Readers, server: &mut Server) -> Result<Vec<Table>, MoveError> {
    const OF_THE_SERVER: &str = "\
        -- store::tables::of_the_server
        SELECT c.table_name::text, c.column_name::text,
            c.data_type::text || CASE WHEN c.is_identity = 'YES' THEN ' numbered' ELSE '' END
        FROM information_schema.columns AS c JOIN information_schema.tables AS t
            ON t.table_schema = c.table_schema AND t.table_name = c.table_name
        WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE'
        ORDER BY c.table_name, c.ordinal_position";
    const OF_THE_FILE: &str = "\
        -- store::tables::of_the_file
        SELECT t.name, c.name, t.sql LIKE '%WITHOUT ROWID%'
        FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
        WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name <> '_sqlx_migrations'
        ORDER BY t.name, c.cid";
    let of_server: Vec<(String, String, String)> =
        sql::fetch_all(Via::Postgres(server.connection()), OF_THE_SERVER, args![]).await?;
    let of_file: Vec<(String, String, bool)> = sql::fetch_all(source, OF_THE_FILE, args![]).await?;
    let mut tables: Vec<Table> = Vec::new();
    for (table, column, has_no_row_id) in of_file {
        let found = of_server
            .iter()
            .find(|(of, name, _)| (of, name) == (&table, &column));
        let kind = found.and_then(|(.., kind)| kind_of(kind));
        let is_ours = !OF_SERVER.contains(&table.as_str());
        let Some((kind, is_numbered)) = kind.filter(|_| is_ours) else {
            let what = format!("the column {column} of the table {table}");
            return Err(MoveError::NoPlace { what });
        };
        if tables.last().is_none_or(|last| last.name != table) {
            tables.push(Table {
                name: table,
                columns: Vec::new(),
                has_row_id: !has_no_row_id,
                is_numbered: false,
            });
        }
        if let Some(last) = tables.last_mut() {
            last.is_numbered |= is_numbered;
            last.columns.push(Column { name: column, kind });
        }
    }
    Ok(tables)
}

/// The kind of a type of the server, and whether the server numbers the column.
fn kind_of(data_type: &str) -> Option<(Kind, bool)> {
    let kind = match data_type.split(' ').next()? {
        "bigint" => Kind::Int,
        "boolean" => Kind::Bool,
        "text" => Kind::Text,
        "bytea" => Kind::Blob,
        _ => return None,
    };
    Some((kind, data_type.ends_with(" numbered")))
}
