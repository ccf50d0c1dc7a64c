"""Queries for the trace of a request: the numbers that were issued to it."""

TRACE = (
    """
    SELECT issued_at AS at, 'number' AS kind,
           CASE WHEN first = last THEN first::text ELSE first || ' to ' || last END || ' of ' || sequence AS what,
           sequence AS id, 'request' AS caused_by
    FROM issued_numbers WHERE request_id = %(request_id)s
    """,
)
