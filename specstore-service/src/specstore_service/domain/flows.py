"""The state of a flow as a function of what was heard of its pipelines: in whatever order, however often.

Of each pipeline counts whether it has begun and its first end. A pipeline has failed when it said so or when one that
it needs has; it has succeeded when it said so and all that it needs have. So states only move forward, and the order
in which updates arrive leaves no trace.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from chassis import strictjson

QUEUED, INPROGRESS, SUCCEEDED, FAILED = "QUEUED", "INPROGRESS", "SUCCEEDED", "FAILED"
ENDED = frozenset({SUCCEEDED, FAILED})
CANCELLED, TIMED_OUT = "cancelled", "timed out"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`succeeded` is what it said itself, None before its end; `is_ready` that all it needs have succeeded."""

    position: int
    id: str
    needs: tuple[int, ...]
    has_begun: bool = False
    succeeded: bool | None = None
    state: str = QUEUED
    is_ready: bool = False

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Pipeline":
        """Of a row that may have other columns, too."""
        values = {column.name: row[column.name] for column in fields(cls)}
        return cls(**{**values, "needs": tuple(row["needs"])})


@dataclass(frozen=True)
class Report:
    """What a pipeline said beside its state."""

    errors: list[str]
    log: list[str]
    stats: dict[str, Any]


def resolve_states(pipelines: Sequence[Pipeline]) -> list[Pipeline]:
    """Each with the state that follows from all of them; they stand after what they need."""
    done: list[Pipeline] = []
    for pipeline in pipelines:
        needed = [done[place].state for place in pipeline.needs]
        is_ready = all(state == SUCCEEDED for state in needed)
        done.append(replace(pipeline, state=_state(pipeline, needed, is_ready), is_ready=is_ready))
    return done


def _state(pipeline: Pipeline, needed: list[str], is_ready: bool) -> str:
    if pipeline.succeeded is False or FAILED in needed:
        return FAILED
    if pipeline.succeeded and is_ready:
        return SUCCEEDED
    return INPROGRESS if pipeline.has_begun or pipeline.succeeded else QUEUED


def flow_state(pipelines: Iterable[Pipeline]) -> str:
    """Of the flow that consists of these."""
    states = {pipeline.state for pipeline in pipelines}
    if states <= ENDED:
        return FAILED if FAILED in states else SUCCEEDED
    return QUEUED if states == {QUEUED} else INPROGRESS


def dependency_errors(pipelines: Sequence[Pipeline], pipeline: Pipeline) -> list[str]:
    """Why it could not run: those it needs that failed by themselves, or else those that failed at all."""
    failed = [pipelines[place] for place in pipeline.needs if pipelines[place].state == FAILED]
    causes = [it for it in failed if it.succeeded is False] or failed
    return [
        f'Dependency unsuccessful. Cannot run until dependency "{cause.id}" is successfully executed'
        for cause in causes
    ]


def error_log(pipelines: Sequence[Pipeline], errors: dict[int, list[str]]) -> list[str]:
    """Of the whole flow: what failed by itself comes first."""
    own = [text for pipeline in pipelines for text in errors.get(pipeline.position, [])]
    follow = [text for pipeline in pipelines for text in dependency_errors(pipelines, pipeline)]
    return list(dict.fromkeys([*own, *follow]))


def merge_progress(known: list[str] | dict[str, Any], told: list[str] | dict[str, Any]) -> Any:
    """Of what two progress reports said, one that does not depend on which came first: logs and figures grow."""
    return max(known, told, key=lambda it: (len(text := strictjson.dumps(it)), text))
