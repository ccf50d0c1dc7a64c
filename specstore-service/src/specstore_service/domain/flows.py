"""The state of a flow, computed from the updates of its pipelines, in any order and with any repetitions.

Two facts of each pipeline count: whether it has begun, and how it first ended. A pipeline is FAILED if it reported a
failure or if one of its dependencies is FAILED, and SUCCEEDED if it reported success and all of its dependencies are
SUCCEEDED. States therefore only move forward, and the order in which updates arrive does not affect the result.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from chassis import strictjson

QUEUED, INPROGRESS, SUCCEEDED, FAILED = "QUEUED", "INPROGRESS", "SUCCEEDED", "FAILED"
ENDED = frozenset({SUCCEEDED, FAILED})
CANCELLED, TIMED_OUT = "cancelled", "timed out"

Progress = TypeVar("Progress", list[str], dict[str, Any])


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline and its state.

    `needs` are the positions of its dependencies. `succeeded` is the outcome that the pipeline itself reported, None
    before its end. `is_ready` states that all dependencies have succeeded.
    """

    position: int
    id: str
    needs: tuple[int, ...]
    has_begun: bool = False
    succeeded: bool | None = None
    state: str = QUEUED
    is_ready: bool = False

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Pipeline":
        """Return the pipeline of a row, which may have further columns."""
        values = {column.name: row[column.name] for column in fields(cls)}
        return cls(**{**values, "needs": tuple(row["needs"])})


@dataclass(frozen=True)
class Report:
    """The details that a pipeline reported in addition to its state."""

    errors: list[str]
    log: list[str]
    stats: dict[str, Any]


def resolve_states(pipelines: Sequence[Pipeline]) -> list[Pipeline]:
    """Return each pipeline with the state that follows from all of them. Dependencies must precede their dependents."""
    resolved: list[Pipeline] = []
    for pipeline in pipelines:
        dependency_states = [resolved[position].state for position in pipeline.needs]
        is_ready = all(state == SUCCEEDED for state in dependency_states)
        resolved.append(replace(pipeline, state=_state(pipeline, dependency_states, is_ready), is_ready=is_ready))
    return resolved


def _state(pipeline: Pipeline, dependency_states: list[str], is_ready: bool) -> str:
    if pipeline.succeeded is False or FAILED in dependency_states:
        return FAILED
    if pipeline.succeeded and is_ready:
        return SUCCEEDED
    return INPROGRESS if pipeline.has_begun or pipeline.succeeded else QUEUED


def flow_state(pipelines: Iterable[Pipeline]) -> str:
    states = {pipeline.state for pipeline in pipelines}
    if states <= ENDED:
        return FAILED if FAILED in states else SUCCEEDED
    return QUEUED if states == {QUEUED} else INPROGRESS


def dependency_errors(pipelines: Sequence[Pipeline], pipeline: Pipeline) -> list[str]:
    """Return an error for each failed dependency.

    Dependencies that failed by themselves take precedence over those that failed because of another one.
    """
    failed = [pipelines[position] for position in pipeline.needs if pipelines[position].state == FAILED]
    causes = [dependency for dependency in failed if dependency.succeeded is False] or failed
    return [
        f'Dependency unsuccessful. Cannot run until dependency "{cause.id}" is successfully executed'
        for cause in causes
    ]


def error_log(pipelines: Sequence[Pipeline], errors: dict[int, list[str]]) -> list[str]:
    """Return the errors of the flow: first those that pipelines reported, then those of their dependents."""
    reported = [text for pipeline in pipelines for text in errors.get(pipeline.position, [])]
    derived = [text for pipeline in pipelines for text in dependency_errors(pipelines, pipeline)]
    return list(dict.fromkeys([*reported, *derived]))


def merge_progress(first: Progress, second: Progress) -> Progress:
    """Return one of two progress reports, independently of their order: the larger one, since logs and stats grow."""
    return max(first, second, key=lambda progress: (len(text := strictjson.dumps(progress)), text))
