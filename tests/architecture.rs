//! The house rules that a machine can check: imports point one way, every file says what it is for.

#![expect(
    clippy::unwrap_used,
    clippy::string_slice,
    reason = "a test may fail loudly"
)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// A room and the rooms that it may import from. `docs/ARCHITECTURE.md` says why.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("settings", &[]),
    ("event", &["settings"]),
    ("clock", &["event"]),
    ("dev", &["settings"]),
    ("explain", &["event"]),
    ("guard", &["event", "settings"]),
    ("live", &["event", "settings"]),
    ("store", &["event", "settings"]),
    ("scan", &["guard", "live", "store", "event", "settings"]),
    ("rtc", &["guard", "live", "store", "event", "settings"]),
    ("queue", &["live", "store", "event", "settings"]),
    ("chat", &["live", "store", "event", "settings"]),
    ("accounts", &["guard", "live", "store", "event", "settings"]),
    ("telemetry", &["event", "settings"]),
    (
        "assistant",
        &[
            "chat",
            "clock",
            "live",
            "store",
            "event",
            "settings",
            "telemetry",
        ],
    ),
    (
        "gateway",
        &["clock", "guard", "event", "settings", "telemetry"],
    ),
    (
        "http",
        &[
            "accounts",
            "chat",
            "clock",
            "gateway",
            "guard",
            "live",
            "queue",
            "rtc",
            "scan",
            "store",
            "event",
            "settings",
            "telemetry",
        ],
    ),
    (
        "jobs",
        &[
            "clock",
            "accounts",
            "gateway",
            "guard",
            "http",
            "live",
            "queue",
            "rtc",
            "scan",
            "store",
            "event",
            "settings",
            "telemetry",
        ],
    ),
    (
        "app",
        &[
            "accounts",
            "assistant",
            "chat",
            "jobs",
            "queue",
            "rtc",
            "scan",
            "clock",
            "gateway",
            "http",
            "guard",
            "live",
            "store",
            "event",
            "settings",
            "telemetry",
        ],
    ),
];

/// Crates that only one room may know.
const KEPT_IN: &[(&str, &str)] = &[
    ("socketioxide", "gateway"),
    ("tungstenite", "gateway"),
    ("prometheus", "telemetry"),
    ("opentelemetry", "telemetry"),
    ("jsonwebtoken", "guard"),
    ("governor", "guard"),
    ("sqlx", "store"),
    ("argon2", "guard"),
    ("reqwest", "assistant"),
];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|e| e == "rs") {
                into.push(path);
            }
        }
    }
    let mut files = Vec::new();
    walk(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    files.sort();
    let read = |p: PathBuf| {
        let text = fs::read_to_string(&p).unwrap();
        let short = p.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().join("");
        (short, text)
    };
    files.into_iter().map(read).collect()
}

/// The room that a file belongs to: its folder under src, or its own name.
fn room(path: &Path) -> String {
    let mut parts = path.components().skip(1);
    let first = parts.next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The code without comments and without the test module, which may use what it likes.
fn code(text: &str) -> String {
    let body = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = body.lines().filter(|l| !l.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// What follows `crate::`, braces opened up.
fn imported(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = true;
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && depth == 0 && c.is_alphanumeric() => {
                    found.push(word(&group[i..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    found
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

#[test]
fn imports_point_one_way() {
    let rules: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let room = room(&path);
        if room == "main" || room == "lib" {
            continue;
        }
        let allowed = rules
            .get(room.as_str())
            .unwrap_or_else(|| panic!("src/{room} is a room without a rule in MAY_IMPORT"));
        for other in imported(&code(&text)) {
            if other != room && rules.contains_key(other.as_str()) && !allowed.contains(&&*other) {
                wrong.push(format!("{}: {room} imports {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_library_is_known_by_one_room_only() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let code = code(&text);
        for (library, home) in KEPT_IN {
            let used = code.contains(&format!("{library}::"))
                || code.contains(&format!("{library}_"))
                || code.contains(&format!("use {library}"));
            if used && room(&path) != *home {
                wrong.push(format!("{}: {library} belongs to {home}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_it_is_for_in_its_first_line() {
    for (path, text) in sources() {
        let first = text.lines().next().unwrap_or_default();
        let purpose = first.strip_prefix("//! ").unwrap_or_default();
        assert!(purpose.len() > 15, "{}: {first}", path.display());
    }
}

#[test]
fn families_touch_no_socket_no_metric_no_span_and_no_clock() {
    for (path, text) in sources() {
        if !["scan", "rtc", "chat", "accounts"].contains(&room(&path).as_str()) {
            continue;
        }
        let code = code(&text);
        for foreign in [
            "tracing::",
            "telemetry",
            "Instant::now",
            "SystemTime",
            "tokio::",
        ] {
            assert!(!code.contains(foreign), "{}: {foreign}", path.display());
        }
    }
}
