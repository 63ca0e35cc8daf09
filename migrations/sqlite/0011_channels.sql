-- What is known of channels. A thread is named by its channel and its time, whatever workspace we hear
-- it through, so the workspace is not kept any more.
ALTER TABLE external_tickets DROP COLUMN team;

-- Conversations whose messages are direct, though their ids do not tell: group direct messages. A
-- message says it of its conversation; a mention does not.
CREATE TABLE direct_channels (
    source  TEXT NOT NULL,
    channel TEXT NOT NULL,
    PRIMARY KEY (source, channel)
) STRICT, WITHOUT ROWID;

-- Earlier versions gave up events of a second workspace. Each goes to where it would stand today.
CREATE TABLE team_conflicts (
    event_id INTEGER PRIMARY KEY,
    was      TEXT NOT NULL,
    state    TEXT NOT NULL,
    reason   TEXT
) STRICT;

-- What has no body cannot be sent: it expired. What names a Serval ticket that the mapping does not is
-- asked about. Else the mapping decides. Of those without a mapping one is parked: the one that stands
-- best for its external ticket, which may be one that is parked already.
INSERT INTO team_conflicts
WITH facts AS (
    SELECT e.id, e.state AS was, e.external, e.rank_major, e.rank_minor,
        x.ticket_id IS NOT NULL AS is_mapped, c.ticket_id IS NOT NULL AS is_connected,
        p.event_id IS NULL AS is_empty, e.hint IS NOT NULL AND e.hint IS NOT x.ticket_id AS is_news
    FROM events AS e
    LEFT JOIN external_tickets AS x ON x.id = e.external
    LEFT JOIN connections AS c ON c.external = x.id AND c.ticket_id = x.ticket_id
    LEFT JOIN payloads AS p ON p.event_id = e.id
    WHERE (e.state = 'dead' AND e.reason = 'team_conflict')
        OR (e.state = 'parked' AND e.external IN (
            SELECT d.external FROM events AS d WHERE d.state = 'dead' AND d.reason = 'team_conflict'))
),
moves AS (
    SELECT id, was, external, rank_major, rank_minor,
        CASE
            WHEN was = 'parked' THEN 'parked'
            WHEN is_news AND NOT is_empty THEN 'queued'
            WHEN is_connected THEN 'skipped'
            WHEN is_empty THEN 'expired'
            WHEN is_mapped THEN 'queued'
            ELSE 'parked'
        END AS state,
        CASE
            WHEN was = 'parked' THEN 'no_mapping'
            WHEN is_news AND NOT is_empty THEN 'learning'
            WHEN is_connected THEN 'already_connected'
            WHEN is_empty THEN 'no_mapping'
            WHEN is_mapped THEN NULL
            ELSE 'no_mapping'
        END AS reason
    FROM facts
),
ranked AS (
    SELECT id, was, state, reason, state = 'parked' AND row_number() OVER (
            PARTITION BY external, state ORDER BY rank_major DESC, rank_minor DESC, id DESC
        ) > 1 AS is_superseded
    FROM moves
)
SELECT id, was,
    CASE WHEN is_superseded THEN 'skipped' ELSE state END,
    CASE WHEN is_superseded THEN 'superseded' ELSE reason END
FROM ranked;

DELETE FROM team_conflicts WHERE state = was;

-- What leaves the parked list goes first: of each external ticket it holds one.
UPDATE events SET state = t.state, reason = t.reason, updated_at = unixepoch() * 1000
FROM team_conflicts AS t
WHERE t.event_id = events.id AND t.was = 'parked';

UPDATE events
SET state = t.state, reason = t.reason, updated_at = unixepoch() * 1000,
    queued_at = unixepoch() * 1000, tries = 0, not_before = 0,
    -- A parked one waits for as long as Slack's events do by default.
    due_at = unixepoch() * 1000 + CASE t.state WHEN 'parked' THEN 604800000 ELSE 0 END
FROM team_conflicts AS t
WHERE t.event_id = events.id AND t.was = 'dead';

INSERT INTO changes (event_id, at, state, reason)
SELECT event_id, unixepoch() * 1000, state, reason FROM team_conflicts ORDER BY event_id;

INSERT INTO counts (source, state, n)
SELECT e.source, t.state, 1 FROM team_conflicts AS t JOIN events AS e ON e.id = t.event_id
UNION ALL
SELECT e.source, t.was, -1 FROM team_conflicts AS t JOIN events AS e ON e.id = t.event_id
ON CONFLICT (source, state) DO UPDATE SET n = n + excluded.n;

DROP TABLE team_conflicts;
