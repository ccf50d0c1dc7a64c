"""Waiting for programs that outlive their supervisor, and killing them, without affecting other processes."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from quintet_local import orphans

SLEEP = "import time; print(flush=True); time.sleep(60)"


@pytest.fixture
def start_program(folder):
    """Start Python code that holds the lock, as the programs of a stack do."""
    started = []

    def start_program(code):
        command = ["flock", "--shared", "--no-fork", str(folder / "lock"), sys.executable, "-c", code]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)
        started.append(process)
        process.stdout.readline()
        return process

    yield start_program
    for process in started:
        process.kill()
        process.communicate()


def pids(folder):
    return {process.pid for process in orphans.lock_holders(folder / "lock")}


def test_returns_immediately_without_programs(folder, capsys):
    orphans.wait_for_end(folder / "lock")
    assert capsys.readouterr().err == ""


def test_waits_for_child_processes_of_an_ended_program(folder, start_program):
    program = start_program(
        "import os, sys\nif os.fork():\n    print(flush=True)\n    os._exit(0)\nsys.stdin.readline()"
    )
    program.wait()
    assert len(pids(folder)) == 1
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(orphans.wait_for_end, folder / "lock")
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.2)
        program.stdin.write(b"\n")
        program.stdin.flush()
        waiting.result()
    assert pids(folder) == set()


def test_program_that_does_not_end_is_killed_and_others_are_not(folder, start_program, monkeypatch, capsys):
    monkeypatch.setattr(orphans, "MAX_SHUTDOWN_SECONDS", 2)
    unresponsive = start_program(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{SLEEP}")
    other = subprocess.Popen([sys.executable, "-c", SLEEP], cwd=folder)
    assert pids(folder) == {unresponsive.pid}
    orphans.wait_for_end(folder / "lock")
    assert unresponsive.wait(60) == -9
    assert other.poll() is None
    other.kill()
    other.wait()
    assert "killing python" in capsys.readouterr().err
