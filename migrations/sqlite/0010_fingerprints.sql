-- A delivery is repeated if its name and its content are known.

-- What the delivery brought, by 63 bits of a hash. 0: nothing names the delivery, or the row is older
-- than this column.
ALTER TABLE events ADD COLUMN fingerprint INTEGER NOT NULL DEFAULT 0;

-- A sender may use one name for several contents. Then each is an event of its own.
DROP INDEX events_delivery;
CREATE UNIQUE INDEX events_delivery ON events (source, delivery, fingerprint) WHERE delivery IS NOT NULL;
