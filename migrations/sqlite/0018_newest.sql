-- The newest save of a record, as an event: no other save of it is sent. NULL: none is stored, or the external
-- ticket is a thread, whose events are messages.
ALTER TABLE external_tickets ADD COLUMN newest INTEGER;

-- The saves that are stored already, with the lowest number for what cannot be read. The second number of a
-- message is negative; one that cannot be read stands beside a 0 or a 1.
UPDATE external_tickets
SET newest = (
    SELECT e.id FROM events AS e INDEXED BY events_external
    WHERE e.external = external_tickets.id AND e.report IS NULL
        AND (e.rank_minor >= 0
            OR (e.rank_minor = -9223372036854775808 AND e.rank_major NOT IN (0, 1)))
        AND e.state <> 'ignored'
        AND COALESCE(e.reason, '') NOT IN (
            'echo', 'learning_echo', 'duplicate', 'class_conflict', 'deleted')
    ORDER BY e.rank_major DESC, e.rank_minor DESC, e.id DESC
    LIMIT 1);

-- Messages by the number that names them, which is negative. An edit or a deletion may not name the thread.
CREATE INDEX events_message ON events (rank_minor) WHERE rank_minor < 0;
