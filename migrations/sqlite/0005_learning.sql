-- What payloads teach about mappings.

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
-- What was decided about an external ticket is looked up before the same is asked again.
CREATE INDEX conflicts_ticket ON conflicts (source, external_id);

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
