"""A registry of source specs: each upload creates a revision, which is planned as pipelines, run and monitored."""
