-- When a pipeline first began and when it ended. Pipelines that began or ended before this migration have none.
ALTER TABLE pipelines ADD COLUMN started_at timestamptz, ADD COLUMN finished_at timestamptz;
