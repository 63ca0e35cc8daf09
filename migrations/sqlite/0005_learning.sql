-- What payloads teach about mappings.

-- The Serval ticket that the payload names, until it is verified or found wrong.
ALTER TABLE events ADD COLUMN hint TEXT;
-- Slack's workspace: one external id belongs to one. Of events that may connect only.
ALTER TABLE events ADD COLUMN team TEXT;
CREATE INDEX events_team ON events (source, external_id, id) WHERE team IS NOT NULL;

-- The event that taught the mapping.
ALTER TABLE mappings ADD COLUMN taught_by INTEGER;

-- A payload named another Serval ticket than the mapping does. Kept with both values until a person
-- decides, and after.
CREATE TABLE conflicts (
    id          INTEGER PRIMARY KEY,
    source      TEXT    NOT NULL,
    external_id TEXT    NOT NULL,
    mapped_to   TEXT    NOT NULL,
    learned     TEXT    NOT NULL,
    event_id    INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    decided_at  INTEGER,
    -- keep or replace.
    decision    TEXT
) STRICT;

CREATE UNIQUE INDEX conflicts_open ON conflicts (source, external_id, learned) WHERE decision IS NULL;

-- Friendly identifiers (ACM-10) and the ids that Serval gave for them.
CREATE TABLE friendly_ids (
    friendly  TEXT    NOT NULL PRIMARY KEY,
    ticket_id TEXT    NOT NULL,
    found_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Pairs that Serval should let go of.
CREATE TABLE disconnects (
    id          INTEGER PRIMARY KEY,
    source      TEXT    NOT NULL,
    external_id TEXT    NOT NULL,
    ticket_id   TEXT    NOT NULL,
    due_at      INTEGER NOT NULL,
    tries       INTEGER NOT NULL,
    queued_at   INTEGER NOT NULL,
    last_error  TEXT
) STRICT;

CREATE INDEX disconnects_due ON disconnects (due_at);
