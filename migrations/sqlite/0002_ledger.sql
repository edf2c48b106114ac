-- The ledger of scans. Its epoch names it: another ledger has another one.
CREATE TABLE ledger (
    epoch TEXT NOT NULL
);
INSERT INTO ledger (epoch) VALUES (lower(hex(randomblob(8))));

-- The sequence of each session that ever had a scan: it never goes back, also when old scans are gone.
CREATE TABLE scan_sessions (
    session TEXT NOT NULL UNIQUE,
    seq     BIGINT NOT NULL, -- the last scan
    seen    BIGINT NOT NULL, -- the last one that a monitor was there for
    last    BIGINT NOT NULL  -- scans.id of the last scan, also when that is gone
);

-- What is replayed, for a day. Rows are only ever added at the end, and there is no index: a scan is one page of
-- the log and not five. From the last scan of a session each row leads to the one before.
CREATE TABLE scans (
    id       INTEGER PRIMARY KEY,
    session  TEXT NOT NULL,
    seq      BIGINT NOT NULL,
    previous BIGINT NOT NULL, -- id of the session's scan before; 0 for the first
    user_id  TEXT NOT NULL,
    nonce    TEXT,
    order_no TEXT NOT NULL,
    navigate TEXT NOT NULL,   -- as it was sent, but for seq
    at       TIMESTAMP NOT NULL
);
