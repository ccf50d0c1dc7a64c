"""Statements on flows, which are the revisions of a dataset."""

import re
from dataclasses import asdict
from datetime import datetime
from typing import Any

from chassis import strictjson
from chassis.db import Transaction
from specstore_service.domain.flows import FAILED, INPROGRESS, QUEUED, SUCCEEDED
from specstore_service.domain.plans import PlanEntry
from specstore_service.store.pipelines import STATE_COLUMNS

_COLUMNS = """
    flows.id, flows.name, flows.revision, flows.state, flows.findability, flows.is_external, flows.request_id,
    flows.finished_at, flows.event_ref::text AS event_ref
"""
# A flow is private while its dataset is, even if it was uploaded before.
_IS_PRIVATE = "'private' IN (datasets.findability, flows.findability)"
_WITH_DATASET = f"""
    SELECT {_COLUMNS}, {_IS_PRIVATE} AS is_private
    FROM flows JOIN datasets ON datasets.id = flows.dataset
"""


def insert_flow(tx: Transaction, plan: list[PlanEntry], **values: Any) -> dict[str, Any]:
    """Insert a flow and its pipelines, and return the flow.

    Other uploads of the dataset wait for its row lock. A single statement keeps that wait short.
    """
    return tx.one(
        f"""
        WITH flow AS (
            INSERT INTO flows (dataset, revision, name, spec, findability, state, is_external, due_at, request_id,
                               created_at, modified_at)
            VALUES (%(dataset)s, %(revision)s, %(name)s, %(spec)s, %(findability)s, 'QUEUED', %(is_external)s,
                    %(due_at)s, %(request_id)s, %(now)s, %(now)s)
            RETURNING {_COLUMNS}
        ), inserted AS (
            INSERT INTO pipelines (flow, position, name, title, kind, target, needs, is_ready)
            SELECT flow.id, position - 1, entry.id, title, kind, target, needs, cardinality(needs) = 0
            FROM flow, ROWS FROM (
                json_to_recordset(%(plan)s) AS (id text, title text, kind text, target text, needs integer[])
            ) WITH ORDINALITY AS entry (id, title, kind, target, needs, position)
        )
        SELECT id, name, event_ref, findability = 'private' AS is_private FROM flow
        """,
        plan=strictjson.dumps([asdict(entry) for entry in plan]),
        **values,
    )


def lock_flow_of_pipeline(tx: Transaction, pipeline: str) -> dict[str, Any] | None:
    """Return the flow of a pipeline. Every transaction that changes a flow or its pipelines holds this lock."""
    return tx.find(
        f"""
        {_WITH_DATASET} WHERE flows.id = (SELECT flow FROM pipelines WHERE name = %(pipeline)s) FOR UPDATE OF flows
        """,
        pipeline=pipeline,
    )


def lock_flow(tx: Transaction, row_id: int, *, skip_locked: bool = False) -> dict[str, Any] | None:
    wait_policy = "SKIP LOCKED" if skip_locked else ""
    return tx.find(f"{_WITH_DATASET} WHERE flows.id = %(id)s FOR UPDATE OF flows {wait_policy}", id=row_id)


def update_flow(tx: Transaction, row_id: int, state: str, *, has_ended: bool, now: datetime) -> None:
    tx.run(
        """
        UPDATE flows SET state = %(state)s, modified_at = %(now)s, finished_at = CASE WHEN %(ended)s THEN %(now)s END
        WHERE id = %(id)s
        """,
        id=row_id,
        state=state,
        ended=has_ended,
        now=now,
    )


_REVISION_NUMBER = re.compile("[1-9][0-9]{0,8}")
_REVISION_CONDITIONS = {
    "latest": "ORDER BY flows.revision DESC",
    "successful": "AND flows.state = 'SUCCEEDED' ORDER BY flows.revision DESC",
}


# A subquery, so that the pipelines are consistent with the row of the flow.
_PIPELINES = f"""
    (SELECT json_agg(pipeline ORDER BY position)::text FROM (
        SELECT {STATE_COLUMNS}, title, kind, started_at, finished_at, errors::json, log::json, stats::json
        FROM pipelines WHERE flow = flows.id
    ) AS pipeline)
"""


def find_flow(
    tx: Transaction, owner: str, dataset: str, revision: str, *, is_owner: bool, with_pipelines: bool = False
) -> dict[str, Any] | None:
    """Return a revision by its number, `latest` or `successful`; None if it does not exist or is hidden.

    The column `pipelines` is JSON if `with_pipelines` is set, otherwise null.
    """
    if revision not in _REVISION_CONDITIONS and not _REVISION_NUMBER.fullmatch(revision):
        return None
    condition = _REVISION_CONDITIONS.get(revision, "AND flows.revision = %(revision)s")
    return tx.find(
        f"""
        SELECT {_COLUMNS}, {_IS_PRIVATE} AS is_private, flows.spec, flows.modified_at, datasets.name AS dataset,
               {_PIPELINES if with_pipelines else "NULL"} AS pipelines
        FROM flows JOIN datasets ON datasets.id = flows.dataset
        WHERE datasets.owner = %(owner)s AND datasets.name = %(dataset)s
          AND (%(is_owner)s OR NOT {_IS_PRIVATE})
        {condition} LIMIT 1
        """,
        owner=owner,
        dataset=dataset,
        is_owner=is_owner,
        revision=None if revision in _REVISION_CONDITIONS else int(revision),
    )


_OF_DATASET = f"""
    FROM flows JOIN datasets ON datasets.id = flows.dataset
    WHERE datasets.owner = %(owner)s AND datasets.name = %(dataset)s
      AND (%(is_owner)s OR NOT {_IS_PRIVATE})
"""


def list_flows(
    tx: Transaction, owner: str, dataset: str, *, is_owner: bool, limit: int, offset: int
) -> list[dict[str, Any]]:
    return tx.all(
        f"""
        SELECT flows.name AS id, flows.revision, flows.state, flows.created_at, flows.modified_at {_OF_DATASET}
        ORDER BY flows.revision DESC LIMIT %(limit)s OFFSET %(offset)s
        """,
        owner=owner,
        dataset=dataset,
        is_owner=is_owner,
        limit=limit,
        offset=offset,
    )


def count_flows(tx: Transaction, owner: str, dataset: str, *, is_owner: bool) -> int:
    return int(tx.value(f"SELECT count(*) {_OF_DATASET}", owner=owner, dataset=dataset, is_owner=is_owner))


def count_flows_by_state(tx: Transaction) -> dict[str, int]:
    states = dict.fromkeys((QUEUED, INPROGRESS, SUCCEEDED, FAILED), 0)
    return states | dict(tx.rows("SELECT state, count(*) FROM flows GROUP BY state"))
