"""No module computes a changing value at import, because a long run would use an outdated value."""

import ast
from collections.abc import Iterator

import pytest

from quintet_e2e.checkout import CHECKOUT, python_files

CHANGING_FUNCTIONS = {
    *(f"time.{name}{unit}" for name in ("time", "monotonic", "perf_counter", "process_time") for unit in ("", "_ns")),
    *(f"{kind}.{name}" for kind in ("datetime", "date") for name in ("now", "utcnow", "today")),
    *(f"uuid.uuid{version}" for version in (1, 4, 7)),
    *("time.gmtime", "time.localtime", "time.ctime", "os.getpid", "os.urandom", "postgres.free_port"),
}
CHANGING_MODULES = {"random", "secrets"}
# This module measures the time since the command started.
EXEMPT_FILES = {CHECKOUT / "deploy" / "local" / "quintet_local" / "progress.py"}


def code_run_at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes except bodies of functions: module and class level, decorators and default arguments."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            defaults = [*node.args.defaults, *(default for default in node.args.kw_defaults if default)]
            for part in [*defaults, *getattr(node, "decorator_list", [])]:
                yield part
                yield from code_run_at_import(part)
        else:
            yield node
            yield from code_run_at_import(node)


def imported_names(tree: ast.AST) -> dict[str, str]:
    """Return the full path of each imported name: `from time import time as clock` results in `clock: time.time`."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
    return names


def changing_calls(source: str) -> list[int]:
    """Return the numbers of the lines that compute a changing value at import."""
    tree = ast.parse(source)
    imported = imported_names(tree)
    lines = []
    for node in code_run_at_import(tree):
        if isinstance(node, ast.Call):
            first, *rest = ast.unparse(node.func).split(".")
            path = [*imported.get(first, first).split("."), *rest]
            if ".".join(path[-2:]) in CHANGING_FUNCTIONS or path[0] in CHANGING_MODULES:
                lines.append(node.lineno)
    return sorted(lines)


def test_no_module_computes_changing_values_at_import():
    own = [file for file in python_files(CHECKOUT) if not {".venv", ".venv-bench"} & {*file.parts}]
    files = [file for file in own if file not in EXEMPT_FILES]
    calls = {str(file.relative_to(CHECKOUT)): changing_calls(file.read_text(encoding="utf-8")) for file in files}
    assert {file: lines for file, lines in calls.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import time\nNOW = time.time()",
        "import time as clock\nNOW = int(clock.time()) + 600",
        "from time import monotonic as m\nBEGAN = m()",
        "import datetime\nNOW = datetime.datetime.now(datetime.UTC)",
        "from datetime import datetime, UTC\nclass A:\n    now = datetime.now(UTC)",
        "from datetime import date\ndef f(day=date.today()): ...",
        "from datetime import date\ndef f(*, day=date.today()): ...",
        "import time\nf = lambda now=time.time(): now",
        "import time, pytest\n@pytest.mark.parametrize('x', [{'exp': int(time.time()) - 1}])\ndef test(x): ...",
        "import uuid\nNAME = f'probe-{uuid.uuid4().hex}'",
        "from uuid import uuid4\nNAME = str(uuid4())",
        "from quintet_testing.postgres import free_port\nPORT = free_port()",
        "import secrets\nKEY = secrets.token_hex(8)",
        "from random import randint\nPORT = randint(1, 2)",
        "import os\nNAME = os.getpid()",
    ],
)
def test_changing_call_at_import_is_reported(source):
    assert changing_calls(source)


@pytest.mark.parametrize(
    "source",
    [
        "import time\ndef now():\n    return time.time()",
        "import time\nnow = time.time",
        "import time, pytest\n@pytest.mark.parametrize('x', [lambda: time.time() - 1])\ndef test(x): ...",
        "from datetime import date, datetime, UTC\nDAY, MOMENT = date(2026, 11, 22), datetime(2026, 1, 1, tzinfo=UTC)",
        "from time import sleep\nWAIT = sleep",
    ],
)
def test_call_after_import_is_not_reported(source):
    assert not changing_calls(source)
