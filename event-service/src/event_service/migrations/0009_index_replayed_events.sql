-- Each read looks for replayed events; without this index, it would read all parked events of the consumer.
CREATE INDEX parked_replayed ON parked (series_id, consumer, sequence) WHERE replayed_at IS NOT NULL;
