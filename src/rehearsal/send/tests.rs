use super::*;

fn args(line: &[&str]) -> Result<Args, clap::Error> {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }
    let line = ["send"].iter().chain(line);
    <Line as clap::Parser>::try_parse_from(line).map(|line| line.args)
}

#[test]
fn a_credential_is_one_and_fits_its_kind() {
    let environment = Environment::default();
    let with = |variable: &str| [(SECRET_VARIABLE, variable)].into_iter().collect();
    let set: Environment = with("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
    for (line, environment, good) in [
        (vec!["servicenow", "f"], &environment, false),
        (vec!["servicenow", "f"], &set, true),
        (vec!["servicenow", "--forge", "f"], &environment, true),
        (vec!["slack", "--forge", "f"], &environment, true),
        (vec!["slack", "--secret", "s", "f"], &environment, true),
        (vec!["slack", "--secret-file", "/no/file", "f"], &set, false),
        (vec!["servicenow", "--secret", "s", "f"], &set, false),
        (vec!["servicenow", "--bearer", "t", "f"], &environment, true),
        (
            vec!["servicenow", "--basic", "u:p", "f"],
            &environment,
            true,
        ),
        (vec!["servicenow", "--basic", "u", "f"], &environment, false),
        (vec!["slack", "--bearer", "t", "f"], &set, false),
        (
            vec!["slack", "--id", "i", "--secret", "s", "f"],
            &set,
            false,
        ),
    ] {
        let args = args(&line).unwrap();
        let signer = signer(&args, environment);
        assert_eq!(signer.is_ok(), good, "{line:?} {signer:?}");
        assert!(matches!(signer, Ok(_) | Err(Failure::Usage(_))), "{line:?}");
    }
    assert!(args(&["servicenow", "--bearer", "t", "--basic", "u:p", "f"]).is_err());
    assert!(args(&["jira", "f"]).is_err());
}

#[test]
fn static_credentials_are_not_shown_and_answers_cannot_drive_the_terminal() {
    let stamp = Stamp { id: "", seconds: 0 };
    let headers = Signer::bearer(&"s3cret".into()).sign(stamp, b"").unwrap();
    assert_eq!(shown(&headers), ["authorization: (not shown)"]);
    let answer = Answer {
        status: StatusCode::ACCEPTED,
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"\x1b[2Jgone\r\n"),
        took: std::time::Duration::from_millis(3),
    };
    let text = account(&answer);
    assert_eq!(text, ["202 Accepted after 3 ms", "\n\\u{1b}[2Jgone"]);
}
