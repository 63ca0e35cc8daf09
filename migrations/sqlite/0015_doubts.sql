-- What is unknown about a pair outlives the event whose call left it unknown.

-- Pairs that Serval may have without our knowing it: the answer to a call was lost, or the pair waits to
-- be unlinked. Serval is asked before the next call. An empty Serval ticket stands for all of them: it is
-- not known which one was called.
CREATE TABLE doubts (
    external  INTEGER NOT NULL,
    ticket_id TEXT    NOT NULL,
    -- The event that was sent; 0: not known.
    event_id  INTEGER NOT NULL,
    PRIMARY KEY (external, ticket_id)
) STRICT, WITHOUT ROWID;

-- The Serval ticket that is called; NULL: none, the event had no mapping.
ALTER TABLE claims ADD COLUMN ticket_id TEXT;

INSERT INTO doubts (external, ticket_id, event_id)
SELECT external, '', MAX(id) FROM events
WHERE external IS NOT NULL AND (in_doubt OR id IN (SELECT event_id FROM claims))
GROUP BY external;

INSERT OR IGNORE INTO doubts (external, ticket_id, event_id)
SELECT x.id, d.ticket_id, 0 FROM disconnects AS d
JOIN external_tickets AS x ON x.source = d.source AND x.external_id = d.external_id;

-- The process that held them is dead, and their doubt is noted above.
DELETE FROM claims;
ALTER TABLE events DROP COLUMN in_doubt;
