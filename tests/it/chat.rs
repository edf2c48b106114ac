//! Chat in the database: one suite for SQLite and PostgreSQL.

use crate::{
    postgres::Postgres,
    store::{Directory, open},
};
use signalbox::store::{ChatRoom, Edited, Message, NewMessage, Removed, Said, Store, StoreError};
use std::{collections::BTreeSet, sync::Arc};
use tokio::task::JoinSet;

const ALL: u16 = 1000;

fn new<'a>(room: &'a str, user: &'a str, content: &'a str) -> NewMessage<'a> {
    NewMessage {
        room,
        user,
        username: user,
        outsider: false,
        content,
        client_id: None,
        gpt: false,
        at: 1000,
    }
}

async fn begin(store: &Store, id: &str, users: &[&str]) {
    let room = ChatRoom {
        id: id.to_owned(),
        name: format!("Room {id}"),
        owner_id: users[0].to_owned(),
        created_at: 1,
    };
    let users: Vec<(&str, &str)> = users.iter().map(|user| (*user, *user)).collect();
    store.create_chat_room(&room, &users).await.unwrap();
}

async fn say(store: &Store, message: NewMessage<'_>) -> Message {
    match store.say(message).await.unwrap() {
        Said::New(message) => message,
        other => panic!("{other:?}"),
    }
}

fn contents(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|m| &*m.content).collect()
}

async fn rooms(store: &Store) {
    begin(store, "team", &["kim", "lee", "lee"]).await;
    begin(store, "pair", &["lee", "park"]).await;
    let again = ChatRoom {
        id: "team".to_owned(),
        name: String::new(),
        owner_id: "x".to_owned(),
        created_at: 2,
    };
    assert_eq!(
        store.create_chat_room(&again, &[]).await,
        Err(StoreError::Conflict)
    );

    let of = async |user| {
        let rooms = store.chat_rooms(user, None).await.unwrap();
        rooms.into_iter().map(|room| room.id).collect::<Vec<_>>()
    };
    assert_eq!(of("lee").await, ["pair", "team"]);
    assert_eq!(of("kim").await, ["team"]);
    assert!(of("nobody").await.is_empty());
    let users = async |user, room| {
        let all = store.chat_participants(user, room).await.unwrap();
        all.into_iter()
            .map(|p| (p.room_id, p.user_id))
            .collect::<Vec<_>>()
    };
    let pair = |room: &str, user: &str| (room.to_owned(), user.to_owned());
    assert_eq!(
        users("kim", None).await,
        [pair("team", "kim"), pair("team", "lee")]
    );
    assert_eq!(
        users("lee", Some("pair")).await,
        [pair("pair", "lee"), pair("pair", "park")]
    );
    assert!(
        users("kim", Some("pair")).await.is_empty(),
        "it is not there"
    );
}

async fn messages(store: &Store) {
    let first = say(store, new("team", "kim", "<b>안녕</b>")).await;
    assert_eq!(first.content, "<b>안녕</b>");
    let retry = NewMessage {
        client_id: Some("c-1"),
        ..new("team", "kim", "once")
    };
    let once = say(store, retry).await;
    assert_eq!(store.say(retry).await.unwrap(), Said::Again(once.clone()));
    // Of somebody else, and in another room, it is another one.
    say(
        store,
        NewMessage {
            user: "lee",
            ..retry
        },
    )
    .await;
    say(
        store,
        NewMessage {
            user: "lee",
            room: "pair",
            ..retry
        },
    )
    .await;
    assert_eq!(
        store.say(new("pair", "kim", "x")).await.unwrap(),
        Said::Outside
    );
    assert_eq!(
        store.say(new("none", "kim", "x")).await.unwrap(),
        Said::Outside
    );
    let answer = NewMessage {
        outsider: true,
        gpt: true,
        ..new("team", "gpt", "an answer")
    };
    assert!(say(store, answer).await.gpt);

    let said = store
        .chat_before(("team", Some("kim")), i64::MAX, ALL)
        .await
        .unwrap();
    assert_eq!(
        contents(&said),
        ["<b>안녕</b>", "once", "once", "an answer"]
    );
    assert!(
        said.is_sorted_by(|a, b| a.created_at < b.created_at),
        "no two at one time: {said:?}"
    );
    let page = store
        .chat_before(("team", Some("kim")), said[3].created_at, 2)
        .await
        .unwrap();
    assert_eq!(page, said[1..3]);
    assert!(
        store
            .chat_before(("team", Some("park")), i64::MAX, ALL)
            .await
            .unwrap()
            .is_empty()
    );

    let done = store
        .edit(("team", once.id), "kim", "twice", 5000)
        .await
        .unwrap();
    let edited = Message {
        content: "twice".to_owned(),
        edited_at: Some(5000),
        ..once.clone()
    };
    assert_eq!(done, Edited::Done(edited));
    let edit = async |room, user| store.edit((room, once.id), user, "x", 1).await.unwrap();
    assert_eq!(edit("team", "lee").await, Edited::NotYours);
    assert_eq!(
        edit("team", "park").await,
        Edited::Missing,
        "it is not there"
    );
    assert_eq!(
        edit("pair", "lee").await,
        Edited::Missing,
        "it is in another room"
    );
}

/// What a client that was away asks for.
async fn catching_up(store: &Store) {
    begin(store, "busy", &["kim", "lee"]).await;
    let mut times = Vec::new();
    for n in 0..10 {
        let content = format!("B-{n}");
        times.push(say(store, new("busy", "kim", &content)).await.created_at);
    }
    let since = async |rooms: &[(&str, Option<i64>)], most| {
        let said = store
            .chat_since("kim", rooms, (most, i64::MAX))
            .await
            .unwrap();
        said.into_iter()
            .map(|m| (m.room_id, m.content))
            .collect::<Vec<_>>()
    };
    let busy = |range: std::ops::Range<usize>| {
        range
            .map(|n| ("busy".to_owned(), format!("B-{n}")))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        since(&[("busy", None)], 3).await,
        busy(7..10),
        "the last ones"
    );
    assert_eq!(
        since(&[("busy", Some(times[4]))], 3).await,
        busy(5..8),
        "the first ones after it"
    );
    assert_eq!(since(&[("busy", Some(times[7]))], 3).await, busy(8..10));
    assert!(
        since(
            &[("busy", Some(times[9])), ("pair", None), ("none", None)],
            3
        )
        .await
        .is_empty()
    );
    let both = since(&[("team", None), ("busy", None)], 1).await;
    assert_eq!(
        both,
        [
            ("busy".to_owned(), "B-9".to_owned()),
            ("team".to_owned(), "an answer".to_owned())
        ]
    );
}

/// Many writers at once: everything is kept once, in one order that time tells.
async fn order(stores: &[Arc<Store>]) {
    begin(&stores[0], "hall", &["kim"]).await;
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let store = stores[writer % stores.len()].clone();
        writers.spawn(async move {
            for n in 0..25 {
                let content = format!("{writer}-{n}");
                let message = NewMessage {
                    client_id: Some(&content),
                    ..new("hall", "kim", &content)
                };
                say(&store, message).await;
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let said = stores[0]
        .chat_before(("hall", Some("kim")), i64::MAX, ALL)
        .await
        .unwrap();
    assert_eq!(said.len(), 200);
    assert!(said.is_sorted_by(|a, b| a.created_at < b.created_at));
    let distinct: BTreeSet<&str> = said.iter().map(|m| &*m.content).collect();
    assert_eq!(distinct.len(), 200);
    for writer in 0..8 {
        let own: Vec<&Message> = said
            .iter()
            .filter(|m| m.content.starts_with(&format!("{writer}-")))
            .collect();
        let wanted: Vec<String> = (0..25).map(|n| format!("{writer}-{n}")).collect();
        assert_eq!(
            own.iter().map(|m| &*m.content).collect::<Vec<_>>(),
            wanted,
            "what one said is in its order"
        );
    }
}

async fn endings(store: &Store) {
    assert_eq!(store.prune_chat(i64::MAX, 3).await.unwrap(), 3);
    assert_eq!(
        store.leave_chat_room("team", "lee").await.unwrap(),
        Removed::Left
    );
    assert_eq!(
        store.leave_chat_room("team", "lee").await.unwrap(),
        Removed::Outside
    );
    assert_eq!(
        store.say(new("team", "lee", "x")).await.unwrap(),
        Said::Outside
    );
    assert_eq!(
        store.leave_chat_room("team", "kim").await.unwrap(),
        Removed::Deleted
    );
    assert!(
        store
            .chat_rooms("kim", None)
            .await
            .unwrap()
            .iter()
            .all(|room| room.id != "team")
    );
    assert!(
        store
            .chat_before(("team", Some("kim")), i64::MAX, ALL)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        store.leave_chat_room("none", "kim").await.unwrap(),
        Removed::Outside
    );
}

async fn promises(store: &Arc<Store>) {
    rooms(store).await;
    messages(store).await;
    catching_up(store).await;
    order(std::slice::from_ref(store)).await;
    endings(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_is_kept_on_sqlite() {
    let dir = Directory::new();
    let store = open(&format!("sqlite://{}/signalbox.db", dir.path().display())).await;
    promises(&store).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_is_kept_on_postgresql_and_in_one_order_for_two_nodes() {
    let postgres = Postgres::start();
    let store = open(&postgres.url()).await;
    promises(&store).await;
    begin(&store, "shared", &["kim"]).await;
    store.leave_chat_room("hall", "kim").await.unwrap();
    order(&[store, open(&postgres.url()).await]).await;
}
