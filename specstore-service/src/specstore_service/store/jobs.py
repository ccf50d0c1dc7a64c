"""Statements of the built-in runner: a pipeline that it runs, and what comes of it."""

from dataclasses import dataclass
from typing import Any

from chassis.db import Transaction


@dataclass(frozen=True)
class Attempt:
    """One try at a pipeline: what belongs to an older one is not listened to."""

    flow: int
    position: int
    number: int


@dataclass(frozen=True)
class Result:
    """A file that can be downloaded; `object` is its key in the store of files."""

    position: int
    path: str
    object: str
    bytes: int
    hash: str
    rows: int | None
    content_type: str


def get_job(tx: Transaction, pipeline: str) -> dict[str, Any]:
    return tx.one(
        """
        SELECT flow, position, attempt, kind, target, flows.name AS flow_id, flows.spec
        FROM pipelines JOIN flows ON flows.id = pipelines.flow WHERE pipelines.name = %(pipeline)s
        """,
        pipeline=pipeline,
    )


def list_kinds(tx: Transaction, flow: int) -> list[tuple[str, str]]:
    """(kind, target) of each pipeline of the flow, in the order of the plan."""
    return tx.rows("SELECT kind, target FROM pipelines WHERE flow = %(flow)s ORDER BY position", flow=flow)


_NEWEST = "flow = %(flow)s AND position = %(position)s AND attempt = %(attempt)s"


def extend_lease(tx: Transaction, attempt: Attempt, lease_seconds: float) -> bool:
    """Whether this attempt may go on: False once the pipeline has ended or somebody else has taken it over."""
    return (
        tx.run(
            f"""
            UPDATE pipelines SET heard_at = now(), leased_until = now() + make_interval(secs => %(lease)s)
            WHERE {_NEWEST} AND state = 'INPROGRESS' AND succeeded IS NULL
            """,
            flow=attempt.flow,
            position=attempt.position,
            attempt=attempt.number,
            lease=lease_seconds,
        )
        == 1
    )


def release_lease(tx: Transaction, attempt: Attempt) -> None:
    """Somebody else may begin at once."""
    tx.run(
        f"UPDATE pipelines SET leased_until = now() WHERE {_NEWEST}",
        flow=attempt.flow,
        position=attempt.position,
        attempt=attempt.number,
    )


@dataclass(frozen=True)
class SourceClaim:
    """`object` or `error` where it was fetched before; else whether it is up to this attempt, and in whose place."""

    object: str | None = None
    error: str | None = None
    is_ours: bool = False
    replaced: Attempt | None = None


def claim_source(tx: Transaction, attempt: Attempt, location: str) -> SourceClaim:
    """Concurrent callers queue on the row. Who fetches is replaced once his attempt's lease has ended."""
    mine = {"flow": attempt.flow, "location": location, "position": attempt.position, "attempt": attempt.number}
    if tx.run(
        """
        INSERT INTO sources (flow, location, position, attempt)
        VALUES (%(flow)s, %(location)s, %(position)s, %(attempt)s)
        ON CONFLICT ON CONSTRAINT sources_pkey DO NOTHING
        """,
        **mine,
    ):
        return SourceClaim(is_ours=True)
    known = tx.one(
        """
        SELECT object, error, position, attempt, EXISTS (
            SELECT FROM pipelines WHERE flow = sources.flow AND position = sources.position
                AND attempt = sources.attempt AND leased_until > now() AND state = 'INPROGRESS' AND succeeded IS NULL
        ) AS is_under_way
        FROM sources WHERE flow = %(flow)s AND location = %(location)s FOR UPDATE
        """,
        **mine,
    )
    before = Attempt(attempt.flow, known["position"], known["attempt"])
    if known["object"] or known["error"] or before == attempt or known["is_under_way"]:
        return SourceClaim(known["object"], known["error"], before == attempt)
    tx.run(
        """
        UPDATE sources SET position = %(position)s, attempt = %(attempt)s
        WHERE flow = %(flow)s AND location = %(location)s
        """,
        **mine,
    )
    return SourceClaim(is_ours=True, replaced=before)


def update_source(
    tx: Transaction, attempt: Attempt, location: str, *, object: str | None = None, error: str | None = None
) -> bool:
    """False where this attempt has been replaced meanwhile: its copy counts for nothing."""
    return (
        tx.run(
            f"""
            UPDATE sources SET object = %(object)s, error = %(error)s
            WHERE {_NEWEST} AND location = %(location)s AND object IS NULL AND error IS NULL
            """,
            flow=attempt.flow,
            position=attempt.position,
            attempt=attempt.number,
            location=location,
            object=object,
            error=error,
        )
        == 1
    )


def insert_result(tx: Transaction, flow: int, result: Result) -> None:
    tx.run(
        """
        INSERT INTO results (flow, path, position, object, bytes, hash, rows, content_type)
        VALUES (%(flow)s, %(path)s, %(position)s, %(object)s, %(bytes)s, %(hash)s, %(rows)s, %(content_type)s)
        """,
        flow=flow,
        path=result.path,
        position=result.position,
        object=result.object,
        bytes=result.bytes,
        hash=result.hash,
        rows=result.rows,
        content_type=result.content_type,
    )


_RESULT = "SELECT position, path, object, bytes, hash, rows, content_type FROM results WHERE flow = %(flow)s"


def list_results(tx: Transaction, flow: int) -> list[Result]:
    return [Result(*row) for row in tx.rows(f"{_RESULT} ORDER BY position", flow=flow)]


def find_result(tx: Transaction, flow: int, path: str) -> Result | None:
    rows = tx.rows(f"{_RESULT} AND path = %(path)s", flow=flow, path=path)
    return Result(*rows[0]) if rows else None
