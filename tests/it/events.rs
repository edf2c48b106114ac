//! `docs/events.json` and the server name the same events and the same error codes.

use serde_json::Value;
use signalbox::event::{Code, EventName, PushName};
use std::{collections::BTreeSet, fs};

fn schema() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The texts under this key in a list of objects.
fn texts<'a>(list: &'a Value, key: &str) -> BTreeSet<&'a str> {
    let list = list.as_array().unwrap().iter();
    list.map(|one| one[key].as_str().unwrap()).collect()
}

#[test]
fn the_schema_names_every_event_and_no_other() {
    let schema = schema();
    let happens = [
        EventName::Connect,
        EventName::Restore,
        EventName::Disconnect,
        EventName::Unknown,
    ];
    let said = EventName::ALL.iter().filter(|name| !happens.contains(name));
    let said: BTreeSet<&str> = said.map(|name| name.as_str()).collect();
    assert_eq!(texts(&schema["events"]["client"], "name"), said);
    // An acknowledgement has no name of its own.
    let heard = PushName::ALL.iter().filter(|name| **name != PushName::Ack);
    let heard: BTreeSet<&str> = heard.map(|name| name.as_str()).collect();
    assert_eq!(texts(&schema["events"]["server"], "name"), heard);
}

#[test]
fn the_schema_names_every_error_code_and_no_other() {
    let codes: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(
        texts(&schema()["$defs"]["ErrorCode"]["oneOf"], "const"),
        codes
    );
}
