"""`make test-faults`: inject faults under load, and print a table. Exit with 1 if anything was lost or too slow."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from quintet_e2e.compose import compose_stack
from quintet_e2e.stacks import RunningStack, local_stack
from quintet_faults import table
from quintet_faults.clocks import Clocks, clocks_for_compose
from quintet_faults.injection import faults_for, select
from quintet_faults.rounds import run_rounds


@contextmanager
def compose_stack_with_clocks() -> Iterator[tuple[RunningStack, Clocks | None]]:
    with tempfile.TemporaryDirectory(prefix="quintet-clocks-") as name:
        folder = Path(name)
        # Programs of other users read it.
        folder.chmod(0o755)
        clocks, override_files = clocks_for_compose(folder)
        with compose_stack(*override_files) as stack:
            yield stack, clocks


@contextmanager
def local_stack_without_clocks() -> Iterator[tuple[RunningStack, Clocks | None]]:
    with local_stack() as stack:
        yield stack, None


_STACKS = {"compose": compose_stack_with_clocks, "local": local_stack_without_clocks}


def main() -> int:
    arguments = _parse_arguments()
    # Remove the stack also if the run is ended, even in the background.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(1))
    print(f"SEED={arguments.seed}", flush=True)
    random = Random(arguments.seed)
    try:
        with _STACKS[arguments.stack]() as (stack, clocks):
            faults = select(faults_for(stack, clocks), arguments.faults.split(","))
            for fault in faults:
                if fault.skipped_because:
                    print(f"skipped: {fault.name}: {fault.skipped_because}")
            possible = [fault for fault in faults if not fault.skipped_because]
            rounds = [fault for _ in range(arguments.rounds) for fault in random.sample(possible, len(possible))]
            if not rounds:
                return 1
            # Streams never go back in time, so that no lag can be measured for an hour after a clock was ahead.
            rounds.sort(key=lambda fault: not fault.has_correct_clock)
            result = run_rounds(stack, rounds, random, lambda line: print(f"  {line}", flush=True))
    except pytest.skip.Exception as reason:
        print(f"the stack cannot run here: {reason}", file=sys.stderr)
        return 1
    print(table.render(result))
    failures = [violation.description for violation in result.all_violations] + table.slow_rows(result)
    print("\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make test-faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=time.time_ns(), help="repeat the faults of an earlier run")
    parser.add_argument("--rounds", type=int, default=1, help="how often each fault is injected")
    parser.add_argument("--faults", default="*", help="names or patterns such as kill-*, separated by commas")
    parser.add_argument("--stack", choices=sorted(_STACKS), default="compose")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
