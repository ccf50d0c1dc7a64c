"""Layout of a flow as a graph: its pipelines in levels from left to right, connected by their dependencies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NODE_WIDTH, NODE_HEIGHT = 232, 60
_COLUMN_WIDTH, _ROW_HEIGHT, _MARGIN = NODE_WIDTH + 56, NODE_HEIGHT + 14, 4


@dataclass(frozen=True)
class Node:
    """A pipeline, whose upper left corner is at (x, y)."""

    id: str
    x: float
    y: float


@dataclass(frozen=True)
class Edge:
    """A dependency, as the path of an SVG from the right side of one node to the left side of another."""

    source: str
    target: str
    path: str


@dataclass(frozen=True)
class Graph:
    nodes: list[Node]
    edges: list[Edge]
    width: float
    height: float


def layout(needs: Mapping[str, Sequence[str]]) -> Graph:
    """Return the graph of pipelines with their dependencies, which must precede their dependents.

    1. The level of a pipeline follows those of all its dependencies. One without dependencies is at the level before
       its first dependent, so that the edge between them does not pass other pipelines.
    2. A dependency that follows from others is not drawn, because the last pipelines depend on all earlier ones.
    3. Within its level, a pipeline is as close as possible to the mean row of the dependencies that are drawn.
    """
    drawn = _without_indirect(needs)
    levels = _levels(needs, drawn)
    rows = _rows(levels, drawn)
    nodes = {id_: Node(id_, _MARGIN + levels[id_] * _COLUMN_WIDTH, _MARGIN + rows[id_] * _ROW_HEIGHT) for id_ in needs}
    edges = [Edge(source, target, _path(nodes[source], nodes[target])) for target in needs for source in drawn[target]]
    width = max((node.x for node in nodes.values()), default=0) + NODE_WIDTH + _MARGIN
    height = max((node.y for node in nodes.values()), default=0) + NODE_HEIGHT + _MARGIN
    return Graph(list(nodes.values()), edges, width, height)


def _levels(needs: Mapping[str, Sequence[str]], drawn: Mapping[str, Sequence[str]]) -> dict[str, int]:
    levels: dict[str, int] = {}
    for id_, dependencies in needs.items():
        levels[id_] = 1 + max((levels[dependency] for dependency in dependencies), default=-1)
    for id_, dependencies in needs.items():
        dependents = [levels[other] for other in needs if id_ in drawn[other]]
        if dependents and not dependencies:
            levels[id_] = min(dependents) - 1
    return levels


def _without_indirect(needs: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the dependencies of each pipeline except those that another of its dependencies has too."""
    ancestors: dict[str, set[str]] = {}
    direct = {}
    for id_, dependencies in needs.items():
        indirect = set().union(*(ancestors[dependency] for dependency in dependencies))
        ancestors[id_] = indirect | set(dependencies)
        direct[id_] = [dependency for dependency in dependencies if dependency not in indirect]
    return direct


def _rows(levels: Mapping[str, int], drawn: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Return the row of each pipeline; rows of the same level differ by 1 or more."""
    rows: dict[str, float] = {}

    def mean_row(id_: str) -> float:
        return sum(rows[dependency] for dependency in drawn[id_]) / len(drawn[id_]) if drawn[id_] else 0

    for level in range(max(levels.values(), default=-1) + 1):
        next_row = 0.0
        for id_ in sorted((id_ for id_ in levels if levels[id_] == level), key=mean_row):
            rows[id_] = max(next_row, mean_row(id_))
            next_row = rows[id_] + 1
    return rows


def _path(source: Node, target: Node) -> str:
    """Return a curve that leaves and enters the nodes horizontally."""
    start_x, start_y = source.x + NODE_WIDTH, source.y + NODE_HEIGHT / 2
    end_x, end_y = target.x, target.y + NODE_HEIGHT / 2
    middle_x = (start_x + end_x) / 2
    return f"M{start_x:g} {start_y:g} C{middle_x:g} {start_y:g} {middle_x:g} {end_y:g} {end_x:g} {end_y:g}"
