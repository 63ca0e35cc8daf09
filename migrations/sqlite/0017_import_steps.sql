-- Imports are written in steps.

-- The import that is decided and not yet written whole: at most one. Each step deletes its rows from
-- import_rows. Rows of other imports are left over from one that was refused or broke off.
CREATE TABLE imports (
    id         INTEGER PRIMARY KEY,
    decided_at INTEGER NOT NULL
) STRICT;

-- The rules of the source when the import came: whether the pair that the row replaces is unlinked at Serval,
-- and whether changed records are sent again.
ALTER TABLE import_rows ADD COLUMN unlinks_old INTEGER NOT NULL DEFAULT 0;
ALTER TABLE import_rows ADD COLUMN reconnects INTEGER NOT NULL DEFAULT 0;

-- A step looks for the requests about its external tickets.
CREATE INDEX disconnects_ticket ON disconnects (source, external_id);
