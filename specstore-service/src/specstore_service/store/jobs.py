"""Statements of the built-in runner: attempts, fetched sources and results."""

from dataclasses import dataclass
from typing import Any

from chassis.db import Transaction


@dataclass(frozen=True)
class Attempt:
    """An execution of a pipeline. Only the newest attempt of a pipeline counts."""

    flow: int
    position: int
    number: int


@dataclass(frozen=True)
class Result:
    """An output that can be downloaded. `object` is its key in the object store."""

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


def list_kinds_and_targets(tx: Transaction, flow: int) -> list[tuple[str, str]]:
    """Return (kind, target) of each pipeline of the flow, in the order of the plan."""
    return tx.rows("SELECT kind, target FROM pipelines WHERE flow = %(flow)s ORDER BY position", flow=flow)


_IS_NEWEST = "flow = %(flow)s AND position = %(position)s AND attempt = %(attempt)s"


def renew_lease(tx: Transaction, attempt: Attempt, lease_seconds: float) -> bool:
    """Return False if the attempt must stop: its pipeline has ended, or a newer attempt has claimed it."""
    return (
        tx.run(
            f"""
            UPDATE pipelines SET heard_at = now(), leased_until = now() + make_interval(secs => %(lease)s)
            WHERE {_IS_NEWEST} AND state = 'INPROGRESS' AND succeeded IS NULL
            """,
            flow=attempt.flow,
            position=attempt.position,
            attempt=attempt.number,
            lease=lease_seconds,
        )
        == 1
    )


def release_lease(tx: Transaction, attempt: Attempt) -> None:
    """End the lease, so that the next attempt need not wait until it expires."""
    tx.run(
        f"UPDATE pipelines SET leased_until = now() WHERE {_IS_NEWEST}",
        flow=attempt.flow,
        position=attempt.position,
        attempt=attempt.number,
    )


@dataclass(frozen=True)
class SourceClaim:
    """The state of a source for an attempt.

    `object` or `error` is set if the source has been fetched. Otherwise `is_ours` states whether this attempt must
    fetch it, and `replaced` is the attempt that lost its claim.
    """

    object: str | None = None
    error: str | None = None
    is_ours: bool = False
    replaced: Attempt | None = None


def claim_source(tx: Transaction, attempt: Attempt, location: str) -> SourceClaim:
    """Claim a source for fetching.

    Concurrent callers wait for the row lock. A claim ends with the lease of its attempt.
    """
    params = {"flow": attempt.flow, "location": location, "position": attempt.position, "attempt": attempt.number}
    if tx.run(
        """
        INSERT INTO sources (flow, location, position, attempt)
        VALUES (%(flow)s, %(location)s, %(position)s, %(attempt)s)
        ON CONFLICT ON CONSTRAINT sources_pkey DO NOTHING
        """,
        **params,
    ):
        return SourceClaim(is_ours=True)
    row = tx.one(
        """
        SELECT object, error, position, attempt, EXISTS (
            SELECT FROM pipelines WHERE flow = sources.flow AND position = sources.position
                AND attempt = sources.attempt AND leased_until > now() AND state = 'INPROGRESS' AND succeeded IS NULL
        ) AS is_in_progress
        FROM sources WHERE flow = %(flow)s AND location = %(location)s FOR UPDATE
        """,
        **params,
    )
    claimant = Attempt(attempt.flow, row["position"], row["attempt"])
    if row["object"] or row["error"] or claimant == attempt or row["is_in_progress"]:
        return SourceClaim(row["object"], row["error"], claimant == attempt)
    tx.run(
        """
        UPDATE sources SET position = %(position)s, attempt = %(attempt)s
        WHERE flow = %(flow)s AND location = %(location)s
        """,
        **params,
    )
    return SourceClaim(is_ours=True, replaced=claimant)


def update_source(
    tx: Transaction, attempt: Attempt, location: str, *, object: str | None = None, error: str | None = None
) -> bool:
    """Store the outcome of a fetch. Return False if another attempt has taken over the claim: the copy is obsolete."""
    return (
        tx.run(
            f"""
            UPDATE sources SET object = %(object)s, error = %(error)s
            WHERE {_IS_NEWEST} AND location = %(location)s AND object IS NULL AND error IS NULL
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


def get_fetch_seconds(tx: Transaction, flow: int) -> float:
    """Return the total duration of all fetches of a flow that have ended."""
    return float(tx.value("SELECT fetch_seconds FROM flows WHERE id = %(flow)s", flow=flow))


def add_fetch_seconds(tx: Transaction, flow: int, seconds: float) -> None:
    tx.run(
        "UPDATE flows SET fetch_seconds = fetch_seconds + %(seconds)s WHERE id = %(flow)s", flow=flow, seconds=seconds
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
