-- What came from each source last, and whether it said that nothing more will come.
CREATE TABLE feeds (
    source          TEXT    NOT NULL PRIMARY KEY,
    -- Arrival of the last webhook that brought something new.
    last_webhook_at INTEGER NOT NULL,
    -- uninstalled or tokens_revoked; NULL: none. Ends with the next webhook that reports none.
    trouble         TEXT,
    -- When that was reported.
    trouble_at      INTEGER
) STRICT, WITHOUT ROWID;

-- What the last days knew.
INSERT INTO feeds (source, last_webhook_at)
SELECT source, MAX(at) FROM activity WHERE stored > 0 GROUP BY source;

-- Parked and expired events whose payload names a Serval ticket that cannot be used: those are somebody's.
CREATE INDEX events_failed ON events (state, id) WHERE last_error IS NOT NULL;
