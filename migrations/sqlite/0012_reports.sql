-- The newest save of a record is the later one, then the one with the higher count; the lowest number there
-- is stands for one that cannot be read. Saves had the count first, and -1 for what could not be read. The
-- second number of a message is negative.
UPDATE events
SET rank_major = CASE WHEN rank_minor < 0 THEN -9223372036854775808 ELSE rank_minor END,
    rank_minor = CASE WHEN rank_major < 0 THEN -9223372036854775808 ELSE rank_major END
WHERE rank_minor >= -1;

-- deletion, message_deletion or message_edit: what the event reports about others of its external ticket.
-- NULL: nothing, it is a save or a message itself.
ALTER TABLE events ADD COLUMN report TEXT;

CREATE INDEX events_report ON events (external) WHERE report IS NOT NULL;
