"""Programs that outlived their supervisor are waited for or killed, and nobody else's are touched."""

import subprocess
import sys

import pytest

from quintet_local import orphans

WAITS = "import time; print(flush=True); time.sleep(60)"


@pytest.fixture
def run(folder):
    """Start Python code that has the lock, as the programs of a stack have it."""
    started = []

    def run(code, *words):
        command = ["flock", "--shared", "--no-fork", str(folder / "lock"), *words, sys.executable, "-c", code]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, process_group=0)
        started.append(process)
        process.stdout.readline()
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def pids(folder):
    return {process.pid for process in orphans.holders(folder / "lock")}


def test_without_programs_nothing_is_waited_for(folder, capsys):
    orphans.wait_for_end(folder / "lock")
    assert capsys.readouterr().err == ""


def test_the_end_of_a_program_and_of_what_it_started_is_waited_for(folder, run):
    program = run("import os, time\nif os.fork():\n    print(flush=True)\n    os._exit(0)\ntime.sleep(0.5)")
    program.wait()
    assert len(pids(folder)) == 1
    orphans.wait_for_end(folder / "lock")
    assert pids(folder) == set()


def test_a_program_that_does_not_end_is_killed(folder, run, monkeypatch, capsys):
    monkeypatch.setattr(orphans, "ENDS_WITHIN_SECONDS", 0.3)
    deaf = run(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{WAITS}")
    other = subprocess.Popen([sys.executable, "-c", WAITS], cwd=folder)
    assert pids(folder) == {deaf.pid}
    orphans.wait_for_end(folder / "lock")
    assert deaf.wait(10) == -9
    assert other.poll() is None
    other.kill()
    other.wait()
    assert "killing what is left: python" in capsys.readouterr().err
