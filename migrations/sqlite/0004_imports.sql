-- The rows of the import in hand. Written a batch at a time while the file arrives, so that neither
-- memory nor one long transaction holds the file; nothing reads them but the import itself.
CREATE TABLE import_rows (
    import_id     INTEGER NOT NULL,
    source        TEXT    NOT NULL,
    external_id   TEXT    NOT NULL,
    ticket_id     TEXT    NOT NULL,
    accounted_for TEXT    NOT NULL,
    -- Where the file says so first, counted from 1.
    line          INTEGER NOT NULL,
    -- The external ticket, by its number; NULL until the import is applied.
    external      INTEGER,
    PRIMARY KEY (import_id, source, external_id)
) STRICT, WITHOUT ROWID;

-- The events that an import sets in motion. Filled and emptied within one transaction.
CREATE TABLE import_events (
    event_id INTEGER PRIMARY KEY
) STRICT;
