"""Queries for the trace of a request: flows."""

TRACE = (
    """
    SELECT created_at AS at, 'flow' AS kind, 'the spec was uploaded' AS what, name AS id, 'request' AS caused_by
    FROM flows WHERE request_id = %(request_id)s
    """,
    """
    SELECT finished_at AS at, 'flow' AS kind, 'the flow ended: ' || state AS what, name AS id, 'request' AS caused_by
    FROM flows WHERE request_id = %(request_id)s AND finished_at IS NOT NULL
    """,
)
