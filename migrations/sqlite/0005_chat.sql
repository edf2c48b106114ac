-- Chat rooms, who takes part, and what was said. Times in messages are milliseconds since 1970, as clients see them.

CREATE TABLE chat_rooms (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    owner_id   TEXT NOT NULL,
    created_at INTEGER NOT NULL
);

-- Whoever left for good has no row any more.
CREATE TABLE chat_participants (
    room_id   TEXT NOT NULL REFERENCES chat_rooms (id) ON DELETE CASCADE,
    user_id   TEXT NOT NULL,
    username  TEXT NOT NULL,
    joined_at INTEGER NOT NULL,
    PRIMARY KEY (room_id, user_id)
);
CREATE INDEX idx_chat_participants_user ON chat_participants (user_id, room_id);

-- The order of a room is that of created_at, which rises strictly within it.
CREATE TABLE chat_messages (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    room_id    TEXT NOT NULL REFERENCES chat_rooms (id) ON DELETE CASCADE,
    user_id    TEXT NOT NULL,
    username   TEXT NOT NULL,
    content    TEXT NOT NULL,
    client_id  TEXT,
    gpt        BOOLEAN NOT NULL,
    created_at INTEGER NOT NULL,
    edited_at  INTEGER
);
CREATE UNIQUE INDEX idx_chat_messages_room ON chat_messages (room_id, created_at);
CREATE UNIQUE INDEX idx_chat_messages_client ON chat_messages (room_id, user_id, client_id) WHERE client_id IS NOT NULL;
CREATE INDEX idx_chat_messages_age ON chat_messages (created_at);

-- Participants are named when a room begins.
CREATE INDEX idx_users_username ON users (username);
