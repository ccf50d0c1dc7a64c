"""Fetching the sources of a flow takes a limited time in total, so that no flow occupies a worker for days."""

import pytest


@pytest.fixture
def workers(workers, settings):
    workers.settings = settings.model_copy(update={"source_networks": "127.0.0.1/32", "source_seconds": 60})
    return workers


@pytest.fixture
def fetch_seconds(db):
    def fetch_seconds():
        with db.transaction() as tx:
            return tx.value("SELECT fetch_seconds FROM flows")

    return fetch_seconds


def status_of(api, pipeline):
    entry = api.get("ann/wines/1").json["pipelines"][pipeline]
    return entry["status"], entry["error_log"]


def test_duration_of_each_fetch_counts_toward_the_limit_of_the_flow(api, workers, server, db, fetch_seconds):
    urls = [server.serve(f"/limits/{number}.csv", b"a\n1\n") for number in range(3)]
    flow = api.create_flow(resources=[{"name": f"r{number}", "path": url} for number, url in enumerate(urls)])
    totals = [fetch_seconds()]
    for pipeline in (f"{flow}/r0_csv", f"{flow}/r0_json", f"{flow}/r1_csv"):
        workers.run(pipeline)
        totals.append(fetch_seconds())
        assert status_of(api, pipeline) == ("SUCCEEDED", [])
    # The JSON file is created from the data that was fetched for the csv file.
    assert 0 == totals[0] < totals[1] == totals[2] < totals[3]
    with db.transaction() as tx:
        tx.run("UPDATE flows SET fetch_seconds = 600")
    request_count = len(server.requests)
    workers.run(f"{flow}/r2_csv")
    message = "was not fetched: fetching all sources of a flow must take at most 600 s"
    assert status_of(api, f"{flow}/r2_csv") == ("FAILED", [f"r2: {urls[2]} {message}"])
    assert len(server.requests) == request_count
    # Data that was fetched before can still be used.
    workers.run(f"{flow}/r1_json")
    assert status_of(api, f"{flow}/r1_json") == ("SUCCEEDED", [])


def test_failed_fetch_counts_toward_the_limit(api, workers, server, fetch_seconds):
    flow = api.create_flow(resources=[{"name": "reds", "path": server.serve("/limits/none.csv", status=404)}])
    workers.run(f"{flow}/reds_csv")
    assert status_of(api, f"{flow}/reds_csv")[0] == "FAILED" and fetch_seconds() > 0


def test_uploaded_files_do_not_count_toward_the_limit(api, workers, put, db):
    put("reds.csv", b"a\n1\n")
    flow = api.create_flow(resources=[{"name": "reds", "path": "reds.csv"}])
    with db.transaction() as tx:
        tx.run("UPDATE flows SET fetch_seconds = 1e6")
    workers.run(f"{flow}/reds_csv")
    assert status_of(api, f"{flow}/reds_csv") == ("SUCCEEDED", [])
