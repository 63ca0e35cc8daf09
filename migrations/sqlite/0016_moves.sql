-- Channels that got a new id. What arrives under an old id later is about the channel of today.
CREATE TABLE channel_moves (
    source   TEXT NOT NULL,
    channel  TEXT NOT NULL,
    -- The present id, however often the channel moved since.
    moved_to TEXT NOT NULL,
    PRIMARY KEY (source, channel)
) STRICT, WITHOUT ROWID;
