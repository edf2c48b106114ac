//! Chat rooms with history. A family: payloads, decisions, and what the HTTP side asks for.

mod handle;
mod payload;
mod rooms;
mod time;

pub use handle::{ChatServices, answer_id, ms, tell};
pub use payload::{
    ChatRoom, DeleteRoom, EditMessage, JoinChat, LeaveChat, LoadMoreMessages, NamedUser,
    SendMessage, SyncRooms,
};
pub use rooms::NewRoom;
