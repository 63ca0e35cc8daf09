-- The inbox: one row for each event, small and fixed in shape, so that lists stay fast and a change
-- of state does not rewrite the payload. Times are Unix milliseconds.
CREATE TABLE events (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    state         TEXT    NOT NULL,
    -- queued: not before this moment. parked: expires at this moment. Else unused.
    due_at        INTEGER NOT NULL,
    -- Serval asked not to be called about it before (Retry-After); 0: it did not.
    not_before    INTEGER NOT NULL DEFAULT 0,
    -- Tries that the retry schedule counts; probes of an outage are not among them.
    tries         INTEGER NOT NULL DEFAULT 0,
    -- A call may have reached Serval without our knowing its end: look before calling again.
    in_doubt      INTEGER NOT NULL DEFAULT 0,
    received_at   INTEGER NOT NULL,
    -- When it last entered the queue; its age in a lasting fault counts from here.
    queued_at     INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    rank_major    INTEGER NOT NULL,
    rank_minor    INTEGER NOT NULL,
    source        TEXT    NOT NULL,
    external_id   TEXT,
    subtype       TEXT,
    event_type    TEXT    NOT NULL,
    -- Names the delivery: a second one with the same key is a duplicate.
    delivery_key  TEXT,
    -- Names the content: NULL when another event may take its place (ignored, dead, expired).
    content_key   TEXT,
    first_state   TEXT    NOT NULL,
    first_reason  TEXT,
    reason        TEXT,
    -- The Serval ticket it was last connected to, or tried with.
    ticket_id     TEXT,
    last_error    TEXT
) STRICT;

CREATE UNIQUE INDEX events_delivery ON events (source, delivery_key) WHERE delivery_key IS NOT NULL;
CREATE INDEX events_due ON events (due_at, id) WHERE state = 'queued';
CREATE INDEX events_head ON events (source, external_id, id) WHERE state = 'queued';
CREATE UNIQUE INDEX events_parked ON events (source, external_id) WHERE state = 'parked';
CREATE INDEX events_expiry ON events (due_at, id) WHERE state = 'parked';
-- The same content is always about the same external ticket: one index serves both, since each index
-- over ids without order costs a page for every event. NULLs differ from each other.
CREATE UNIQUE INDEX events_ticket ON events (source, external_id, content_key)
    WHERE external_id IS NOT NULL;
CREATE INDEX events_state ON events (state, id);

-- What arrived, byte for byte. `object_start` and `object_len` say where in `body` the external
-- object stands that is sent to Serval. An element of a batch has a body of its own: itself.
CREATE TABLE payloads (
    event_id     INTEGER PRIMARY KEY,
    object_start INTEGER NOT NULL,
    object_len   INTEGER NOT NULL,
    body         BLOB    NOT NULL
) STRICT;

-- Every change of state after the first.
CREATE TABLE changes (
    id       INTEGER PRIMARY KEY,
    event_id INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    state    TEXT    NOT NULL,
    reason   TEXT
) STRICT;

CREATE INDEX changes_event ON changes (event_id, id);

-- Counts of events, kept up to date in the transactions that change them.
CREATE TABLE counts (
    source TEXT    NOT NULL,
    state  TEXT    NOT NULL,
    n      INTEGER NOT NULL,
    PRIMARY KEY (source, state)
) STRICT, WITHOUT ROWID;

-- Switches that survive a restart (paused).
CREATE TABLE settings (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
