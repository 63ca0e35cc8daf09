-- Which Serval ticket belongs to an external ticket.
CREATE TABLE mappings (
    source        TEXT    NOT NULL,
    external_id   TEXT    NOT NULL,
    ticket_id     TEXT    NOT NULL,
    -- A JSON array of Serval message ids, sent with connect.
    accounted_for TEXT    NOT NULL,
    -- api, import, payload, cli or console.
    origin        TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (source, external_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX mappings_ticket ON mappings (ticket_id);

-- The pairs that Serval has. Outlives its mapping, so that the same pair is connected once.
CREATE TABLE connections (
    source       TEXT    NOT NULL,
    external_id  TEXT    NOT NULL,
    ticket_id    TEXT    NOT NULL,
    connected_at INTEGER NOT NULL,
    event_id     INTEGER NOT NULL,
    PRIMARY KEY (source, external_id, ticket_id)
) STRICT, WITHOUT ROWID;
