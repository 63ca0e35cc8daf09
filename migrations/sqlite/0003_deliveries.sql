-- The calls in hand: at most one for an external ticket. Written before the call is made, deleted
-- with its result. What a dead process leaves here may have reached Serval: the next start marks
-- those events as in doubt and empties the table.
CREATE TABLE claims (
    event_id   INTEGER PRIMARY KEY,
    token      TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    external   INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX claims_external ON claims (external);

-- Every call about an event, whatever came of it.
CREATE TABLE attempts (
    id          INTEGER PRIMARY KEY,
    event_id    INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    ticket_id   TEXT    NOT NULL,
    -- connected, already_linked, retry, held, dead.
    outcome     TEXT    NOT NULL,
    status      INTEGER,
    code        TEXT,
    -- What Serval said, shortened.
    answer      TEXT,
    request_id  TEXT,
    -- Milliseconds that Serval asked to wait (Retry-After).
    retry_after INTEGER,
    -- Whether it was the probe of an outage, which costs the event nothing.
    probe       INTEGER NOT NULL
) STRICT;

CREATE INDEX attempts_event ON attempts (event_id, id);
