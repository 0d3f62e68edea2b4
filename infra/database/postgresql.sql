-- The shop's event log and catalogue in PostgreSQL.
-- The log is written at least once: event_id is not unique here, `prepare` removes copies.
CREATE TABLE IF NOT EXISTS events (
    event_id      text NOT NULL,
    user_id       text,
    item_id       text,
    event_type    text NOT NULL,  -- impression, view, click, cart, purchase, search
    query         text,
    position      integer,        -- place in the list that was shown, from 1
    quantity      double precision,
    price         double precision,  -- of one piece
    timestamp     timestamptz NOT NULL,
    model_version text            -- of the release that showed the list
);
CREATE INDEX IF NOT EXISTS events_timestamp ON events (timestamp);
CREATE TABLE IF NOT EXISTS items (
    item_id    text PRIMARY KEY,
    title      text,
    category   text,
    brand      text,
    price      double precision,
    in_stock   boolean,
    created_at timestamptz
);
