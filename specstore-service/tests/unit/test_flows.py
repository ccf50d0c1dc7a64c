import pytest
from hypothesis import given
from hypothesis import strategies as st

from specstore_service.domain.flows import (
    FAILED,
    INPROGRESS,
    QUEUED,
    SUCCEEDED,
    Pipeline,
    dependency_errors,
    error_log,
    flow_state,
    merge_progress,
    resolve_states,
)

# A report, a CSV file, a ZIP file of both, a preview of the CSV file, and the package.
NEEDS = [(), (), (0, 1), (1,), (0, 1, 2, 3)]


def flow(reports):
    """Return the pipelines of a flow; the report of each is None, "started", or whether it has succeeded."""
    return resolve_states(
        [
            Pipeline(index, f"p{index}", needs, report is not None, report if isinstance(report, bool) else None)
            for index, (needs, report) in enumerate(zip(NEEDS, reports, strict=True))
        ]
    )


def states(reports):
    return [pipeline.state for pipeline in flow(reports)]


@pytest.mark.parametrize(
    ("reports", "state", "expected"),
    [
        ([None] * 5, QUEUED, [QUEUED] * 5),
        (["started", None, None, None, None], INPROGRESS, [INPROGRESS, *[QUEUED] * 4]),
        ([True] * 5, SUCCEEDED, [SUCCEEDED] * 5),
        ([True, True, True, True, None], INPROGRESS, [*[SUCCEEDED] * 4, QUEUED]),
        ([True, False, None, None, None], FAILED, [SUCCEEDED, FAILED, FAILED, FAILED, FAILED]),
        ([False, None, None, None, None], INPROGRESS, [FAILED, QUEUED, FAILED, QUEUED, FAILED]),
        ([True, True, True, True, False], FAILED, [*[SUCCEEDED] * 4, FAILED]),
        # Reports that arrive before those of the dependencies count once these have succeeded, and not if one fails.
        ([None, None, True, None, True], INPROGRESS, [QUEUED, QUEUED, INPROGRESS, QUEUED, INPROGRESS]),
        ([False, True, True, True, True], FAILED, [FAILED, SUCCEEDED, FAILED, SUCCEEDED, FAILED]),
    ],
)
def test_states_are_computed_from_reports_and_dependencies(reports, state, expected):
    assert states(reports) == expected
    assert flow_state(flow(reports)) == state


REPORTS = st.lists(st.sampled_from([None, "started", True, False]), min_size=5, max_size=5)
RANKS = {QUEUED: 0, INPROGRESS: 1, SUCCEEDED: 2, FAILED: 2}


@given(reports=REPORTS, index=st.integers(0, 4), report=st.sampled_from(["started", True, False]))
def test_further_updates_only_advance_states(reports, index, report):
    before = states(reports)
    if reports[index] in (True, False) or (reports[index] == "started" and report == "started"):
        return
    reports[index] = report
    after = states(reports)
    for old, new in zip(before, after, strict=True):
        assert old == new or RANKS[old] < RANKS[new]


@given(reports=st.lists(st.sampled_from([True, False]), min_size=5, max_size=5))
def test_flow_has_ended_when_all_pipelines_are_finished(reports):
    assert flow_state(flow(reports)) == (SUCCEEDED if all(reports) else FAILED)


def test_error_log_contains_the_first_failure_and_its_dependents():
    pipelines = flow([True, False, None, None, None])
    text = 'Dependency unsuccessful. Cannot run until dependency "p1" is successfully executed'
    assert [dependency_errors(pipelines, pipeline) for pipeline in pipelines] == [[], [], [text], [text], [text]]
    assert error_log(pipelines, {1: ["row 7: invalid year"]}) == ["row 7: invalid year", text]


def test_failure_of_the_last_pipeline_keeps_its_error():
    pipelines = flow([True, True, True, True, False])
    assert error_log(pipelines, {4: ["disk full"]}) == ["disk full"]


def test_dependency_error_names_the_original_failure():
    pipelines = flow([True, True, False, None, None])
    assert ['"p2"' in text for text in dependency_errors(pipelines, pipelines[4])] == [True]


@given(st.permutations([["a"], ["a", "b"], ["c"], [], ["a", "c"]]))
def test_merged_progress_is_independent_of_order(logs):
    merged = []
    for log in logs:
        merged = merge_progress(merged, log)
    assert merged == ["a", "c"]
