//! The metric catalogue is closed: code, docs/METRICS.md and /metrics say the same, nothing a client sends
//! adds a series, and every metric is used by somebody.
//!
//! `UPDATE_DOCS=1 cargo test --test it catalogue` writes docs/METRICS.md.

use crate::{
    slow::UNLIMITED,
    support::{Client, Server},
};
use serde_json::{Value, json};
use signalbox::telemetry::{Exposition, Metrics};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// One metric, as `/metrics` describes it.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: String,
    labels: BTreeMap<String, BTreeSet<String>>,
    buckets: Vec<String>,
    series: usize,
}

fn families(exposition: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in exposition.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            families.entry(name.to_owned()).or_default().help = help.into();
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' '))
        {
            families.entry(name.to_owned()).or_default().kind = kind.into();
        } else if let Some((series, _)) = line.rsplit_once(' ') {
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| {
                    name.strip_suffix(suffix)
                        .filter(|base| families.contains_key(*base))
                })
                .unwrap_or(name)
                .to_owned();
            let family = families.get_mut(&base).unwrap_or_else(|| panic!("{line}"));
            family.series += 1;
            for pair in labels
                .trim_end_matches('}')
                .split("\",")
                .filter(|p| !p.is_empty())
            {
                let (label, value) = pair.split_once("=\"").unwrap();
                let value = value.trim_end_matches('"').to_owned();
                if label == "le" {
                    if !family.buckets.contains(&value) {
                        family.buckets.push(value);
                    }
                } else {
                    family
                        .labels
                        .entry(label.to_owned())
                        .or_default()
                        .insert(value);
                }
            }
        }
    }
    families
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(dir: &str, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(root().join(dir))
        .unwrap()
        .map(|f| f.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    files
}

/// What uses expressions: boards and alerts by name, recording rules by the record.
fn users() -> Vec<(String, String)> {
    fn expressions(value: &Value, into: &mut String) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    match field {
                        Value::String(text) if name == "expr" => into.extend([text.as_str(), "\n"]),
                        field => expressions(field, into),
                    }
                }
            }
            Value::Array(all) => all.iter().for_each(|v| expressions(v, into)),
            _ => {}
        }
    }
    let mut users = Vec::new();
    for path in files("dashboards", "json") {
        let board: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let mut text = String::new();
        expressions(&board["panels"], &mut text);
        let name = path.file_name().unwrap().to_string_lossy();
        users.push((
            format!("[board {}](../dashboards/{name})", &name[..1]),
            text,
        ));
    }
    for path in files("alerts", "yml") {
        let text = fs::read_to_string(&path).unwrap();
        for rule in text.split("\n      - ").skip(1) {
            let named = |key: &str| {
                let name = rule.strip_prefix(key)?.lines().next()?.trim();
                Some(name.trim_matches('"').to_owned())
            };
            if let Some(alert) = named("alert: ") {
                let page = rule.split("/docs/").nth(1).unwrap();
                let page = page.split(['\'', '"', '\n']).next().unwrap();
                users.push((format!("[{alert}]({page})"), rule.to_owned()));
            } else if let Some(record) = named("record: ") {
                users.push((record, rule.to_owned()));
            }
        }
    }
    users
}

/// Whether an expression names this metric, or one of its series.
fn names(text: &str, metric: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    text.match_indices(metric).any(|(at, _)| {
        let rest = &text[at + metric.len()..];
        let rest = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|s| rest.strip_prefix(s))
            .unwrap_or(rest);
        !text[..at].ends_with(part) && !rest.starts_with(part)
    })
}

/// Who uses a metric in the end: a record is used by those who use it.
fn used_by(metric: &str, users: &[(String, String)]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (user, text) in users.iter().filter(|(_, text)| names(text, metric)) {
        if user.starts_with('[') {
            found.insert(user.clone());
        } else if user != metric && !text.trim().is_empty() {
            found.extend(used_by(user, users));
        }
    }
    found
}

fn page() -> String {
    let families = families(&Exposition::scrape(&Metrics::new(), None).body);
    let users = users();
    let mut page = String::from(
        "# Metrics\n\nGenerated from the code by `UPDATE_DOCS=1 cargo test --test it catalogue`; a test holds it to the code, to what `/metrics`\nsays and to the boards and alerts. Seconds and bytes; labels are closed sets, and every combination is there from the\nstart at 0.\n",
    );
    let total: usize = families.values().map(|f| f.series).sum();
    writeln!(
        page,
        "\n{} metrics, {total} series a node (at most 1,500).\n",
        families.len()
    )
    .unwrap();
    for (name, family) in &families {
        writeln!(page, "## {name}\n\n{}\n", family.help).unwrap();
        writeln!(page, "- {}, {} series", family.kind, family.series).unwrap();
        for (label, values) in &family.labels {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            writeln!(page, "- `{label}`: {}", values.join(", ")).unwrap();
        }
        if !family.buckets.is_empty() {
            writeln!(page, "- buckets: {}", family.buckets.join(", ")).unwrap();
        }
        let used: Vec<String> = used_by(name, &users).into_iter().collect();
        assert!(!used.is_empty(), "{name}: no board and no alert uses it");
        writeln!(page, "- used by {}\n", used.join(", ")).unwrap();
    }
    page.trim_end().to_owned() + "\n"
}

#[test]
fn the_catalogue_in_the_docs_is_that_of_the_code_and_every_metric_is_used() {
    let path = root().join("docs/METRICS.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/METRICS.md is not up to date: UPDATE_DOCS=1 cargo test --test it catalogue"
    );
}

#[test]
fn a_running_server_has_exactly_the_metrics_of_the_catalogue() {
    let server = Server::start(&[]);
    let running: Vec<String> = families(&server.body("/metrics", "")).into_keys().collect();
    let documented: Vec<String> = fs::read_to_string(root().join("docs/METRICS.md"))
        .unwrap()
        .lines()
        .filter_map(|l| l.strip_prefix("## ").map(str::to_owned))
        .collect();
    assert_eq!(running, documented);
}

#[test]
fn nothing_that_clients_invent_adds_a_series() {
    let mut settings = UNLIMITED.to_vec();
    settings.extend([
        ("SESSIONS_PER_SOCKET", "10000"),
        ("ROOMS_PER_SOCKET", "10000"),
        ("ROOMS_MAX", "1000000"),
        ("CREATE_ROOM_PER_MIN", "1000000"),
        ("HTTP_RATE_MAX", "1000000"),
    ]);
    let server = Server::start(&settings);
    let series = || -> BTreeSet<String> { server.metrics().into_keys().collect() };
    let before = series();
    let mut client = Client::connect(&server, "u", "mobile");
    client.ask("registerClient", &json!({ "role": "mobile" }));
    for n in 0..10_000 {
        let id = format!("invented-{n}");
        client.emit(&id, &json!({ "a": n }));
        client.emit("joinSession", &json!({ "sessionId": id }));
        client.emit(
            "scanOrder",
            &json!({ "sessionId": id, "orderNo": id, "ts": n }),
        );
        // The answers are read, or the queue for them would be full.
        client.ask("join", &json!({ "roomId": id }));
    }
    for n in 0..200 {
        Client::connect(&server, &format!("user-{n}"), "mobile");
        server.get(&format!("/invented/{n}"));
        server.http(&format!("M{n}"), "/health", "", "");
    }
    let after = series();
    assert_eq!(
        after.difference(&before).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
    assert_eq!(before.len(), after.len());
    assert!(
        server.metric("signalbox_events_received_total{event=\"unknown\",outcome=\"refused\"}")
            > 9_999.0
    );
    println!("series per node: {}", after.len());
}
