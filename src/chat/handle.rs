//! Decisions of the chat family. What is said, changed or ended in a room happens in the room's turn, so that
//! everybody sees one order: that of the store.

use super::payload::{
    Changed, ChatRoom, Content, DeleteRoom, EditMessage, InRoom, JoinChat, Kept, LeaveChat,
    LoadMoreMessages, RoomDeleted, SendMessage, SyncRooms, Synced, said,
};
use crate::{
    event::{
        ChatResult, ChatRoomId, ClientEvent, Code, Context, Decision, Effect, EventName, Fact,
        Identity, Namespace, PeerId, PushName, Refusal, Rejection, Reply, Role, Room, Sequel,
        Target, Text, UserId, Visits,
    },
    live::{Ask, Asks, Listeners, Turns},
    store::{Edited, Message, NewMessage, Removed, Said, Store, StoreError},
};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What the chat family needs to decide.
#[derive(Debug, Clone)]
pub struct ChatServices {
    /// What was said, and who takes part where.
    pub store: Arc<Store>,
    /// Whose turn it is in which room.
    pub turns: Arc<Turns>,
    /// Who hears which rooms.
    pub listeners: Arc<Listeners>,
    /// What is asked of the assistant.
    pub asks: Arc<Asks>,
    /// Only those may chat who came as chat clients do (`VISION_APP_INFO`).
    pub profiles_only: bool,
}

/// Longest message, in bytes of UTF-8 (contract, section 9).
const MOST_CONTENT: usize = 16 * 1024;
/// A byte of a message is at most six in JSON; and what stands around it.
const MESSAGE_BYTES: usize = 6 * MOST_CONTENT + 1024;
const SMALL: usize = 4096;
/// A thousand rooms with their times.
const SYNC_BYTES: usize = 256 * 1024;
/// Messages of a page (contract, section 6).
const PAGE: u16 = 50;
/// Messages of a part of what somebody missed.
const PART: u16 = 200;
/// Characters of messages in one answer or part, or some more.
const MOST_CHARS: i64 = 2_000_000;

/// A socket that is about to hear a room.
#[derive(Clone)]
struct Arriving {
    peer: PeerId,
    id: ChatRoomId,
    user: Box<str>,
}

impl ChatServices {
    /// Refuses whoever may not chat at all.
    fn admit(&self, who: &Identity) -> Result<(), Refusal> {
        if self.profiles_only && who.chat.is_none() {
            return Err(Refusal::new(Code::Forbidden, Text::OtherApplication));
        }
        Ok(())
    }

    /// A room with everybody in it, for one who takes part.
    pub(super) async fn room(&self, id: &ChatRoomId, user: &str) -> Result<ChatRoom, Rejection> {
        let room = Some(id.as_str());
        let found = self.store.chat_rooms(user, room).await?;
        let participants = self.store.chat_participants(user, room).await?;
        let rooms = ChatRoom::all(found, participants);
        rooms.into_iter().next().ok_or_else(|| outside().into())
    }

    /// The socket hears from now on which rooms its user takes part in.
    fn present(&self, cx: &Context) -> [Effect; 2] {
        let user = cx.identity.user_id();
        self.listeners.present(cx.peer, &user);
        let chats = Effect::ActAs(Role::Chat);
        [Effect::Enter(Room::Chatter(user)), chats]
    }

    /// Sends what was said since, part by part. With the last one, which nobody can add to meanwhile, the socket
    /// begins to hear the room.
    fn catch_up(self, arriving: Arriving, since: Option<i64>) -> Sequel {
        Box::pin(async move {
            let turn = self.turns.of(&arriving.id).await;
            // Now that nobody else can leave or delete it.
            let room = self.room(&arriving.id, &arriving.user).await;
            let room = room.inspect_err(|_| self.listeners.leave(arriving.peer, &arriving.id))?;
            let rooms = [(arriving.id.as_str(), since)];
            let most = if since.is_some() { PART } else { PAGE };
            let missed = self
                .store
                .chat_since(&arriving.user, &rooms, (most, MOST_CHARS));
            let missed = missed.await?;
            let previous = Effect::emit(Target::Caller, PushName::PreviousMessages, &said(&missed));
            let decision = Decision::default().then(previous);
            let cut = missed.len() == usize::from(PART) || chars(&missed) >= MOST_CHARS;
            match missed.last() {
                Some(last) if cut && since.is_some() => {
                    let since = Some(last.created_at);
                    Ok(Decision {
                        sequel: Some(self.catch_up(arriving, since)),
                        ..decision
                    })
                }
                _ => {
                    let hears = Room::Chat(arriving.id);
                    let to = Target::Room(hears.clone());
                    let news = Effect::emit(to, PushName::RoomUpdate, &room);
                    let decision = decision.then(Effect::Enter(hears)).then(news);
                    Ok(decision.during(turn))
                }
            }
        })
    }
}

fn chars(messages: &[Message]) -> i64 {
    let chars = messages.iter().map(|m| m.content.chars().count());
    i64::try_from(chars.sum::<usize>()).unwrap_or(i64::MAX)
}

fn outside() -> Refusal {
    Refusal::new(Code::Forbidden, Text::NotParticipant)
}

/// The contract's limit on what one says.
fn fitting(content: &Content) -> Result<&str, Refusal> {
    let content = content.0.as_str();
    if content.len() > MOST_CONTENT {
        return Err(Refusal::new(Code::PayloadTooLarge, Text::TooLarge));
    }
    Ok(content)
}

/// Milliseconds since 1970, as the store has them.
pub fn ms(unix_ms: u64) -> i64 {
    i64::try_from(unix_ms).unwrap_or(i64::MAX)
}

fn in_room(room: &ChatRoomId, deleted: Option<bool>) -> Decision {
    Decision::reply(&InRoom {
        success: true,
        room,
        deleted,
    })
}

/// What all events of this family have in common, and what not.
macro_rules! row {
    ($name:ident, $bytes:expr) => {
        row!($name, $bytes, Reply::Ack);
    };
    ($name:ident, $bytes:expr, $reply:expr) => {
        const NAME: EventName = EventName::$name;
        const NAMESPACES: &'static [Namespace] = &[Namespace::Root, Namespace::Chat];
        const MAX_BYTES: usize = $bytes;
        const REPLY: Reply = $reply;
        const MARK: Option<&'static str> = Some("roomID");
    };
}

impl ClientEvent<ChatServices> for JoinChat {
    row!(Join, SMALL);

    async fn handle(self, cx: &Context, chat: &ChatServices) -> Result<Decision, Rejection> {
        chat.admit(&cx.identity)?;
        let user = cx.identity.user_id();
        if !chat.listeners.enter(cx.peer, &user, &self.room) {
            return Err(Refusal::new(Code::RateLimit, Text::TooManyRooms).into());
        }
        let arriving = Arriving {
            peer: cx.peer,
            id: self.room.clone(),
            user: cx.identity.user.clone(),
        };
        let mut decision = in_room(&self.room, None);
        decision.effects.extend(chat.present(cx));
        let mut first = chat.clone().catch_up(arriving, self.created_at).await?;
        decision.turn = first.turn.take();
        decision.sequel = first.sequel.take();
        decision.join(first);
        Ok(decision)
    }
}

impl ClientEvent<ChatServices> for LeaveChat {
    row!(Leave, SMALL);

    async fn handle(self, cx: &Context, chat: &ChatServices) -> Result<Decision, Rejection> {
        chat.admit(&cx.identity)?;
        chat.listeners.leave(cx.peer, &self.room);
        let room = Room::Chat(self.room.clone());
        Ok(in_room(&self.room, None).then(Effect::Exit(room, cx.peer)))
    }
}

impl ClientEvent<ChatServices> for SendMessage {
    row!(Message, MESSAGE_BYTES);

    async fn handle(self, cx: &Context, chat: &ChatServices) -> Result<Decision, Rejection> {
        chat.admit(&cx.identity)?;
        let content = fitting(&self.content)?;
        let asks = self.asks();
        let who = &cx.identity;
        let known = (self.room.as_str(), &*who.user, self.client_id.as_deref());
        if asks && let Some(first) = chat.store.said_before(known).await? {
            return Ok(kept(&first, ChatResult::Again));
        }
        // A place first: what will not be answered is not kept either.
        let place = asks.then(|| chat.asks.reserve(cx.now.instant));
        let place = place.transpose()?;
        let turn = chat.turns.of(&self.room).await;
        let said = chat.store.say(NewMessage {
            room: self.room.as_str(),
            user: &who.user,
            username: who.username.as_deref().unwrap_or(&who.user),
            outsider: false,
            content,
            client_id: self.client_id.as_deref(),
            gpt: asks,
            at: ms(cx.now.unix_ms),
        });
        let (message, result) = match said.await? {
            Said::New(message) => (message, ChatResult::New),
            Said::Again(first) => (first, ChatResult::Again),
            Said::Outside => return Err(outside().into()),
        };
        let decision = kept(&message, result);
        if result == ChatResult::Again {
            return Ok(decision);
        }
        let news = tell(self.room.clone(), PushName::Message, &message);
        if let Some(place) = place {
            let what = place.what();
            place.ask(Ask {
                room: self.room,
                message: (message.id, message.created_at),
                trace: cx.trace,
                asked: cx.now.instant,
                what,
            });
        }
        Ok(decision.then(news).during(turn))
    }
}

/// A message is in the store.
fn kept(message: &Message, result: ChatResult) -> Decision {
    let kept = Kept {
        success: true,
        id: message.id,
        created_at: message.created_at,
    };
    Decision::reply(&kept).noting(Fact::ChatSaid(result))
}

/// By which the answer to a message is known, before it is one itself.
pub fn answer_id((message, _): (i64, i64)) -> String {
    format!("gpt-{message}")
}

/// Sends a message to everybody who hears its room.
pub fn tell(room: ChatRoomId, event: PushName, message: &Message) -> Effect {
    let to = Target::Room(Room::Chat(room));
    Effect::emit(to, event, &super::payload::Said::from(message))
}

impl ClientEvent<ChatServices> for EditMessage {
    row!(EditMessage, MESSAGE_BYTES);

    async fn handle(self, cx: &Context, chat: &ChatServices) -> Result<Decision, Rejection> {
        chat.admit(&cx.identity)?;
        let content = fitting(&self.content)?;
        let turn = chat.turns.of(&self.room).await;
        let (user, at) = (&cx.identity.user, ms(cx.now.unix_ms));
        let message = (self.room.as_str(), self.id);
        let message = match chat.store.edit(message, user, content, at).await? {
            Edited::Done(message) => message,
            Edited::NotYours => {
                return Err(Refusal::new(Code::Forbidden, Text::NotYourMessage).into());
            }
            Edited::Missing => {
                // Whoever does not take part is not told what there is.
                chat.room(&self.room, user).await?;
                return Err(Refusal::new(Code::NotFound, Text::NoSuchMessage).into());
            }
        };
        let decision = Decision::reply(&Changed {
            success: true,
            id: message.id,
            edited_at: message.edited_at,
        });
        let news = tell(self.room, PushName::MessageEdited, &message);
        let edited = Fact::ChatSaid(ChatResult::Edited);
        Ok(decision.then(news).noting(edited).during(turn))
    }
}

impl ClientEvent<ChatServices> for LoadMoreMessages {
    row!(LoadMoreMessages, SMALL);

    async fn handle(self, cx: &Context, chat: &ChatServices) -> Result<Decision, Rejection> {
        chat.admit(&cx.identity)?;
        let (room, user) = (self.room_id.as_str(), &*cx.identity.user);
        let page = if self.forward() {
            let rooms = [(room, self.timestamp)];
            chat.store
                .chat_since(user, &rooms, (PAGE, MOST_CHARS))
                .await
        } else {
            let before = self.timestamp.unwrap_or(i64::MAX);
            let reader = (room, Some(user));
            chat.store.chat_before(reader, before, PAGE).await
        };
        let page = page.map_err(|error| match error {
            StoreError::Away => Refusal::new(Code::Unavailable, Text::CannotLoad).into(),
            error => Rejection::from(error),
        })?;
        if page.is_empty() {
            // Nothing there, or nothing for this user?
            chat.room(&self.room_id, user).await?;
        }
        Ok(Decision::reply(&said(&page)))
    }
}

impl ClientEvent<ChatServices> for SyncRooms {
    row!(
        SyncRooms,
        SYNC_BYTES,
        Reply::Event(PushName::SyncRoomsResponse)
    );

    async fn handle(self, cx: &Context, chat: &ChatServices) -> Result<Decision, Rejection> {
        chat.admit(&cx.identity)?;
        let user = &*cx.identity.user;
        let mine = chat.store.chat_rooms(user, None).await?;
        let mine: BTreeSet<&str> = mine.iter().map(|room| &*room.id).collect();
        // Asked for twice, a room is answered twice, both times by the last one.
        let since: BTreeMap<&str, Option<i64>> = self
            .rooms
            .iter()
            .map(|asked| (asked.room_id.as_str(), asked.timestamp))
            .filter(|(room, _)| mine.contains(room))
            .collect();
        let asked: Vec<_> = since.iter().map(|(room, since)| (*room, *since)).collect();
        // One more than is sent: whether there is more.
        let most = (PAGE + 1, MOST_CHARS);
        let messages = chat.store.chat_since(user, &asked, most).await?;
        let cut = chars(&messages) >= MOST_CHARS;
        let mut by_room: BTreeMap<&str, &[Message]> = BTreeMap::new();
        for room in messages.chunk_by(|a, b| a.room_id == b.room_id) {
            by_room.extend(room.first().map(|first| (&*first.room_id, room)));
        }
        let last = messages.last().map(|message| &*message.room_id);
        let rooms = self.rooms.iter().filter_map(|asked| {
            let room = asked.room_id.as_str();
            let since = since.get(room)?;
            let all = by_room.get(room).copied().unwrap_or_default();
            let page = usize::from(PAGE);
            let (messages, more) = match since {
                // The newest ones: there is nothing after them.
                None => (all.get(all.len().saturating_sub(page)..), false),
                Some(_) => (all.get(..page.min(all.len())), all.len() > page),
            };
            Some(Synced {
                room_id: &asked.room_id,
                messages: said(messages.unwrap_or_default()),
                more: more || cut && (all.is_empty() || last == Some(room)),
            })
        });
        let mut decision = Decision::reply(&rooms.collect::<Vec<_>>());
        decision.effects.extend(chat.present(cx));
        Ok(decision)
    }
}

impl ClientEvent<ChatServices> for DeleteRoom {
    row!(DeleteRoom, SMALL);

    async fn handle(self, cx: &Context, chat: &ChatServices) -> Result<Decision, Rejection> {
        chat.admit(&cx.identity)?;
        let (id, user) = (&self.room, &*cx.identity.user);
        let turn = chat.turns.of(id).await;
        let mut before = chat.room(id, user).await?;
        let room = Room::Chat(id.clone());
        let who = cx.identity.user_id();
        let decision = match chat.store.leave_chat_room(id.as_str(), user).await? {
            Removed::Outside => return Err(outside().into()),
            Removed::Deleted => {
                chat.listeners.silence(id, None);
                chat.asks.cancel(id);
                let mut decision = in_room(id, Some(true)).then(Effect::Close(room));
                let told = before.users().map(|user| gone(user, id));
                decision.effects.extend(told);
                decision
            }
            Removed::Left => {
                chat.listeners.silence(id, Some(&who));
                before.without(&who);
                let news = Effect::emit(Target::Room(room.clone()), PushName::RoomUpdate, &before);
                // Its other sockets have the room no more.
                let own = gone(&who, id);
                in_room(id, Some(false))
                    .then(Effect::Expel(room, who))
                    .then(own)
                    .then(news)
            }
        };
        Ok(decision.during(turn))
    }
}

/// Tells a user that a room is no more, for it at least.
fn gone(user: &UserId, room: &ChatRoomId) -> Effect {
    let to = Target::Room(Room::Chatter(user.clone()));
    Effect::emit(to, PushName::RoomDeleted, &RoomDeleted { room })
}

#[async_trait]
impl Visits for ChatServices {
    /// The socket hears nothing any more.
    async fn departed(&self, cx: &Context) -> Decision {
        let mut decision = Decision::default();
        if let Some((user, rooms)) = self.listeners.forget(cx.peer) {
            let rooms = rooms.into_iter().map(Room::Chat);
            let exit = |room| Effect::Exit(room, cx.peer);
            let rooms = rooms.chain([Room::Chatter(user)]);
            decision.effects.extend(rooms.map(exit));
        }
        decision
    }
}
