"""Statements that recompute the invariants. Each returns a row that violates one, or None."""

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
    """Return a flow whose state does not follow from those of its pipelines."""
    return tx.find(
        """
        SELECT flows.name, flows.state, expected.state AS expected_state FROM flows JOIN (
            SELECT flow, CASE
                WHEN bool_and(state IN ('SUCCEEDED', 'FAILED'))
                    THEN CASE WHEN bool_or(state = 'FAILED') THEN 'FAILED' ELSE 'SUCCEEDED' END
                WHEN bool_and(state = 'QUEUED') THEN 'QUEUED' ELSE 'INPROGRESS' END AS state
            FROM pipelines GROUP BY flow
        ) AS expected ON expected.flow = flows.id
        WHERE expected.state <> flows.state LIMIT 1
        """
    )


def find_inconsistent_pipeline(tx: Transaction) -> dict[str, Any] | None:
    """Return a pipeline whose state does not follow from its updates and its dependencies."""
    return tx.find(
        """
        SELECT name, state FROM (
            SELECT pipelines.name, pipelines.state, pipelines.is_ready, pipelines.has_begun, pipelines.succeeded,
                   coalesce(bool_and(dependencies.state = 'SUCCEEDED'), true) AS can_run,
                   coalesce(bool_or(dependencies.state = 'FAILED'), false) AS is_blocked
            FROM pipelines LEFT JOIN pipelines AS dependencies
                 ON dependencies.flow = pipelines.flow AND dependencies.position = ANY (pipelines.needs)
            GROUP BY pipelines.flow, pipelines.position
        ) AS expected
        WHERE is_ready <> can_run OR state <> CASE
            WHEN succeeded IS FALSE OR is_blocked THEN 'FAILED'
            WHEN succeeded AND can_run THEN 'SUCCEEDED'
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


# linear
def find_inconsistent_result(tx: Transaction) -> dict[str, Any] | None:
    """Return a file that no pipeline reported at its end, with this path and hash."""
    return tx.find(
        """
        SELECT pipelines.name, results.path, results.hash
        FROM results LEFT JOIN pipelines ON pipelines.flow = results.flow AND pipelines.position = results.position
        WHERE pipelines.succeeded IS NULL
           OR (pipelines.stats::json ->> 'path', pipelines.stats::json ->> 'hash')
              IS DISTINCT FROM (results.path, results.hash)
        LIMIT 1
        """
    )
