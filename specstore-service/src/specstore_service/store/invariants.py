"""The invariants of the service, as SQL statements that return a row that violates one."""

from chassis.db.invariants import Invariant, Stepwise, ranges, sweep

# Flows are verified in the order of their IDs. A flow that has not ended may still change, and another transaction may
# insert one with a lower ID than those that are visible, but no transaction takes ten minutes.
_FLOWS = """
    SELECT 0::bigint AS unit, 1 AS first, last, least(unfinished - 1, settled) AS settled FROM (
        SELECT (SELECT coalesce(max(id), 0) FROM flows) AS last,
               (SELECT min(id) FROM flows WHERE finished_at IS NULL) AS unfinished,
               (SELECT coalesce(max(id), 0) FROM flows WHERE created_at < now() - interval '10 minutes') AS settled
    ) AS flow_ids
"""
_DATASETS = "SELECT id AS unit, 1 AS first, revisions::bigint AS last, revisions AS settled FROM datasets"

INVARIANTS: dict[str, Invariant | Stepwise] = {
    "the revisions of a dataset are numbered without gaps": ranges(
        "revisions",
        _DATASETS,
        """
        SELECT datasets.owner, datasets.name, datasets.revisions, after, upto, stored.count
        FROM ranges JOIN datasets ON datasets.id = unit CROSS JOIN LATERAL (
            SELECT count(*) FROM flows WHERE dataset = unit AND revision > after AND revision <= upto
        ) AS stored
        WHERE stored.count <> upto - after
           OR EXISTS (SELECT FROM flows WHERE dataset = unit AND revision > last)
           OR EXISTS (SELECT FROM flows WHERE dataset = unit AND revision < first)
        """,
    ),
    "a flow's state follows from its pipelines": ranges(
        "flow states",
        _FLOWS,
        """
        SELECT flows.name, flows.state, expected.state AS expected_state
        FROM ranges CROSS JOIN LATERAL (
            SELECT id, name, state FROM flows WHERE id > after AND id <= upto OFFSET 0
        ) AS flows CROSS JOIN LATERAL (
            SELECT CASE
                WHEN bool_and(state IN ('SUCCEEDED', 'FAILED'))
                    THEN CASE WHEN bool_or(state = 'FAILED') THEN 'FAILED' ELSE 'SUCCEEDED' END
                WHEN bool_and(state = 'QUEUED') THEN 'QUEUED' ELSE 'INPROGRESS' END AS state
            FROM pipelines WHERE flow = flows.id HAVING count(*) > 0
        ) AS expected
        WHERE expected.state <> flows.state
        """,
        weight=10,
    ),
    "a pipeline's state follows from its updates and dependencies": ranges(
        "pipeline states",
        _FLOWS,
        """
        SELECT name, state FROM ranges CROSS JOIN LATERAL (
            SELECT pipelines.name, pipelines.state, pipelines.is_ready, pipelines.has_begun, pipelines.succeeded,
                   coalesce(bool_and(dependencies.state = 'SUCCEEDED'), true) AS can_run,
                   coalesce(bool_or(dependencies.state = 'FAILED'), false) AS is_blocked
            FROM pipelines LEFT JOIN pipelines AS dependencies
                 ON dependencies.flow = pipelines.flow AND dependencies.position = ANY (pipelines.needs)
            WHERE pipelines.flow > after AND pipelines.flow <= upto
            GROUP BY pipelines.flow, pipelines.position
        ) AS expected
        WHERE is_ready <> can_run OR state <> CASE
            WHEN succeeded IS FALSE OR is_blocked THEN 'FAILED'
            WHEN succeeded AND can_run THEN 'SUCCEEDED'
            WHEN has_begun OR succeeded THEN 'INPROGRESS'
            ELSE 'QUEUED' END
        """,
        weight=20,
    ),
    "a flow that has ended has an end time, and every flow has a package": ranges(
        "flow ends",
        _FLOWS,
        """
        SELECT flows.name, flows.state, flows.finished_at
        FROM ranges CROSS JOIN LATERAL (
            SELECT id, name, state, finished_at FROM flows WHERE id > after AND id <= upto OFFSET 0
        ) AS flows
        WHERE (flows.state IN ('SUCCEEDED', 'FAILED')) <> (flows.finished_at IS NOT NULL)
           OR NOT EXISTS (SELECT FROM pipelines WHERE flow = flows.id AND pipelines.name = flows.name)
        """,
        weight=10,
    ),
    # Files are stored in the transaction that ends their pipeline, and neither changes afterwards.
    "a file is the one that its pipeline reported at its end": ranges(
        "files",
        _FLOWS,
        """
        SELECT pipelines.name, results.path, results.hash
        FROM ranges CROSS JOIN LATERAL (
            SELECT flow, position, path, hash FROM results WHERE flow > after AND flow <= upto OFFSET 0
        ) AS results LEFT JOIN LATERAL (
            SELECT name, succeeded, stats FROM pipelines
            WHERE pipelines.flow = results.flow AND pipelines.position = results.position OFFSET 0
        ) AS pipelines ON true
        WHERE pipelines.succeeded IS NULL
           OR (pipelines.stats::json ->> 'path', pipelines.stats::json ->> 'hash')
              IS DISTINCT FROM (results.path, results.hash)
        """,
        weight=20,
    ),
    "an owner's datasets equal the stored number": sweep(
        "SELECT id, datasets AS counted FROM owners",
        key=["id"],
        start=[""],
        find="""
        SELECT page.id, counted, stored.count AS datasets
        FROM page CROSS JOIN LATERAL (SELECT count(*) FROM datasets WHERE owner = page.id) AS stored
        WHERE stored.count <> counted
        """,
    ),
}
