-- The ledger of scans. Its epoch names it: another ledger has another one.
CREATE TABLE ledger (
    epoch TEXT NOT NULL
);
INSERT INTO ledger (epoch) VALUES (substr(md5(random()::text || clock_timestamp()::text), 1, 16));

-- The sequence of each session that ever had a scan: it never goes back, also when old scans are gone.
CREATE TABLE scan_sessions (
    session TEXT PRIMARY KEY,
    seq     BIGINT NOT NULL, -- the last scan
    seen    BIGINT NOT NULL  -- the last one that a monitor was there for
);

-- What is replayed, for a day.
CREATE TABLE scans (
    session  TEXT NOT NULL,
    seq      BIGINT NOT NULL,
    user_id  TEXT NOT NULL,
    nonce    TEXT,
    order_no TEXT NOT NULL,
    navigate TEXT NOT NULL, -- as it was sent, but for seq
    at       TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (session, seq)
);
CREATE UNIQUE INDEX idx_scans_nonce ON scans (session, user_id, nonce) WHERE nonce IS NOT NULL;
CREATE INDEX idx_scans_at ON scans (at);
