"""Statements that recompute what must hold: a row that breaks it, or none."""

from typing import Any

from chassis.db import Transaction


def find_revision_gap(tx: Transaction) -> dict[str, Any] | None:
    return tx.find(
        """
        SELECT datasets.owner, datasets.name, datasets.revisions, count(flows.id) AS flows
        FROM datasets LEFT JOIN flows ON flows.dataset = datasets.id
        GROUP BY datasets.id
        HAVING (count(flows.id), min(flows.revision), max(flows.revision))
               IS DISTINCT FROM (datasets.revisions::bigint, 1, datasets.revisions)
        LIMIT 1
        """
    )


def find_inconsistent_flow(tx: Transaction) -> dict[str, Any] | None:
    """Of a flow whose state does not follow from those of its pipelines."""
    return tx.find(
        """
        SELECT flows.name, flows.state, found.state AS of_pipelines FROM flows JOIN (
            SELECT flow, CASE
                WHEN bool_and(state IN ('SUCCEEDED', 'FAILED'))
                    THEN CASE WHEN bool_or(state = 'FAILED') THEN 'FAILED' ELSE 'SUCCEEDED' END
                WHEN bool_and(state = 'QUEUED') THEN 'QUEUED' ELSE 'INPROGRESS' END AS state
            FROM pipelines GROUP BY flow
        ) AS found ON found.flow = flows.id
        WHERE found.state <> flows.state LIMIT 1
        """
    )


def find_inconsistent_pipeline(tx: Transaction) -> dict[str, Any] | None:
    """One whose state does not follow from what it said and what it needs."""
    return tx.find(
        """
        SELECT name, state FROM (
            SELECT it.name, it.state, it.is_ready, it.has_begun, it.succeeded,
                   coalesce(bool_and(needed.state = 'SUCCEEDED'), true) AS may_run,
                   coalesce(bool_or(needed.state = 'FAILED'), false) AS may_not
            FROM pipelines AS it LEFT JOIN pipelines AS needed
                 ON needed.flow = it.flow AND needed.position = ANY (it.needs)
            GROUP BY it.flow, it.position
        ) AS found
        WHERE is_ready <> may_run OR state <> CASE
            WHEN succeeded IS FALSE OR may_not THEN 'FAILED'
            WHEN succeeded AND may_run THEN 'SUCCEEDED'
            WHEN has_begun OR succeeded THEN 'INPROGRESS'
            ELSE 'QUEUED' END
        LIMIT 1
        """
    )


def find_inconsistent_end(tx: Transaction) -> dict[str, Any] | None:
    return tx.find(
        """
        SELECT name, state, finished_at FROM flows
        WHERE (state IN ('SUCCEEDED', 'FAILED')) <> (finished_at IS NOT NULL)
           OR NOT EXISTS (SELECT FROM pipelines WHERE flow = flows.id AND pipelines.name = flows.name)
        LIMIT 1
        """
    )


def find_miscounted_owner(tx: Transaction) -> dict[str, Any] | None:
    return tx.find(
        """
        SELECT owners.id, owners.datasets AS counted, count(datasets.id) AS datasets
        FROM owners LEFT JOIN datasets ON datasets.owner = owners.id
        GROUP BY owners.id HAVING count(datasets.id) <> owners.datasets LIMIT 1
        """
    )
