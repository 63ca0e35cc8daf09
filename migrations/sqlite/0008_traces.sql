-- Where the event belongs in a trace that began with its sender: a W3C traceparent. NULL: nowhere.
ALTER TABLE events ADD COLUMN traceparent TEXT;
