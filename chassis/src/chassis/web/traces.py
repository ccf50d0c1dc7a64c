"""Traces: the effects of a request, from the rows that a service stores and from its messages."""

from collections.abc import Sequence
from typing import Annotated

from flask import Blueprint
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from chassis.runtime import request_ids
from chassis.web.app import require_admin, transaction
from chassis.web.validation import endpoint

MAX_ENTRIES = 1000


class TracePath(BaseModel):
    request_id: Annotated[str, Field(pattern=request_ids.PATTERN, description="The X-Request-ID of the request")]


# The outbox has no index for this: of a long backlog, only the newest rows are searched.
_MESSAGES = (
    """
    SELECT created_at AS at, CASE exchange WHEN '' THEN 'job' ELSE 'event' END AS kind,
           CASE exchange WHEN '' THEN routing_key ELSE type END || ' waits to be published' AS what,
           message_id::text AS id, 'request' AS caused_by
    FROM (SELECT * FROM outbox ORDER BY id DESC LIMIT 10000) AS newest WHERE correlation_id = %(request_id)s
    """,
    """
    SELECT received_at AS at, 'job' AS kind, queue || ' was handled' AS what, message_id::text AS id,
           'request' AS caused_by
    FROM inbox WHERE request_id = %(request_id)s
    """,
)


def add_route(bp: Blueprint, queries: Sequence[str]) -> None:
    """Add the route; each query returns (at, kind, what, id, caused_by) for `request_id`, and should use an index."""
    parts = [f"(SELECT * FROM ({query}) AS part ORDER BY at LIMIT %(limit)s)" for query in (*queries, *_MESSAGES)]
    sql = f"""
        SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, kind, what, id, caused_by
        FROM ({" UNION ALL ".join(parts)}) AS entries ORDER BY entries.at LIMIT %(limit)s
    """

    @bp.get("/trace/<request_id>")
    @endpoint("Report what a request caused", {}, path=TracePath)
    def trace(request_id: str) -> ResponseReturnValue:
        """Return the first entries in order of time; `has_more` states whether there are others."""
        require_admin()
        with transaction() as tx:
            rows = tx.all(sql, request_id=request_id, limit=MAX_ENTRIES + 1)
        return {"entries": rows[:MAX_ENTRIES], "has_more": len(rows) > MAX_ENTRIES}
