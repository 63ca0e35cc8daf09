-- The pairs that Serval has. Outlives its mapping, so that the same pair is connected once.
CREATE TABLE connections (
    external     INTEGER NOT NULL,
    ticket_id    TEXT    NOT NULL,
    connected_at INTEGER NOT NULL,
    event_id     INTEGER NOT NULL,
    PRIMARY KEY (external, ticket_id)
) STRICT, WITHOUT ROWID;
