"""Queries for the trace of a request: the events that were appended."""

# The trigger of an event that was erased is null.
TRACE = (
    """
    SELECT received_at AS at, 'event' AS kind, series.name || ' in ' || streams.name AS what, events.id::text AS id,
           CASE trigger ->> 'type' WHEN 'request' THEN 'request'
           ELSE nullif(concat_ws(' ', trigger ->> 'type', trigger ->> 'name'), '') END AS caused_by
    FROM events JOIN series ON series.id = series_id JOIN streams ON streams.id = events.stream_id
    WHERE request_id = %(request_id)s
    """,
)
