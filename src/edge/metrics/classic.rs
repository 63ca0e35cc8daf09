//! Turns a page of `OpenMetrics` into the classic text format of Prometheus, version 0.0.4.
//!
//! The samples are equal in both. The lines that describe a family differ: the classic format names a
//! family as its samples are named, knows no `info`, and has neither units nor an end.

/// The page in the classic text format.
pub(super) fn classic(page: &str) -> String {
    let mut classic = String::with_capacity(page.len());
    let mut help = None;
    for line in page.lines() {
        let Some(described) = line.strip_prefix("# ") else {
            push(&mut classic, &[line]);
            continue;
        };
        // HELP comes before TYPE, which decides about the name.
        let mut words = described.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("HELP"), Some(_), Some(text)) => help = Some(text.replace("\\\"", "\"")),
            (Some("TYPE"), Some(name), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", kind),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    _ => ("", kind),
                };
                if let Some(text) = help.take() {
                    push(&mut classic, &["# HELP ", name, suffix, " ", &text]);
                }
                push(&mut classic, &["# TYPE ", name, suffix, " ", kind]);
            }
            _ => {}
        }
    }
    classic
}

fn push(page: &mut String, parts: &[&str]) {
    page.extend(parts.iter().copied());
    page.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_change_and_samples_do_not() {
        let page = "# HELP a Some \\\"words\\\" \\n.\n\
                    # TYPE a counter\n\
                    a_total{b=\"# HELP x\"} 1\n\
                    # HELP i Text.\n# TYPE i info\ni_info{v=\"1\"} 1\n\
                    # HELP s_seconds Text.\n# TYPE s_seconds histogram\n# UNIT s_seconds seconds\n\
                    s_seconds_bucket{le=\"1.0\"} 0\n\
                    # TYPE g gauge\ng 2.5\n\
                    # TYPE u unknown\nu 1\n\
                    # EOF\n";
        let expected = "# HELP a_total Some \"words\" \\n.\n\
                        # TYPE a_total counter\n\
                        a_total{b=\"# HELP x\"} 1\n\
                        # HELP i_info Text.\n# TYPE i_info gauge\ni_info{v=\"1\"} 1\n\
                        # HELP s_seconds Text.\n# TYPE s_seconds histogram\n\
                        s_seconds_bucket{le=\"1.0\"} 0\n\
                        # TYPE g gauge\ng 2.5\n\
                        # TYPE u untyped\nu 1\n";
        assert_eq!(classic(page), expected);
    }
}
