"""The clock of the harness steps while a program runs, and monotonic clocks and pauses stay as they are."""

import os
import shutil
import subprocess
import sys
import time

import pytest

from quintet_faults.clocks import COMPILER, Clocks

STEP_SECONDS = 3600
# Prints its clocks once per line of input, after a short pause.
PROGRAM = """
import datetime, sys, threading, time
for _ in sys.stdin:
    time.sleep(0.01)
    threading.Event().wait(0.01)
    print(time.time(), datetime.datetime.now().timestamp(), time.monotonic(), flush=True)
"""

pytestmark = [
    pytest.mark.fault,
    pytest.mark.skipif(not shutil.which(COMPILER), reason=f"no C compiler is installed: {COMPILER}"),
]


@pytest.fixture
def clocks(tmp_path):
    return Clocks(tmp_path, ["program", "other"])


@pytest.fixture
def read_clocks(clocks):
    environment = os.environ | clocks.environment("program")
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def read():
            process.stdin.write("\n")
            process.stdin.flush()
            return [float(text) for text in process.stdout.readline().split()]

        yield read
        process.stdin.close()


@pytest.mark.parametrize("seconds", [STEP_SECONDS, -STEP_SECONDS])
def test_clock_steps_and_returns_while_a_program_runs(clocks, read_clocks, seconds):
    def assert_offset(offset):
        *times, monotonic = read_clocks()
        assert times == pytest.approx([time.time() + offset] * 2, abs=5)
        assert monotonic == pytest.approx(time.monotonic(), abs=5)

    assert_offset(0)
    with clocks.stepped(seconds):
        assert_offset(seconds)
    with clocks.stepped(seconds, ["other"]):
        assert_offset(0)
    with clocks.stepped(seconds, ["program"]):
        assert_offset(seconds)
    assert_offset(0)
