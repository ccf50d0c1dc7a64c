"""Distribution of tests to the processes of pytest-xdist."""

import re

from xdist.scheduler import LoadScopeScheduling

_IN_CONTAINERS = "stacks in containers"
_STACK = re.compile(r"[\[-](local|compose|replicas|standby|cluster)[\]-]")


class SharedServerScheduling(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no complete types
    """Runs tests that share servers in one process: those of a file, of deploy/local, and all on a stack.

    Stacks in containers of any kind share a process, because they share an engine: its address pools suffice for two of
    them, and containers lose the names of others when it leaves a swarm.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        if path.endswith("/journeys/test_swarm.py"):
            return _IN_CONTAINERS
        if ("/journeys/" in path or "/faults/" in path) and (stack := _STACK.search(nodeid)):
            return "local" if stack.group(1) == "local" else _IN_CONTAINERS
        if "deploy/local/tests/test_stack" in path:
            return "deploy/local/tests/test_stack"
        return path
