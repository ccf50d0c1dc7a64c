"""Statements on the pipelines of a flow."""

from collections.abc import Iterable
from typing import Any

from chassis import strictjson
from chassis.db import Transaction
from specstore_service.domain.flows import Pipeline, Report

# The columns of a Pipeline.
STATE_COLUMNS = "position, name AS id, needs, has_begun, succeeded, state, is_ready"


def list_pipelines(tx: Transaction, flow: int) -> list[Pipeline]:
    rows = tx.all(f"SELECT {STATE_COLUMNS} FROM pipelines WHERE flow = %(flow)s ORDER BY position", flow=flow)
    return [Pipeline.from_row(row) for row in rows]


def get_report(tx: Transaction, flow: int, position: int) -> Report:
    row = tx.one(
        "SELECT errors, log, stats FROM pipelines WHERE flow = %(flow)s AND position = %(position)s",
        flow=flow,
        position=position,
    )
    return Report(**{name: strictjson.loads(text.encode()) for name, text in row.items()})


def update_report(tx: Transaction, flow: int, position: int, report: Report) -> None:
    tx.run(
        """
        UPDATE pipelines SET errors = %(errors)s, log = %(log)s, stats = %(stats)s
        WHERE flow = %(flow)s AND position = %(position)s
        """,
        flow=flow,
        position=position,
        errors=strictjson.dumps(report.errors),
        log=strictjson.dumps(report.log),
        stats=strictjson.dumps(report.stats),
    )


def update_errors(tx: Transaction, flow: int, positions: list[int], errors: list[str]) -> None:
    tx.run(
        "UPDATE pipelines SET errors = %(errors)s WHERE flow = %(flow)s AND position = ANY (%(positions)s)",
        flow=flow,
        positions=positions,
        errors=strictjson.dumps(errors),
    )


def delete_progress(tx: Transaction, flow: int, positions: list[int]) -> None:
    """Delete the progress of pipelines that failed before their end.

    Their reports may arrive before or after the failure: the result must be the same.
    """
    if positions:
        tx.run(
            "UPDATE pipelines SET log = '[]', stats = '{}' WHERE flow = %(flow)s AND position = ANY (%(positions)s)",
            flow=flow,
            positions=positions,
        )


def list_errors(tx: Transaction, flow: int) -> dict[int, list[str]]:
    """Return the errors of the pipelines that have any, by position."""
    rows = tx.rows(
        "SELECT position, errors FROM pipelines WHERE flow = %(flow)s AND errors <> '[]' ORDER BY position", flow=flow
    )
    return {position: strictjson.loads(errors.encode()) for position, errors in rows}


def update_states(tx: Transaction, flow: int, pipelines: Iterable[Pipeline]) -> None:
    """Update the states, record when these pipelines first began and when they ended, and restart their timeout."""
    tx.insert_many(
        """
        UPDATE pipelines SET has_begun = new.has_begun, succeeded = new.succeeded::boolean, state = new.state,
                             is_ready = new.is_ready, heard_at = now(),
                             started_at = coalesce(started_at, CASE WHEN new.has_begun THEN now() END),
                             finished_at = coalesce(
                                 finished_at, CASE WHEN new.state IN ('SUCCEEDED', 'FAILED') THEN now() END)
        FROM (VALUES %s) AS new (flow, position, has_begun, succeeded, state, is_ready)
        WHERE pipelines.flow = new.flow AND pipelines.position = new.position
        """,
        [
            (flow, pipeline.position, pipeline.has_begun, pipeline.succeeded, pipeline.state, pipeline.is_ready)
            for pipeline in pipelines
        ],
    )


def update_heard_at(tx: Transaction, flow: int, position: int) -> None:
    """Restart the timeout of a pipeline."""
    tx.run(
        "UPDATE pipelines SET heard_at = now() WHERE flow = %(flow)s AND position = %(position)s",
        flow=flow,
        position=position,
    )


def claim_lease(tx: Transaction, flow: int, position: int, lease_seconds: float) -> int | None:
    """Return the number of a new attempt, or None while another one holds the lease."""
    number: int | None = tx.value(
        """
        UPDATE pipelines SET attempt = attempt + 1, leased_until = now() + make_interval(secs => %(lease)s),
                             heard_at = now()
        WHERE flow = %(flow)s AND position = %(position)s AND (leased_until IS NULL OR leased_until <= now())
        RETURNING attempt
        """,
        flow=flow,
        position=position,
        lease=lease_seconds,
    )
    return number


_SILENT = """
    state IN ('QUEUED', 'INPROGRESS') AND succeeded IS NULL AND (has_begun OR is_ready)
    AND heard_at < now() - make_interval(secs => %(seconds)s)
"""


def list_flows_with_silent_pipelines(tx: Transaction, seconds: float, limit: int) -> list[int]:
    """Return the row IDs of flows with a pipeline that has begun or is ready, and received no update for too long."""
    rows = tx.rows(
        f"""
        SELECT DISTINCT flow FROM (
            SELECT flow FROM pipelines WHERE {_SILENT} ORDER BY heard_at LIMIT %(limit)s
        ) AS silent
        """,
        seconds=seconds,
        limit=limit,
    )
    return sorted(flow for (flow,) in rows)


def list_silent_positions(tx: Transaction, flow: int, seconds: float) -> list[int]:
    rows = tx.rows(
        f"SELECT position FROM pipelines WHERE flow = %(flow)s AND {_SILENT} ORDER BY position",
        flow=flow,
        seconds=seconds,
    )
    return [position for (position,) in rows]


_UNFINISHED = "FROM pipelines JOIN flows ON flows.id = pipelines.flow WHERE flows.finished_at IS NULL"


def list_unfinished(tx: Transaction, limit: int, offset: int) -> list[dict[str, Any]]:
    """Return the pipelines of all flows that have not ended, for an external runner."""
    return tx.all(
        f"""
        SELECT pipelines.name AS id, title, kind, target, flows.name AS flow_id, pipelines.state AS status,
               ARRAY(SELECT dependencies.name FROM pipelines AS dependencies
                     WHERE dependencies.flow = pipelines.flow AND dependencies.position = ANY (pipelines.needs)
                     ORDER BY dependencies.position) AS needs, flows.spec
        {_UNFINISHED} ORDER BY pipelines.flow, position LIMIT %(limit)s OFFSET %(offset)s
        """,
        limit=limit,
        offset=offset,
    )


def count_unfinished(tx: Transaction) -> int:
    return int(tx.value(f"SELECT count(*) {_UNFINISHED}"))
