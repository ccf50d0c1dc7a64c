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

# A report, a csv, a zip of both, a preview of the csv, the package.
NEEDS = [(), (), (0, 1), (1,), (0, 1, 2, 3)]


def flow(said):
    """`said` has, for each pipeline, None (nothing), "begun", True or False."""
    return resolve_states(
        [
            Pipeline(place, f"p{place}", needs, word is not None, word if isinstance(word, bool) else None)
            for place, (needs, word) in enumerate(zip(NEEDS, said, strict=True))
        ]
    )


def states(said):
    return [it.state for it in flow(said)]


@pytest.mark.parametrize(
    ("said", "state", "expected"),
    [
        ([None] * 5, QUEUED, [QUEUED] * 5),
        (["begun", None, None, None, None], INPROGRESS, [INPROGRESS, *[QUEUED] * 4]),
        ([True] * 5, SUCCEEDED, [SUCCEEDED] * 5),
        ([True, True, True, True, None], INPROGRESS, [*[SUCCEEDED] * 4, QUEUED]),
        ([True, False, None, None, None], FAILED, [SUCCEEDED, FAILED, FAILED, FAILED, FAILED]),
        ([False, None, None, None, None], INPROGRESS, [FAILED, QUEUED, FAILED, QUEUED, FAILED]),
        ([True, True, True, True, False], FAILED, [*[SUCCEEDED] * 4, FAILED]),
        # Told before what it needs: it counts when that is told, and not if that fails.
        ([None, None, True, None, True], INPROGRESS, [QUEUED, QUEUED, INPROGRESS, QUEUED, INPROGRESS]),
        ([False, True, True, True, True], FAILED, [FAILED, SUCCEEDED, FAILED, SUCCEEDED, FAILED]),
    ],
)
def test_states_follow_from_reported_updates(said, state, expected):
    assert states(said) == expected
    assert flow_state(flow(said)) == state


SAID = st.lists(st.sampled_from([None, "begun", True, False]), min_size=5, max_size=5)
_ORDER = {QUEUED: 0, INPROGRESS: 1, SUCCEEDED: 2, FAILED: 2}


@given(said=SAID, place=st.integers(0, 4), word=st.sampled_from(["begun", True, False]))
def test_further_updates_only_advance_states(said, place, word):
    before = states(said)
    if said[place] in (True, False) or (said[place] == "begun" and word == "begun"):
        return
    said[place] = word
    after = states(said)
    for old, new in zip(before, after, strict=True):
        assert old == new or _ORDER[old] < _ORDER[new]


@given(said=st.lists(st.sampled_from([True, False]), min_size=5, max_size=5))
def test_flow_has_ended_when_all_pipelines_are_finished(said):
    assert flow_state(flow(said)) == (SUCCEEDED if all(said) else FAILED)


def test_error_log_contains_the_first_failure_and_its_dependents():
    all_ = flow([True, False, None, None, None])
    text = 'Dependency unsuccessful. Cannot run until dependency "p1" is successfully executed'
    assert [dependency_errors(all_, it) for it in all_] == [[], [], [text], [text], [text]]
    assert error_log(all_, {1: ["row 7: year: no number"]}) == ["row 7: year: no number", text]


def test_failure_of_the_last_pipeline_keeps_its_error():
    all_ = flow([True, True, True, True, False])
    assert error_log(all_, {4: ["disk full"]}) == ["disk full"]


def test_dependency_error_names_the_original_failure():
    all_ = flow([True, True, False, None, None])
    assert ['"p2"' in text for text in dependency_errors(all_, all_[4])] == [True]


@given(st.permutations([["a"], ["a", "b"], ["c"], [], ["a", "c"]]))
def test_merged_progress_is_independent_of_order(logs):
    kept = []
    for log in logs:
        kept = merge_progress(kept, log)
    assert kept == ["a", "c"]
