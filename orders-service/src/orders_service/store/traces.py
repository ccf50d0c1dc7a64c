"""Queries for the trace of a request: imports and their undo."""

TRACE = (
    """
    SELECT uploaded_at AS at, 'import' AS kind, file_name || ' was uploaded' AS what, id::text AS id,
           'request' AS caused_by
    FROM imports WHERE request_id = %(request_id)s
    """,
    """
    SELECT finished_at AS at, 'import' AS kind, 'the import ended: ' || status AS what, id::text AS id,
           'request' AS caused_by
    FROM imports WHERE request_id = %(request_id)s AND finished_at IS NOT NULL
    """,
    """
    SELECT undo_requested_at AS at, 'import' AS kind, 'the undo was requested' AS what, id::text AS id,
           'request' AS caused_by
    FROM imports WHERE undo_request_id = %(request_id)s
    """,
    """
    SELECT undo_finished_at AS at, 'import' AS kind, 'the undo ended' AS what, id::text AS id,
           'request' AS caused_by
    FROM imports WHERE undo_request_id = %(request_id)s AND undo_finished_at IS NOT NULL
    """,
)
