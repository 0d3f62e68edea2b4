-- The shop's event log and catalogue in SQLite. Times are ISO 8601 in UTC.
-- The log is written at least once: event_id is not unique here, `prepare` removes copies.
CREATE TABLE IF NOT EXISTS events (
    event_id      TEXT NOT NULL,
    user_id       TEXT,
    item_id       TEXT,
    event_type    TEXT NOT NULL,  -- impression, view, click, cart, purchase, search
    query         TEXT,
    position      INTEGER,        -- place in the list that was shown, from 1
    quantity      REAL,
    price         REAL,           -- of one piece
    timestamp     TEXT NOT NULL,
    model_version TEXT            -- of the release that showed the list
);
CREATE INDEX IF NOT EXISTS events_timestamp ON events (timestamp);
CREATE TABLE IF NOT EXISTS items (
    item_id    TEXT PRIMARY KEY,
    title      TEXT,
    category   TEXT,
    brand      TEXT,
    price      REAL,
    in_stock   INTEGER,
    created_at TEXT
);
