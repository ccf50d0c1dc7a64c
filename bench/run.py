"""`make bench`: what a request costs, ours and that of others, in processor time by group of processes.

It writes bench/results.md, the raw rounds (bench/results.json) and a plot per table. README.md explains the method. It
takes 40 minutes and needs an otherwise idle machine; with --quick it takes four and only shows that it works.
"""

import argparse
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cases
import psutil
import serving
from draining import Drain
from growth import measure_growth
from imports import CASE as IMPORT
from imports import RAW_COPY, Importer, measure_imports
from measuring import Application, Credentials, Row, compare, idle_usage
from pipelines import measure_pipelines
from processes import Usage, groups_of
from production import measure_production
from reporting import Goal, Table
from serving import DJANGO, FASTAPI, FLASK, FLASK_NOOP, JETSTREAM, MESSAGE_DB, OPEN_NOOP, PUBLISHING, VALKEY, WSGI, Peer
from stored_data import COLD_CHART, StoredData
from wrk import Request

from quintet_local.testing import TestStack, running_stack

HERE = Path(__file__).resolve().parent
IDLE_SECONDS = 10
APPENDERS = (FLASK_NOOP, FASTAPI, PUBLISHING, FLASK, DJANGO, MESSAGE_DB, JETSTREAM, VALKEY)
ISSUE, CHART, APPEND, BATCH = "issue one number", "read a chart", "append one event", "append 100 events"
GOALS = (
    Goal(f"{ISSUE}, compared with FastAPI", 1.3, "numbers", ISSUE, FASTAPI.name),
    Goal(f"{CHART}, compared with FastAPI", 1.1, "charts", CHART, FASTAPI.name),
    Goal(f"{APPEND}, until drained, compared with FastAPI", 0.9, "append", APPEND, FASTAPI.name),
    Goal(f"{BATCH}, until drained, compared with {PUBLISHING.name}", 1.0, "batch", BATCH, PUBLISHING.name),
    Goal("import orders, compared with raw COPY", 0.4, "imports", IMPORT, RAW_COPY),
)
MAX_COLD_CHART_MS = 50


@dataclass(frozen=True)
class Extent:
    """How much is measured: number and length of rounds, rows of an import, and multiples of the stored data."""

    rounds: int = 5
    seconds: int = 2
    imported_rows: int = 1_000_000
    stored_sizes: tuple[int, ...] = (1, 100, 10_000)
    growth_sizes: tuple[int, ...] = (1, 10, 100)


QUICK = Extent(1, 1, 20_000, (1, 100), (1, 10))


@dataclass(frozen=True)
class Setup:
    """A new stack, and what its programs use while it is idle."""

    stack: TestStack
    ours: Application
    credentials: Credentials
    background: Usage
    folder: Path
    extent: Extent

    def importer(self) -> Importer:
        return Importer(self.stack, self.ours, self.credentials, self.background, self.folder / "orders.csv")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    extent = QUICK if parser.parse_args().quick else Extent()
    if not shutil.which("wrk"):
        sys.exit("bench: wrk is required; install it (Debian: apt-get install wrk) and run this command again")
    serving.install()
    tables: list[Table] = []
    with tempfile.TemporaryDirectory(prefix="quintet-bench-") as folder, cases.external_runner() as runner:
        # A new stack for each, so that the data of one does not slow down the next.
        for measure in (measure_requests, measure_stored_data, measure_growth_of_others):
            with running_stack(RATE_LIMITS="off", DPP_URL=runner) as stack:
                setup = set_up(stack, Path(folder), extent)
                for table in measure(setup):
                    tables.append(table)
                    # A run that fails later keeps this one.
                    write_report(tables, setup.background, extent)
    print((HERE / "results.md").read_text())


def set_up(stack: TestStack, folder: Path, extent: Extent) -> Setup:
    groups = groups_of(stack)
    ours = Application("Quintet", stack.url, groups, drain=Drain(stack, groups))
    credentials = Credentials(stack.user, stack.password)
    return Setup(stack, ours, credentials, idle_usage(groups, IDLE_SECONDS), folder, extent)


def measure_requests(setup: Setup) -> Iterator[Table]:
    stack, extent = setup.stack, setup.extent
    factory_paths = cases.create_factories(stack)
    status, upload = cases.upload_specs(stack)
    chart = Request(factory_paths)
    with serving.running_peers(stack, serving.ALL, setup.background) as peers:
        cacheable = [setup.ours.address, *(peers[peer].address for peer in (FLASK_NOOP, FASTAPI))]
        unchanged = cases.read_unchanged(cacheable, stack, factory_paths[0])

        def measure(case: str, request: Request, others: Sequence[Peer], *, ours: bool = True) -> list[Row]:
            print(f"  bench: {case}", flush=True)
            applications = [*([setup.ours] if ours else []), *(peers[peer] for peer in others)]
            return compare(case, request, applications, setup.credentials, extent.rounds, extent.seconds)

        yield Table(
            "plumbing",
            "What does a request cost before it does anything?",
            measure("respond with a constant", cases.ISSUE_ONE, [FLASK_NOOP, WSGI, OPEN_NOOP], ours=False),
            reference="Flask's no-op",
        )
        yield Table(
            "numbers",
            "What does it cost to issue numbers?",
            measure(ISSUE, cases.ISSUE_ONE, [FLASK_NOOP, FASTAPI, FLASK, DJANGO])
            + measure("issue 1000 numbers", cases.ISSUE_THOUSAND, [FLASK_NOOP, FASTAPI, DJANGO]),
        )
        yield Table("append", "What does it cost to append an event?", measure(APPEND, cases.APPEND_ONE, APPENDERS))
        yield Table("batch", "What does it cost to append 100 events?", measure(BATCH, cases.APPEND_HUNDRED, APPENDERS))
        yield Table(
            "charts",
            "What does it cost to read a chart of 20 points?",
            measure(CHART, chart, [FLASK_NOOP, FASTAPI, FLASK, DJANGO])
            + measure("read an unchanged chart (304)", unchanged, [FLASK_NOOP, FASTAPI]),
        )
        yield Table(
            "others",
            "What do other requests cost?",
            measure("read a page of 100 events", cases.READ_PAGE, [FLASK_NOOP])
            + measure("read the status of a flow", status, [FLASK_NOOP])
            + measure("upload a spec", upload, [FLASK_NOOP]),
        )
        yield measure_production(setup.ours, setup.credentials, extent.rounds)
        yield measure_imports(setup.importer(), extent.rounds, extent.imported_rows)
        yield measure_pipelines(setup.folder, extent.rounds)
        # Last, because Redis would return as another process.
        stack.stop("valkey")
        without_redis = measure("read a chart", chart, [FLASK_NOOP, FASTAPI])
        yield Table("without_redis", "What does it cost to read a chart while Redis is down?", without_redis)


def measure_stored_data(setup: Setup) -> Iterator[Table]:
    with serving.running_peers(setup.stack, [FASTAPI], setup.background) as peers:
        data = StoredData(setup.stack, setup.ours, peers[FASTAPI], setup.credentials, setup.importer())
        yield data.measure(setup.extent.stored_sizes, min(3, setup.extent.rounds), setup.extent.seconds)


def measure_growth_of_others(setup: Setup) -> Iterator[Table]:
    yield measure_growth(setup.stack, setup.ours, setup.folder, setup.extent.growth_sizes)


def _cold_chart_line(row: Row) -> str:
    milliseconds = row.median(lambda round_: round_.microseconds["Postgres"]) / 1000
    return (
        f"| Postgres for a cold chart, {row.application} the stored data | ≤ {MAX_COLD_CHART_MS} ms | "
        f"| {milliseconds:.1f} ms |"
    )


def write_report(tables: Sequence[Table], background: Usage, extent: Extent) -> None:
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    for table in tables:
        (folder / f"{table.name}.svg").write_text(table.svg())
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    idle = ", ".join(f"{group} {1000 * seconds:.0f}" for group, seconds in background.items())
    report = [
        "# Results of `make bench`",
        "",
        f"{when} UTC, {psutil.cpu_count()} processors ({platform.machine()}), Python {platform.python_version()}; the "
        f"load generator runs on them too. Median of {extent.rounds} rounds of {extent.seconds} s, minimum and maximum "
        "in parentheses. [README.md](README.md) explains the columns and what dominates each path; "
        "[results.json](results.json) has every round.",
        "",
        f"Compared with: {serving.versions()}.",
        "",
        f"While nothing is requested, the stack uses, in ms of processor time per second: {idle}.",
        "",
        "| goal | wanted | rate, ours ÷ theirs | processor time, theirs ÷ ours |",
        "|---|--:|--:|--:|",
        *(goal.line(tables) for goal in GOALS),
        *(_cold_chart_line(row) for table in tables for row in table.rows if row.case == COLD_CHART),
        "",
        *(line for table in tables for line in table.markdown()),
    ]
    (HERE / "results.md").write_text("\n".join(report).rstrip() + "\n")
    raw = {table.name: [row.as_json() for row in table.rows] for table in tables}
    (HERE / "results.json").write_text(json.dumps({"time": when, "tables": raw}, indent=1) + "\n")


if __name__ == "__main__":
    main()
