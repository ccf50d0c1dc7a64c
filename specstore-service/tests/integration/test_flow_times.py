"""When pipelines began and ended."""

from datetime import datetime

import pytest


def times(api, pipeline):
    status = api.get("ann/wines/latest").json["pipelines"][pipeline]
    return status["started"], status["finished"]


def test_pipeline_has_the_times_of_its_first_beginning_and_of_its_end(api):
    pipeline = f"{api.create_flow()}/reds_csv"
    assert times(api, pipeline) == (None, None)
    api.update(pipeline, "start")
    started, finished = times(api, pipeline)
    assert started.endswith("Z") and finished is None
    api.update(pipeline, "progress")
    api.finish(pipeline)
    assert times(api, pipeline)[0] == started
    assert datetime.fromisoformat(times(api, pipeline)[1]) >= datetime.fromisoformat(started)


@pytest.mark.parametrize("event", ["finish", "start"])
def test_repeated_update_keeps_the_times(api, event):
    pipeline = f"{api.create_flow()}/reds_csv"
    api.finish(pipeline)
    first = times(api, pipeline)
    api.update(pipeline, event, success=True)
    assert times(api, pipeline) == first and None not in first


def test_pipeline_whose_dependency_failed_has_ended_but_never_begun(api):
    flow = api.create_flow()
    api.finish(f"{flow}/reds_csv", success=False)
    started, finished = times(api, f"{flow}/reds_csv_preview")
    assert started is None and finished is not None
