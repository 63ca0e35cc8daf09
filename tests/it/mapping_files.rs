//! Files of mappings: each fault has its line, and what goes out comes in again.

use http::Method;
use serde_json::{Value, json};

use crate::api_daemon::{Daemon, sys_id};

const CSV: &str = "text/csv";
const NDJSON: &str = "application/x-ndjson";
const HEAD: &str = "source,external_id,ticket_id\n";

async fn count(daemon: &Daemon) -> usize {
    let list = daemon.get("/mappings?limit=1000").await;
    list["data"].as_array().unwrap().len()
}

async fn export(daemon: &Daemon, query: &str) -> String {
    let path = format!("/mappings/export{query}");
    let answer = daemon.api(Method::GET, &path).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

/// The faults of an answer, `line: detail`.
fn faults(answer: &Value) -> Vec<String> {
    let errors = answer["errors"].as_array().into_iter().flatten();
    errors
        .map(|error| format!("{}: {}", error["line"], error["detail"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn a_faulty_file_changes_nothing_and_each_fault_has_its_line() {
    let daemon = Daemon::start().await;
    let id = sys_id(1);
    let other = sys_id(2);
    let good = format!("servicenow,{id},t_1\n");
    let long = format!("servicenow,{other},{}\n", "x".repeat(1 << 20));
    let csv: Vec<(String, &[&str])> = vec![
        (String::new(), &["1: the header line is missing"]),
        ("\n\r\n".to_owned(), &["1: the header line is missing"]),
        ("\u{feff}".to_owned(), &["1: the header line is missing"]),
        (
            good.clone(),
            &[
                "1: the columns source, external_id, ticket_id are missing from the header line; it has \"servicenow\", ",
            ],
        ),
        // The rows have another separator than the header line.
        (
            format!("source;external_id;ticket_id\n{good}"),
            &["2: the number of fields is 1, but the header line has 3"],
        ),
        (
            format!("source,external_id\nservicenow,{id}\n"),
            &["1: the column ticket_id is missing"],
        ),
        (
            format!("source external_id ticket_id\n{good}"),
            &[
                "1: the columns source, external_id, ticket_id are missing from the header line; it has \"source external_id",
            ],
        ),
        (
            format!("source,external_id,Source,ticket_id\n{good}"),
            &["1: the column source is there twice"],
        ),
        (
            format!("[{{\"source\":\"servicenow\",\"external_id\":\"{id}\"}}]"),
            &["1: this is a JSON array"],
        ),
        (
            format!("{{\"source\":\"servicenow\",\"external_id\":\"{id}\"}}"),
            &["1: this is JSON, expected CSV"],
        ),
        (
            format!("{HEAD}{good},,\nservicenow,{other},\n"),
            &["4: ticket_id: "],
        ),
        (
            format!("source,source,external_id,ticket_id\n{good}"),
            &["1: the column source is there twice"],
        ),
        (
            format!("{HEAD}{good}servicenow,6f1d,t_2\n"),
            &["3: external_id: a ServiceNow external id is a sys_id"],
        ),
        (
            format!(
                "{HEAD}{good}nobody,{other},t_2\nslack,C1:1,t\nslack,C111:1779146751.000200,null\n"
            ),
            &[
                "3: source: no source is named \"nobody\"",
                "4: external_id: a Slack external id",
                "5: ticket_id: \"null\" is a placeholder",
            ],
        ),
        (
            format!("{HEAD}{good}\nservicenow,{other}\nservicenow,{other},t,u\n"),
            &[
                "4: the number of fields is 2, but the header line has 3",
                "5: the number of fields is 4",
            ],
        ),
        (
            format!("{HEAD}{good}servicenow,\"{other}\"x,t_2\nservicenow,{other},\"t\nservicenow"),
            &[
                "3: there is text after a closing quote",
                "4: a quote is opened here and never closed",
            ],
        ),
        // A quoted break counts as the line that it is.
        (
            format!("{HEAD}servicenow,\"{id}\n\",t_1\r\nservicenow,x,t\r\n"),
            &["4: external_id"],
        ),
        (
            format!("{HEAD}{good}servicenow,{other},t\0\n"),
            &["3: ticket_id: a Serval ticket id has"],
        ),
        (
            format!("{HEAD}{long}{good}"),
            &["2: this is longer than 512 KiB"],
        ),
        (
            format!("{HEAD}{good}{good}servicenow,{id},t_2\n"),
            &["4: lines 2 and 4 map the same external ticket to different Serval tickets"],
        ),
        (
            format!(
                "{},accounted_for_message_ids\nservicenow,{id},t,{}\n",
                HEAD.trim(),
                "m".repeat(300)
            ),
            &["2: accounted_for_message_ids: a Serval message id has"],
        ),
    ];
    let row = format!(r#"{{"source":"servicenow","external_id":"{id}","ticket_id":"t_1"}}"#);
    let ndjson: Vec<(String, &[&str])> = vec![
        (
            format!("{row}\n{{\n[]\n\"x\"\n{{\"source\": oops}}\n{row}}}\n"),
            &[
                "2: this object does not end on its line",
                "3: this is a list, expected an object",
                "4: this is text, expected an object",
                "5: this is not a JSON object: the error is at column 12",
                "6: this is not a JSON object: the error is at column ",
            ],
        ),
        (
            format!("{row}\n\n{}\n", row.replace("ticket_id", "ticket")),
            &["3: missing field `ticket_id`; there is `ticket`"],
        ),
        (format!("\n [{row}]\n"), &["2: this is a JSON array"]),
        (format!("[\n{row}\n]\n"), &["1: this is a JSON array"]),
        (
            row.replace(",\"ticket_id\":\"t_1\"", ""),
            &["1: missing field `ticket_id`"],
        ),
        (
            row.replace("\"t_1\"", "1"),
            &["1: ticket_id: this is a number"],
        ),
        (row.replace("t_1", "t\\u0000"), &["1: ticket_id"]),
        (
            format!("{row}\n{}", row.replace("t_1", "t_2")),
            &["2: lines 1 and 2 map the same"],
        ),
        (
            format!("{{\"source\":\"{}\"}}\n", "x".repeat(1 << 20)),
            &["1: this is longer than 512 KiB"],
        ),
    ];
    let files = csv.into_iter().map(|(file, faults)| (CSV, file, faults));
    let files = files.chain(ndjson.into_iter().map(|(f, faults)| (NDJSON, f, faults)));
    for (kind, file, expected) in files {
        let shown: String = file.chars().take(200).collect();
        let (status, answer) = daemon.import(kind, file).await;
        assert_eq!(status, 422, "{shown}: {answer}");
        let found = faults(&answer);
        assert_eq!(found.len(), expected.len(), "{shown}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{shown}: {found}");
        }
        assert_eq!(count(&daemon).await, 0, "{shown}");
    }
    let bytes: [(&[u8], &str); 5] = [
        (b"PK\x03\x04\x14\0", "1: this is a workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "1: this is an old Excel workbook"),
        (b"\xff\xfes\0o\0", "1: the columns source, "),
        (
            b"source,external_id,ticket_id\nservicenow,x,\xe4\n",
            "2: this is neither UTF-8 nor UTF-16: in Excel, save it",
        ),
        (
            b"\xff\xfes\0o\0u\0r\0c\0e\0,\0t\0i\0c\0k\0e\0t\0_\0i\0d\0,\0e\0x\0t\0e\0r\0n\0a\0l\0_\0i\0d\0\n\0s\0,\0a\0,\0\x00\xd8\n\0",
            "2: this is neither UTF-8 nor UTF-16",
        ),
    ];
    for (file, expected) in bytes {
        let (status, answer) = daemon.import(CSV, file.to_vec()).await;
        assert_eq!(status, 422, "{expected}: {answer}");
        let found = faults(&answer);
        assert!(found[0].starts_with(expected), "{expected}: {found:?}");
        assert_eq!(count(&daemon).await, 0);
    }
    daemon.stop().await;
}

#[tokio::test]
async fn of_many_faults_the_first_hundred_are_told() {
    let daemon = Daemon::start().await;
    let id = sys_id(1);
    // The contradictions come to light later than the faults that follow them.
    let mut file = format!("{HEAD}servicenow,{id},t\nservicenow,{id},u\n");
    file.push_str(&"servicenow,x,t\n".repeat(411));
    let (status, answer) = daemon.import(CSV, file).await;
    assert_eq!(status, 422);
    assert_eq!(answer["errors"].as_array().unwrap().len(), 100);
    assert_eq!(answer["errors"][0]["line"], 3);
    assert_eq!(answer["errors"][99]["line"], 102);
    assert_eq!(answer["more"], 312);
    assert!(answer["detail"].as_str().unwrap().starts_with("412 lines"));
    daemon.stop().await;
}

#[tokio::test]
async fn files_are_taken_as_programs_write_them() {
    let daemon = Daemon::start().await;
    let (a, b) = (sys_id(1), sys_id(2));
    let (upper, ids) = (a.to_uppercase(), "accounted_for_message_ids");
    let row = |id: &str, ids: &str| {
        format!(r#"{{"source":"servicenow","external_id":"{id}","ticket_id":"t_1"{ids}}}"#)
    };
    for (n, (kind, file, rows)) in [
        (CSV, HEAD.to_owned(), 0),
        (CSV, format!("{HEAD}servicenow,{a},t_1"), 1),
        // The byte order mark and the line breaks of Windows, upper case, spaces.
        (
            "text/csv; charset=UTF-8",
            format!("\u{feff}ticket_id, source ,external_id\r\nt_1, servicenow,{upper} \r\n"),
            1,
        ),
        (
            CSV,
            format!("{ids},source,external_id,ticket_id\nm1 m2;m3,servicenow,{a},t_1\n,servicenow,{b},t_1\n"),
            2,
        ),
        // The same twice is no contradiction.
        (CSV, format!("{HEAD}servicenow,{a},t_1\nservicenow,{upper},t_1\n"), 1),
        (CSV, format!("{HEAD}slack,C111:1779146751.000200,\"t\"\"1,;\"\n\n\n"), 1),
        (NDJSON, String::new(), 0),
        (
            NDJSON,
            format!("\u{feff}{}\r\n\r\n{}", row(&a, ""), row(&b, r#","accounted_for_message_ids":["m1"]"#)),
            2,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let (status, answer) = daemon.import(kind, file).await;
        assert_eq!((status, &answer["imported"]), (200, &json!(rows)), "file {n}: {answer}");
    }
    let list = daemon.get("/mappings").await;
    let shown: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| {
            (
                m["external_id"].clone(),
                m["ticket_id"].clone(),
                m[ids].clone(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (json!(b), json!("t_1"), json!(["m1"])),
            (json!(a), json!("t_1"), json!([])),
            (json!("C111:1779146751.000200"), json!("t\"1,;"), json!([])),
        ]
    );
    daemon.stop().await;
}

/// The text as `PowerShell` writes it with `-Encoding Unicode`.
fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[tokio::test]
async fn files_of_spreadsheets_are_read_whatever_they_put_around_the_rows() {
    let daemon = Daemon::start().await;
    let row = format!("servicenow,{},t_1", sys_id(1));
    let semicolons = row.replace(',', ";");
    let quoted = format!("\"{}\"", row.replace(',', "\",\""));
    let head = "source,external_id,ticket_id";
    let object = format!(
        r#""source":"servicenow","external_id":"{}","ticket_id":"t_1""#,
        sys_id(1)
    );
    let none = &[][..];
    for (kind, file, passed_over) in [
        (
            CSV,
            format!("source;external_id;ticket_id\r\n{semicolons}\r\n").into_bytes(),
            none,
        ),
        (
            CSV,
            format!("source\texternal_id\tticket_id\n{}", row.replace(',', "\t")).into_bytes(),
            none,
        ),
        (
            CSV,
            format!("sep=;\r\nsource;external_id;ticket_id\r\n{semicolons}").into_bytes(),
            none,
        ),
        (
            CSV,
            format!("\u{feff}sep=,\r\n{head}\r\n{row}").into_bytes(),
            none,
        ),
        (
            CSV,
            format!("#TYPE System.Management.Automation.PSCustomObject\r\n{head}\r\n{quoted}\r\n")
                .into_bytes(),
            none,
        ),
        (CSV, utf16(&format!("{head}\r\n{quoted}\r\n")), none),
        (
            CSV,
            utf16(&format!("{head}\r\n{row}\r\n").replace(',', "\t")),
            none,
        ),
        // Rows and columns of nothing, headers as people write them.
        (
            CSV,
            format!(",,\r\n{head}\r\n,,\r\n{row}\r\n , ,\r\n,,\r\n").into_bytes(),
            none,
        ),
        (
            CSV,
            format!("{head},,\r\n{row},,\r\n{row},\r\n{row}\r\n").into_bytes(),
            none,
        ),
        (
            CSV,
            format!("Source, External ID,TICKET-ID\n{row}\n").into_bytes(),
            none,
        ),
        (
            CSV,
            format!("{head},accounted_for_message_ids\n{row},NULL\n{row}\n").into_bytes(),
            none,
        ),
        // Other columns, in whatever encoding.
        (
            CSV,
            [
                format!("{head},Zust").as_bytes(),
                b"\xe4",
                format!("ndig,Note\n{row},J\u{fc}rgen,\"a\nb\"\n").as_bytes(),
            ]
            .concat(),
            &["Note", "Zust\u{fffd}ndig"],
        ),
        (
            NDJSON,
            format!("{{{object},\"accounted_for_message_ids\":null}}").into_bytes(),
            none,
        ),
        (
            NDJSON,
            format!("{{{object},\"n\":1}}\n{{{object},\"n\":[2],\"m\":null}}").into_bytes(),
            &["m", "n"],
        ),
        (NDJSON, utf16(&format!("{{{object}}}\r\n")), none),
        (
            NDJSON,
            format!("{{{}}}\n", object.replace("external_id", "External ID")).into_bytes(),
            none,
        ),
    ] {
        let shown = String::from_utf8_lossy(&file).into_owned();
        let (status, answer) = daemon.import(kind, file).await;
        assert_eq!(status, 200, "{shown}: {answer}");
        assert_eq!(answer["created"], 1, "{shown}: {answer}");
        let named = answer["passed_over"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        assert_eq!(named, passed_over, "{shown}");
        let path = format!("/mappings/servicenow/{}", sys_id(1));
        assert_eq!(daemon.get(&path).await["ticket_id"], "t_1", "{shown}");
        let removed = daemon.api(Method::DELETE, &path).send().await;
        assert_eq!(removed.unwrap().status(), 204);
    }
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_exported_imports_again_unchanged() {
    let daemon = Daemon::start().await;
    assert_eq!(export(&daemon, "?format=ndjson").await, "");
    let head = "source,external_id,ticket_id,accounted_for_message_ids\n";
    assert_eq!(export(&daemon, "").await, head);
    // More than a page, and ids that must be quoted.
    for n in 0..30 {
        let path = format!("/mappings/servicenow/{}", sys_id(n));
        let ticket_id = [
            "plain", "a,b", "a\"b", "=1+1", "a;b", "+1", "-1", "@A1", "'=1", "'a",
        ][n % 10];
        let body = json!({
            "ticket_id": ticket_id,
            "accounted_for_message_ids": (0..n % 3).map(|m| format!("=m,{m}\u{e9}\"")).collect::<Vec<_>>(),
        });
        let put = daemon.api(Method::PUT, &path).body(body.to_string());
        assert_eq!(put.send().await.unwrap().status(), 201);
    }
    let row = |n| format!("servicenow,{},t\n", sys_id(n));
    let more = (100..1_200).map(row).collect::<String>();
    let (status, _) = daemon
        .import(CSV, format!("{HEAD}{more}slack,C111:1779146751.000200,t\n"))
        .await;
    assert_eq!(status, 200);

    for (kind, format) in [(CSV, "csv"), (NDJSON, "ndjson")] {
        let query = format!("?format={format}");
        let file = export(&daemon, &query).await;
        if kind == CSV {
            let formulas = [",=", ",+", ",-", ",@", ",\"=", ",\"+", ",\"-", ",\"@"];
            let runs = |line: &&str| formulas.iter().any(|formula| line.contains(formula));
            assert_eq!(file.lines().find(runs), None, "a spreadsheet would run it");
            assert!(
                file.contains(",'=1+1,") && file.contains(",''=1,"),
                "{file}"
            );
        }
        let other = Daemon::start().await;
        let (status, answer) = other.import(kind, file.clone()).await;
        assert_eq!(
            (status, &answer["created"]),
            (200, &json!(1_131)),
            "{answer}"
        );
        assert_eq!(export(&other, &query).await, file);
        other.stop().await;
        let (status, answer) = daemon.import(kind, file).await;
        assert_eq!(
            (status, &answer["replaced"]),
            (200, &json!(1_131)),
            "{answer}"
        );
    }
    let origin = daemon
        .get(&format!("/mappings/servicenow/{}", sys_id(0)))
        .await["origin"]
        .clone();
    assert_eq!(origin, "api", "nothing was changed");
    let slack = export(&daemon, "?source=slack").await;
    assert_eq!(slack, format!("{head}slack,C111:1779146751.000200,t,\n"));
    let unknown = daemon.api(Method::GET, "/mappings/export?source=nobody");
    assert_eq!(unknown.send().await.unwrap().status(), 404);
    daemon.stop().await;
}
