-- What events are about and what mappings map. Everywhere else a number stands for it: names are
-- long and in no order, so an index of them costs a page of its own for every event, and one is enough.
-- Times are Unix milliseconds.
CREATE TABLE external_tickets (
    id            INTEGER PRIMARY KEY,
    source        TEXT    NOT NULL,
    external_id   TEXT    NOT NULL,
    -- Slack's workspace: an external id belongs to the first that used it for what may connect.
    team          TEXT,
    -- The mapping; all of it is NULL where there is none. The Serval ticket:
    ticket_id     TEXT,
    -- api, import, payload, cli or console.
    origin        TEXT,
    created_at    INTEGER,
    updated_at    INTEGER,
    -- The event that taught it.
    taught_by     INTEGER,
    -- A JSON array of Serval message ids, sent with connect.
    accounted_for TEXT
) STRICT;

CREATE UNIQUE INDEX external_tickets_name ON external_tickets (source, external_id);
CREATE INDEX external_tickets_mapped ON external_tickets (source, external_id)
    WHERE ticket_id IS NOT NULL;
CREATE INDEX external_tickets_to ON external_tickets (ticket_id) WHERE ticket_id IS NOT NULL;

-- Which Serval ticket belongs to an external ticket.
CREATE VIEW mappings AS
SELECT id AS external, source, external_id, ticket_id, accounted_for, origin, created_at, updated_at,
    taught_by
FROM external_tickets WHERE ticket_id IS NOT NULL;

-- The inbox: one row for each event, small and fixed in shape, so that lists stay fast and a change
-- of state does not rewrite the payload.
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
    -- The external ticket, by its number; NULL: it names none.
    external      INTEGER,
    subtype       TEXT,
    event_type    TEXT    NOT NULL,
    -- Names the delivery: a second one of the source with the same name is a duplicate. The sender's own
    -- word; of a long one the beginning, and a hash.
    delivery      BLOB,
    -- Names the content, by 128 bits of a hash: NULL when another event may take its place (ignored, dead,
    -- expired).
    content       BLOB,
    first_state   TEXT    NOT NULL,
    first_reason  TEXT,
    reason        TEXT,
    -- The Serval ticket it was last connected to, or tried with.
    ticket_id     TEXT,
    last_error    TEXT,
    -- The Serval ticket that the payload names, until it is verified or found wrong.
    hint          TEXT,
    -- Where the event belongs in a trace that began with its sender: a W3C traceparent. NULL: nowhere.
    traceparent   TEXT
) STRICT;

-- What stops replays, also of an event whose external ticket has got another name since. Most senders
-- count their deliveries up, or name them by the time: then it grows at its end.
CREATE UNIQUE INDEX events_delivery ON events (source, delivery) WHERE delivery IS NOT NULL;
-- External tickets are numbered as they come, and what happens next is mostly about the latest: an
-- index that begins with the number is written at its end.
-- The content, and all events of an external ticket. NULLs differ from each other.
CREATE UNIQUE INDEX events_external ON events (external, content) WHERE external IS NOT NULL;
CREATE INDEX events_due ON events (due_at, id) WHERE state = 'queued';
CREATE INDEX events_head ON events (external, id) WHERE state = 'queued';
CREATE UNIQUE INDEX events_parked ON events (external) WHERE state = 'parked';
CREATE INDEX events_expiry ON events (due_at, id) WHERE state = 'parked';
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
