-- Phones without an account that were sent away, by the login of their token, which opens nothing any more.
CREATE TABLE ended_passes (
    login TEXT PRIMARY KEY,
    at    TIMESTAMPTZ NOT NULL
);
CREATE INDEX idx_ended_passes_at ON ended_passes (at);
