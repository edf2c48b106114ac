-- What is known of the seats of events. One that is listed is on its event's map; where a map has any, there are no others.
CREATE TABLE seats (
    event_id   TEXT NOT NULL,
    seat_id    TEXT NOT NULL,
    listed     BOOLEAN NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('free', 'held', 'sold')),
    user_id    TEXT,
    held_until TIMESTAMPTZ,
    PRIMARY KEY (event_id, seat_id)
);
