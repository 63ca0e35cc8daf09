-- A payload may name the Serval ticket that another source's external ticket with the same id is mapped to.
-- That is a conflict, too, and the external ticket may have no mapping: mapped_to is NULL then.
CREATE TABLE conflicts_anew (
    id          INTEGER PRIMARY KEY,
    source      TEXT    NOT NULL,
    external_id TEXT    NOT NULL,
    mapped_to   TEXT,
    learned     TEXT    NOT NULL,
    event_id    INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    decided_at  INTEGER,
    -- keep or replace.
    decision    TEXT
) STRICT;

INSERT INTO conflicts_anew SELECT * FROM conflicts;
DROP TABLE conflicts;
ALTER TABLE conflicts_anew RENAME TO conflicts;

CREATE UNIQUE INDEX conflicts_open ON conflicts (source, external_id, learned) WHERE decision IS NULL;
-- What was decided about an external ticket is looked up before the same is asked again.
CREATE INDEX conflicts_ticket ON conflicts (source, external_id);
