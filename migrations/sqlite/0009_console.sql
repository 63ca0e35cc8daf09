-- What people look for and what they did.

-- Events stored and pairs connected, by source and 10 seconds; kept for some days.
CREATE TABLE activity (
    -- When the 10 seconds begin.
    at        INTEGER NOT NULL,
    source    TEXT    NOT NULL,
    stored    INTEGER NOT NULL,
    connected INTEGER NOT NULL,
    PRIMARY KEY (at, source)
) STRICT, WITHOUT ROWID;

-- The number by which people know an external ticket, such as INC0081927.
ALTER TABLE external_tickets ADD COLUMN number TEXT COLLATE NOCASE;

CREATE INDEX external_tickets_number ON external_tickets (number) WHERE number IS NOT NULL;

-- What is parked, by source. The id of the row is the last column of every index.
CREATE INDEX events_waiting ON events (source) WHERE state = 'parked';

-- Dead letters by what they died of.
CREATE INDEX events_dead ON events (source, reason) WHERE state = 'dead';

-- What people did, and why. Written with what they did.
CREATE TABLE audit (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    -- Who: the name of a token.
    actor       TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    -- The external ticket, where it is about one. NULL after it was erased, as are the next two.
    source      TEXT,
    external_id TEXT,
    -- What else it is about: an event, a Serval ticket, how many.
    subject     TEXT,
    -- Why, in the person's words.
    reason      TEXT
) STRICT;

CREATE INDEX audit_ticket ON audit (source, external_id) WHERE external_id IS NOT NULL;
