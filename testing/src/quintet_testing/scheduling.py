"""Distribution of tests to the processes of pytest-xdist."""

import re

from xdist.scheduler import LoadScopeScheduling

_STACK = re.compile(r"[\[-](local|compose|replicas|standby|cluster)[\]-]")


class SharedServerScheduling(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no complete types
    """Runs tests that share servers in one process: those of a file, of deploy/local, and all on a stack."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        if ("/journeys/" in path or "/faults/" in path) and (stack := _STACK.search(nodeid)):
            return stack.group(1)
        if "deploy/local/tests/test_stack" in path:
            return "deploy/local/tests/test_stack"
        return path
