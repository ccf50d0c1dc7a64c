-- A waiting reader polls for the first lease that ends; without this index, each poll would read all leases of the consumer.
CREATE INDEX leases_available ON leases (series_id, consumer, available_at) WHERE available_at IS NOT NULL;
