"""A registry of source specs: each upload is a revision, planned as pipelines that run and tell how they went."""
