"""The layout of flows as graphs."""

import re
from itertools import combinations

import pytest

from console_service.flow_graph import NODE_HEIGHT, NODE_WIDTH, layout


def flow_of(tables):
    """Return the dependencies of a flow as specstore-service plans it, for tables with these names."""
    csvs, jsons = ([f"{table}_{kind}" for table in tables] for kind in ("csv", "json"))
    needs = {id_: [] for id_ in ["report", *csvs, *jsons]}
    needs["zip"] = list(needs)
    needs |= {f"{csv}_preview": [csv] for csv in csvs} | {table: [] for table in tables}
    return {**needs, "package": list(needs)}


FLOWS = [
    {},
    {"package": []},
    flow_of([]),
    flow_of(["reds"]),
    flow_of(["reds", "whites", "roses"]),
    {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": ["d", "a"], "f": []},
]


@pytest.mark.parametrize("needs", FLOWS)
def test_nodes_do_not_overlap_and_lie_within_the_graph(needs):
    graph = layout(needs)
    assert [node.id for node in graph.nodes] == list(needs)
    for first, second in combinations(graph.nodes, 2):
        assert abs(first.x - second.x) > NODE_WIDTH or abs(first.y - second.y) > NODE_HEIGHT, (first, second)
    for node in graph.nodes:
        assert node.x >= 0 and node.x + NODE_WIDTH <= graph.width
        assert node.y >= 0 and node.y + NODE_HEIGHT <= graph.height


@pytest.mark.parametrize("needs", FLOWS)
def test_edges_lead_from_the_right_side_of_a_dependency_to_the_left_side_of_its_dependent(needs):
    graph = layout(needs)
    nodes = {node.id: node for node in graph.nodes}
    for edge in graph.edges:
        source, target = nodes[edge.source], nodes[edge.target]
        numbers = [float(number) for number in re.findall(r"-?[0-9.]+", edge.path)]
        assert numbers[:2] == pytest.approx([source.x + NODE_WIDTH, source.y + NODE_HEIGHT / 2], abs=0.01)
        assert numbers[-2:] == pytest.approx([target.x, target.y + NODE_HEIGHT / 2], abs=0.01)
        assert numbers[0] < numbers[-2]


def test_each_level_is_one_column_to_the_right_of_the_level_that_it_depends_on():
    columns = {node.id: node.x for node in layout(flow_of(["reds"])).nodes}
    first, second, third = sorted(set(columns.values()))
    assert {columns[id_] for id_ in ("report", "reds_csv", "reds_json")} == {first}
    # Nothing but the package depends on "reds".
    assert {columns[id_] for id_ in ("zip", "reds_csv_preview", "reds")} == {second}
    assert columns["package"] == third


def test_dependency_that_follows_from_others_is_not_drawn():
    edges = {(edge.source, edge.target) for edge in layout({"a": [], "b": ["a"], "c": ["a", "b"], "d": ["a"]}).edges}
    assert edges == {("a", "b"), ("b", "c"), ("a", "d")}


def test_every_dependency_is_reachable_along_the_edges():
    needs = flow_of(["reds", "whites"])
    edges = [(edge.source, edge.target) for edge in layout(needs).edges]
    reachable = {id_: {id_} for id_ in needs}
    for source, target in edges:  # in the order of the targets, so each source is complete
        reachable[target] |= reachable[source]
    assert all(set(dependencies) <= reachable[id_] for id_, dependencies in needs.items())
