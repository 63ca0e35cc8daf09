//! Ids of external tickets and of Serval tickets, as people type them.

use super::{Mistake, make, with_database};

const SERVICENOW: [Mistake; 8] = [
    (
        "nobody named it",
        "map set servicenow INC0010421 T_1",
        2,
        &["INC0010421", "sys_id"],
    ),
    (
        "nobody named it",
        "map get servicenow INC0010421",
        2,
        &["INC0010421", "sys_id"],
    ),
    (
        "nobody named it",
        "map remove servicenow RITM0010421",
        2,
        &["RITM0010421", "sys_id"],
    ),
    (
        "a part of it",
        "map set servicenow 3b9e41d7 T_1",
        2,
        &["3b9e41d7", "32 hex", "INC0010421"],
    ),
    (
        "a digit too few",
        "map set servicenow 3b9e41d7c0f24a18857d6e02fa91b3c T_1",
        2,
        &["32 hex"],
    ),
    (
        "no digit",
        "map set servicenow zb9e41d7c0f24a18857d6e02fa91b3c6 T_1",
        2,
        &["32 hex"],
    ),
    (
        "a thread",
        "map set servicenow C9DDYQ1B4:1779146751.061339 T_1",
        2,
        &["32 hex"],
    ),
    (
        "no ticket",
        "map set servicenow 3b9e41d7c0f24a18857d6e02fa91b3c6 null",
        2,
        &["placeholder"],
    ),
];

const SLACK: [Mistake; 8] = [
    (
        "cut by a spreadsheet",
        "map set slack C9DDYQ1B4:1779146751.06 T_1",
        2,
        &["spreadsheet", "six digits"],
    ),
    (
        "as a spreadsheet shows it",
        "map set slack C9DDYQ1B4:1.77915E+09 T_1",
        2,
        &["C9DDYQ1B4:1779146751.061339"],
    ),
    (
        "no channel",
        "map set slack 1779146751.061339 T_1",
        2,
        &["C9DDYQ1B4:1779146751.061339"],
    ),
    (
        "no timestamp",
        "map set slack C9DDYQ1B4 T_1",
        2,
        &["C9DDYQ1B4:1779146751.061339"],
    ),
    (
        "the channel's name",
        "map set slack #general:1779146751.061339 T_1",
        2,
        &["C9DDYQ1B4:1779146751.061339"],
    ),
    (
        "a comma for the dot",
        "map set slack C9DDYQ1B4:1779146751,061339 T_1",
        2,
        &["C9DDYQ1B4:1779146751.061339"],
    ),
    (
        "the link of a channel",
        "map set slack https://acme.slack.com/archives/C9DDYQ1B4 T_1",
        2,
        &["link of a message"],
    ),
    (
        "the page in the browser",
        "map set slack https://app.slack.com/client/T1/C9DDYQ1B4 T_1",
        2,
        &["link of a message"],
    ),
];

const SOURCES: [Mistake; 7] = [
    (
        "a typo",
        "map get servicenw 3b9e41d7c0f24a18857d6e02fa91b3c6",
        2,
        &["servicenw", "configured: servicenow, slack"],
    ),
    (
        "its own spelling",
        "map get ServiceNow 3b9e41d7c0f24a18857d6e02fa91b3c6",
        2,
        &["configured: servicenow, slack"],
    ),
    (
        "the words swapped",
        "map get 3b9e41d7c0f24a18857d6e02fa91b3c6 servicenow",
        2,
        &["configured: servicenow, slack"],
    ),
    (
        "not configured",
        "events list --source jira",
        2,
        &["jira", "configured: servicenow, slack"],
    ),
    (
        "no id of any source",
        "events list --external-id nonsense",
        2,
        &["nonsense", "no id, link or number"],
    ),
    (
        "never mapped",
        "map get slack C9DDYQ1B4:1779146751.061339",
        1,
        &["no mapping", "C9DDYQ1B4"],
    ),
    (
        "no such event",
        "events show evt_99",
        1,
        &["evt_99", "no such event"],
    ),
];

const ERASURES: [Mistake; 6] = [
    (
        "no id",
        "erase --external-id nonsense",
        2,
        &["nonsense", "--source"],
    ),
    (
        "nobody named it",
        "erase --external-id INC0010421",
        2,
        &["INC0010421", "sys_id"],
    ),
    (
        "nothing is stored",
        "erase --external-id 3b9e41d7c0f24a18857d6e02fa91b3c6",
        1,
        &["nothing was stored", "spelling"],
    ),
    (
        "too short",
        "erase --mentions a",
        2,
        &["3 to 320 characters", "e-mail"],
    ),
    (
        "nobody mentions it",
        "erase --mentions anna@example.com",
        1,
        &["spelling", "none of 0"],
    ),
    (
        "nobody mentions it",
        "erase --mentions anna@example.com --yes",
        1,
        &["spelling"],
    ),
];

#[tokio::test]
async fn an_id_that_cannot_be_read_is_refused_with_what_one_looks_like() {
    let site = with_database().await;
    for mistakes in [&SERVICENOW[..], &SLACK, &SOURCES, &ERASURES] {
        make(&site, mistakes).await;
    }
    let list = site.run("map list --json").await.json();
    assert_eq!(
        list["data"].as_array().unwrap().len(),
        0,
        "nothing is mapped"
    );
}
