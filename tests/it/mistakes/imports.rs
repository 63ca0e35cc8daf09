//! Files of mappings that cannot be read, each of another kind.

use std::fs;

use super::{INCIDENT, contents, judge, with_database};
use crate::cli_run::ended;

/// The file's name, what is in it, and the words that the message must have.
type File = (&'static str, &'static [u8], &'static [&'static str]);

const HEAD: &str = "source,external_id,ticket_id\n";

const UNREADABLE: [File; 15] = [
    (
        "empty.csv",
        b"",
        &["header line is missing", "source,external_id,ticket_id"],
    ),
    ("blank.csv", b"\n\n", &["header line is missing"]),
    (
        "page.csv",
        b"<!DOCTYPE html><html>\n",
        &["from the header line", "<!DOCTYPE html>"],
    ),
    (
        "report.csv",
        b"%PDF-1.4\n",
        &["from the header line", "%PDF-1.4"],
    ),
    ("pairs.xlsx", b"PK\x03\x04\x14", &["workbook", "CSV UTF-8"]),
    (
        "pairs.ods",
        b"PK\x03\x04mimetype",
        &["workbook", "CSV UTF-8"],
    ),
    (
        "pairs.xls",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        &["old Excel workbook", "CSV UTF-8"],
    ),
    ("renamed.csv", b"PK\x03\x04\x14", &["workbook", "CSV UTF-8"]),
    ("packed.csv", b"\x1f\x8b\x08", &["gzip", "CSV UTF-8"]),
    (
        "latin.csv",
        b"source,external_id,ticket_id\nservicenow,\xe9,T\n",
        &["line 2", "neither UTF-8 nor UTF-16"],
    ),
    (
        "array.json",
        b"[{\"source\":\"slack\"}]",
        &["JSON array", "one object a line", "jq"],
    ),
    (
        "pretty.ndjson",
        b"{\n\"source\":\"slack\"\n}\n",
        &["line 1", "one object a line", "jq"],
    ),
    (
        "words.ndjson",
        b"\"slack\"\n",
        &["line 1", "this is text, expected an object"],
    ),
    (
        "number.ndjson",
        b"{\"source\":\"slack\",\"external_id\":1,\"ticket_id\":\"T\"}\n",
        &["external_id", "this is a number, expected text"],
    ),
    (
        "pairs.txt",
        b"source,external_id,ticket_id\n",
        &["--format csv or --format ndjson"],
    ),
];

/// The file's name, the lines below the header, and the words that the message must have.
type Lines = (&'static str, &'static str, &'static [&'static str]);

const FAULTY: [Lines; 9] = [
    (
        "few.csv",
        "servicenow,3b9e41d7c0f24a18857d6e02fa91b3c6",
        &["line 2", "fields is 2", "header line has 3"],
    ),
    (
        "many.csv",
        "servicenow,3b9e41d7c0f24a18857d6e02fa91b3c6,T_1,x",
        &["line 2", "fields is 4"],
    ),
    (
        "quote.csv",
        "servicenow,\"3b9e41d7c0f24a18857d6e02fa91b3c6,T_1",
        &["line 2", "never closed"],
    ),
    (
        "cut.csv",
        "slack,C9DDYQ1B4:1779146751.06,T_1",
        &["line 2", "spreadsheet"],
    ),
    (
        "number.csv",
        "servicenow,INC0010421,T_1",
        &["line 2", "INC0010421", "sys_id"],
    ),
    (
        "sheet.csv",
        "servicenow,3.9E+31,T_1",
        &["line 2", "32 hexadecimal digits"],
    ),
    (
        "waiting.csv",
        "servicenow,3b9e41d7c0f24a18857d6e02fa91b3c6,---waiting---",
        &["line 2", "placeholder"],
    ),
    (
        "jira.csv",
        "jira,ABC-1,T_1",
        &["line 2", "no source is named \"jira\""],
    ),
    (
        "two.csv",
        "servicenow,3b9e41d7c0f24a18857d6e02fa91b3c6,T_1\nservicenow,3b9e41d7c0f24a18857d6e02fa91b3c6,T_2",
        &["lines 2 and 3", "different Serval tickets"],
    ),
];

const HEADERS: [Lines; 4] = [
    (
        "typo.csv",
        "source,external id,ticket",
        &["ticket_id is missing", "\"ticket\""],
    ),
    (
        "none.csv",
        "servicenow,3b9e41d7c0f24a18857d6e02fa91b3c6,T_1",
        &["are missing from the header line", "names the columns"],
    ),
    (
        "twice.csv",
        "source,source,external_id,ticket_id",
        &["source is there twice"],
    ),
    (
        "part.csv",
        "source,external_id",
        &["ticket_id is missing", "names the columns"],
    ),
];

#[tokio::test]
async fn a_file_that_cannot_be_imported_is_refused_whole_with_the_line_and_the_remedy() {
    let site = with_database().await;
    let files = UNREADABLE.map(|(name, bytes, words)| (name, bytes.to_vec(), words));
    let lines = FAULTY.map(|(name, text, words)| (name, format!("{HEAD}{text}\n").into(), words));
    let heads = HEADERS.map(|(name, text, words)| (name, format!("{text}\n").into(), words));
    let all: Vec<(_, Vec<u8>, _)> = files.into_iter().chain(lines).chain(heads).collect();
    for (name, bytes, words) in all {
        fs::write(site.path(name), bytes).unwrap();
        let before = contents(&site.path(""));
        let mut command = site.command(&format!("map import {name}"));
        command.current_dir(site.path(""));
        let refused = ended(command).await;
        judge(name, &refused, 2, words);
        assert!(refused.err.contains(name), "{refused:?}");
        assert_eq!(refused.out, "", "{name}");
        assert_eq!(contents(&site.path("")), before, "{name}");
    }
    let get = site.run(&format!("map get servicenow {INCIDENT}")).await;
    assert_eq!(get.code, 1, "{get:?}");
}
