"""Queries for the trace of a request: files that are loaded."""

TRACE = (
    """
    SELECT created_at AS at, 'load' AS kind,
           CASE WHEN production_factory_id IS NULL THEN 'a file was uploaded: '
           ELSE 'production of factory ' || production_factory_id || ' was uploaded: ' END || status AS what,
           id::text AS id, 'request' AS caused_by
    FROM loads WHERE request_id = %(request_id)s
    """,
)
