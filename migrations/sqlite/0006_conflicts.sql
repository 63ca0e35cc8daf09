-- What was decided about an external ticket is looked up before the same is asked again.
CREATE INDEX conflicts_ticket ON conflicts (source, external_id);
