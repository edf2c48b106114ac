-- Accounts, logins, signaling rooms and who was in them. Times are UTC.

CREATE TABLE users (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    username      TEXT NOT NULL,
    email         TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    created_at    TIMESTAMP NOT NULL,
    last_login    TIMESTAMP
);

-- A login and everything that was refreshed from it.
CREATE TABLE logins (
    id         TEXT PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at TIMESTAMP NOT NULL,
    revoked_at TIMESTAMP
);
CREATE INDEX idx_logins_user ON logins (user_id);
CREATE INDEX idx_logins_revoked ON logins (revoked_at);

-- Only hashes: whoever reads the database cannot log in with it.
CREATE TABLE refresh_tokens (
    token_hash TEXT PRIMARY KEY,
    login_id   TEXT NOT NULL REFERENCES logins (id) ON DELETE CASCADE,
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    used_at    TIMESTAMP
);
CREATE INDEX idx_refresh_tokens_login ON refresh_tokens (login_id);

-- owner_id and user_id are the token's user: often, but not always, an id of this table of users.
CREATE TABLE rooms (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    owner_id   TEXT NOT NULL,
    max_users  INTEGER NOT NULL,
    status     TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'closed')),
    created_at TIMESTAMP NOT NULL,
    ended_at   TIMESTAMP
);
CREATE INDEX idx_rooms_status ON rooms (status);
CREATE INDEX idx_rooms_owner ON rooms (owner_id);

-- One row for each stay. node and peer say whose connection it was, until it ends.
CREATE TABLE room_participants (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    room_id          TEXT NOT NULL REFERENCES rooms (id),
    user_id          TEXT NOT NULL,
    joined_at        TIMESTAMP NOT NULL,
    left_at          TIMESTAMP,
    duration_seconds INTEGER,
    node             TEXT NOT NULL,
    peer             TEXT NOT NULL
);
CREATE INDEX idx_participants_room ON room_participants (room_id);
CREATE INDEX idx_participants_user ON room_participants (user_id);
CREATE INDEX idx_participants_left ON room_participants (left_at);
CREATE UNIQUE INDEX idx_participants_open ON room_participants (room_id, node, peer) WHERE left_at IS NULL;

-- The running processes. One that is not seen for a while is dead, and what it left open is closed.
CREATE TABLE nodes (
    id      TEXT PRIMARY KEY,
    seen_at TIMESTAMP NOT NULL
);
