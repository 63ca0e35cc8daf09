-- Bodies are stored compressed.

-- Length of the body in bytes before it was compressed with LZ4 (its block format); NULL: `body` is as it
-- arrived.
ALTER TABLE payloads ADD COLUMN unpacked INTEGER;
