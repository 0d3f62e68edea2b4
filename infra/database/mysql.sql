-- The shop's event log and catalogue in MySQL or MariaDB. Times are UTC.
-- The log is written at least once: event_id is not unique here, `prepare` removes copies.
CREATE TABLE IF NOT EXISTS events (
    event_id      VARCHAR(200) NOT NULL,
    user_id       VARCHAR(200),
    item_id       VARCHAR(200),
    event_type    VARCHAR(20) NOT NULL,  -- impression, view, click, cart, purchase, search
    query         VARCHAR(1000),
    position      INT,                   -- place in the list that was shown, from 1
    quantity      DOUBLE,
    price         DOUBLE,                -- of one piece
    timestamp     DATETIME NOT NULL,
    model_version VARCHAR(40),           -- of the release that showed the list
    INDEX events_timestamp (timestamp)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS items (
    item_id    VARCHAR(200) PRIMARY KEY,
    title      VARCHAR(1000),
    category   VARCHAR(200),
    brand      VARCHAR(200),
    price      DOUBLE,
    in_stock   BOOLEAN,
    created_at DATETIME
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
