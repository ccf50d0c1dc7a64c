-- What each worker last reported about its queues.
ALTER TABLE workers ADD COLUMN queues text NOT NULL DEFAULT '{}';

-- Requests of web processes, which do not reach RabbitMQ, to list or move dead letters. A worker performs them.
CREATE TABLE dead_letter_requests (
    id uuid CONSTRAINT dead_letter_requests_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    action text NOT NULL
        CONSTRAINT dead_letter_requests_action CHECK (action IN ('list', 'retry', 'discard')),
    queue text NOT NULL,
    -- NULL for all.
    message_id text,
    requested_at timestamptz NOT NULL DEFAULT now(),
    -- JSON; NULL until the request has been performed.
    result text
);
