//! Circles among the files of `src/`, read from the paths that stand in their code.

use std::collections::{BTreeMap, BTreeSet};

use super::{SourceFile, source_files};

/// Facades that may share types with their children and compose them, too. Their first lines say why.
const MAX_FACADES: usize = 8;

/// A module's path, without `crate`.
type Module = Vec<String>;

/// All paths of `code`, those in braces one by one: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = code;
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut before = ' ';
    while let Some(at) = rest.find(|c: char| c.is_alphabetic() || c == '_') {
        before = rest[..at].chars().next_back().unwrap_or(before);
        let word_end = rest[at..]
            .find(|c| !is_word(c))
            .map_or(rest.len(), |n| at + n);
        if is_word(before) || before == ':' || before == '.' || !rest[word_end..].starts_with("::")
        {
            before = rest[..word_end].chars().next_back().unwrap_or(' ');
            rest = &rest[word_end..];
            continue;
        }
        let used = path(&rest[at..], &mut Vec::new(), &mut found);
        before = ' ';
        rest = &rest[at + used..];
    }
    found
}

/// Reads one path at the start of `text`, after `prefix`; answers its length in bytes.
fn path(text: &str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let depth = prefix.len();
    let mut at = 0;
    loop {
        let word = text[at..]
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(text.len() - at);
        if word > 0 {
            prefix.push(text[at..at + word].to_owned());
            at += word;
        }
        match text[at..].strip_prefix("::") {
            Some(more) if more.starts_with('{') => {
                at += 3;
                while !text[at..].starts_with('}') && at < text.len() {
                    if text[at..].starts_with(|c: char| c.is_alphanumeric() || c == '_') {
                        at += path(&text[at..], prefix, found);
                    } else {
                        at += text[at..].chars().next().map_or(1, char::len_utf8);
                    }
                }
                break;
            }
            Some(more) if more.starts_with(|c: char| c.is_alphanumeric() || c == '_') => at += 2,
            Some(_) | None => {
                found.push(prefix.clone());
                break;
            }
        }
    }
    prefix.truncate(depth);
    at.max(1)
}

fn module_of(path: &str) -> Module {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let parts = path.split('/').map(str::to_owned);
    parts
        .filter(|part| part != "lib" && part != "main")
        .collect()
}

fn is_facade(file: &SourceFile) -> bool {
    file.path.ends_with("mod.rs")
}

/// Which files each file uses, by their places in `files`.
fn arrows(files: &[SourceFile]) -> Vec<BTreeSet<usize>> {
    let modules: BTreeMap<Module, usize> = files
        .iter()
        .enumerate()
        .map(|(i, file)| (module_of(&file.path), i))
        .collect();
    let place = |module: &[String]| {
        (1..=module.len())
            .rev()
            .find_map(|length| modules.get(&module[..length]).copied())
    };
    files
        .iter()
        .enumerate()
        .map(|(own, file)| {
            let here = module_of(&file.path);
            // `pub(in crate::store)` names a module without using it.
            let code = file.code.replace("pub(in crate::", "pub(in ");
            let used = paths(&code).into_iter().filter_map(|path| {
                let mut module = match path[0].as_str() {
                    "crate" => Vec::new(),
                    "super" => here[..here.len().saturating_sub(1)].to_vec(),
                    "self" => here.clone(),
                    // A child by its bare name, or a crate.
                    child => {
                        let mut module = here.clone();
                        module.push(child.to_owned());
                        modules.contains_key(&module).then_some(module)?;
                        here.iter().cloned().chain([child.to_owned()]).collect()
                    }
                };
                for step in &path[1..] {
                    if step == "super" {
                        module.pop();
                    } else {
                        module.push(step.clone());
                    }
                }
                place(&module)
            });
            used.filter(|used| *used != own).collect()
        })
        .collect()
}

/// The groups of files that reach each other, largest first.
fn circles(arrows: &[BTreeSet<usize>]) -> Vec<Vec<usize>> {
    let reach: Vec<BTreeSet<usize>> = (0..arrows.len())
        .map(|start| {
            let mut seen = BTreeSet::new();
            let mut open: Vec<usize> = arrows[start].iter().copied().collect();
            while let Some(next) = open.pop() {
                if seen.insert(next) {
                    open.extend(&arrows[next]);
                }
            }
            seen
        })
        .collect();
    let mut grouped: BTreeSet<usize> = BTreeSet::new();
    let mut circles = Vec::new();
    for file in 0..arrows.len() {
        if reach[file].contains(&file) && !grouped.contains(&file) {
            let circle: Vec<usize> = reach[file]
                .iter()
                .copied()
                .filter(|other| reach[*other].contains(&file))
                .collect();
            grouped.extend(&circle);
            circles.push(circle);
        }
    }
    circles.sort_by_key(|circle| usize::MAX - circle.len());
    circles
}

fn named(files: &[SourceFile], circle: &[usize]) -> String {
    let names: Vec<&str> = circle.iter().map(|i| files[*i].path.as_str()).collect();
    names.join(" <-> ")
}

/// The files that count: those with production code.
fn files() -> Vec<SourceFile> {
    let all = source_files().into_iter();
    all.filter(|file| !file.is_test() && file.module != "main" && file.module != "lib")
        .collect()
}

#[test]
fn sibling_files_use_each_other_one_way_only() {
    let files = files();
    let mut arrows = arrows(&files);
    for (i, used) in arrows.iter_mut().enumerate() {
        used.retain(|other| !is_facade(&files[*other]));
        if is_facade(&files[i]) {
            used.clear();
        }
    }
    let circles: Vec<String> = circles(&arrows)
        .iter()
        .map(|circle| named(&files, circle))
        .collect();
    assert_eq!(circles, [""; 0]);
}

#[test]
fn few_facades_are_used_by_the_children_that_they_compose() {
    let files = files();
    let circles = circles(&arrows(&files));
    let facades = circles.iter().flatten().filter(|i| is_facade(&files[**i]));
    let count = facades.count();
    let named: Vec<String> = circles.iter().map(|circle| named(&files, circle)).collect();
    assert!(count <= MAX_FACADES, "{count} facades: {named:#?}");
}

#[test]
fn paths_are_read_out_of_their_braces() {
    let code = "use a::{b, c::{self, d}};\nx = crate::e::F::new(); not.a::path; my::<T>::x";
    let found: Vec<String> = paths(code).iter().map(|path| path.join("::")).collect();
    assert_eq!(
        found[..4],
        ["a::b", "a::c::self", "a::c::d", "crate::e::F::new"]
    );
    let arrow = |from: usize, to: &[usize]| (from, to.iter().copied().collect::<BTreeSet<_>>());
    let graph = [
        arrow(0, &[1]).1,
        arrow(1, &[2]).1,
        arrow(2, &[0]).1,
        arrow(3, &[0]).1,
    ];
    assert_eq!(circles(&graph), [vec![0, 1, 2]]);
}
