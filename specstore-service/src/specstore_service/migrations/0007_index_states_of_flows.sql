-- For the metric of flows by state, which would otherwise read all specs every few seconds.
CREATE INDEX flows_by_state ON flows (state);
