"""Processes that outlived their supervisor are found, and nobody else's is touched."""

import os
import subprocess
import sys

import psutil
import pytest

from quintet_local import processes
from quintet_local.processes import Record
from quintet_testing.waiting import eventually

WAITS = "import time; time.sleep(60)"


@pytest.fixture
def process(tmp_path):
    """A process that leads a group, as every program of a stack does, and works in the stack's folder."""
    with subprocess.Popen([sys.executable, "-c", WAITS], cwd=tmp_path, process_group=0) as started:
        yield started
        started.kill()


def test_a_recorded_process_is_found(tmp_path, process):
    processes.write_record(tmp_path, "mine", process.pid)
    (record,) = processes.read_records(tmp_path)
    assert [left.pid for left in processes.remaining(record, [tmp_path])] == [process.pid]
    assert processes.is_alive(record)


def test_a_number_that_went_to_another_process_is_not_hit(tmp_path, process):
    record = Record("mine", process.pid, started=1.0)
    assert processes.remaining(record, [tmp_path]) == []
    assert not processes.is_alive(record)


def test_a_record_cut_short_by_a_crash_is_passed_over(tmp_path):
    (tmp_path / "mine").write_text("12")
    assert processes.read_records(tmp_path) == []


def test_children_that_outlived_their_program_are_found_where_they_work(tmp_path):
    fork = f"import os, time\nif os.fork() == 0:\n    time.sleep(60)\n{WAITS}"
    with subprocess.Popen([sys.executable, "-c", fork], cwd=tmp_path, process_group=0) as leader:
        processes.write_record(tmp_path, "mine", leader.pid)
        (record,) = processes.read_records(tmp_path)
        eventually(lambda: len(processes.remaining(record, [tmp_path])) == 2)
        leader.kill()
    assert processes.remaining(record, [tmp_path / "elsewhere"]) == []
    (child,) = processes.remaining(record, [tmp_path])
    processes.stop([child])
    assert not processes.runs(child.pid)


def test_what_does_not_listen_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "STOP_SECONDS", 0.3)
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); {WAITS}"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE, process_group=0) as process:
        process.stdout.readline()
        stubborn = psutil.Process(process.pid)
        processes.stop([stubborn])
        assert not processes.runs(stubborn.pid)


def test_a_launched_program_keeps_its_number_and_ends_the_children_of_its_predecessor(tmp_path):
    records = tmp_path / "pids"
    records.mkdir()
    launch = [
        sys.executable,
        "-m",
        "quintet_local.launch",
        str(records),
        str(tmp_path / "run"),
        str(tmp_path),
        "mine",
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    fork = f"import os, time\nif os.fork() == 0:\n    time.sleep(60)\nprint(flush=True)\n{WAITS}"

    def launched(code):
        return subprocess.Popen(
            [*launch, sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment,
            process_group=0,
            stdout=subprocess.PIPE,
        )

    with launched(fork) as first:
        first.stdout.readline()
        (record,) = processes.read_records(records)
        assert record.pid == first.pid
        first.kill()
        first.wait()
        (orphan,) = processes.remaining(record, [tmp_path])
        with launched("print(flush=True)") as second:
            second.stdout.readline()
        assert not processes.runs(orphan.pid)
