-- The greatest number of unpublished messages in each of the last minutes, as the worker counted them.
CREATE TABLE outbox_backlogs (
    minute timestamptz CONSTRAINT outbox_backlogs_pkey PRIMARY KEY,
    backlog integer NOT NULL
);
