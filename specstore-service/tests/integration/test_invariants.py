import pytest

INSERT_RESULT = """
    INSERT INTO results (flow, path, position, object, bytes, hash, content_type)
    SELECT flow, name, position, name, 1, {}, '' FROM pipelines
"""


@pytest.fixture
def broken_checks_after(api, db):
    """Change the tables directly and return the names of the checks that report it."""

    def broken_checks_after(sql):
        api.create_flow(dataset="beers")
        flow = api.create_flow()
        api.finish(f"{flow}/reds_csv")
        with db.transaction() as tx:
            assert tx.run(sql)
        checks = api.client.get("/invariants").json["checks"]
        with db.transaction() as tx:
            for table in ("results", "pipelines", "flows", "datasets", "owners"):
                tx.run(f"DELETE FROM {table}")
        return [check["name"] for check in checks if check["status"] == "BROKEN"]

    return broken_checks_after


@pytest.mark.parametrize(
    ("sql", "check"),
    [
        ("UPDATE datasets SET revisions = 2 WHERE name = 'wines'", "revisions"),
        ("UPDATE flows SET revision = 2, name = 'x' WHERE name = 'ann/wines/1'", "revisions"),
        ("UPDATE flows SET state = 'QUEUED' WHERE name = 'ann/wines/1'", "a flow's state"),
        ("UPDATE flows SET state = 'FAILED', finished_at = now() WHERE name = 'ann/wines/1'", "a flow's state"),
        ("UPDATE pipelines SET state = 'SUCCEEDED' WHERE name = 'ann/wines/1/reds'", "a pipeline's state"),
        ("UPDATE pipelines SET is_ready = false WHERE name = 'ann/wines/1/reds'", "a pipeline's state"),
        ("UPDATE pipelines SET is_ready = true WHERE name = 'ann/wines/1'", "a pipeline's state"),
        ("DELETE FROM pipelines WHERE name = 'ann/wines/1'", "a flow that has ended"),
        (INSERT_RESULT.format("'x'"), "a file"),
        (INSERT_RESULT.format("'x'") + " WHERE position = 1", "a file"),
        ("UPDATE owners SET datasets = 3", "an owner's datasets"),
    ],
)
def test_violated_invariant_is_reported(broken_checks_after, sql, check):
    broken_checks = broken_checks_after(sql)
    assert any(check in name for name in broken_checks), broken_checks
