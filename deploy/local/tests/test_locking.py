"""The lock of a stack, including when its holder removes the folder that contains it."""

import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from quintet_local import locking
from quintet_local.layout import CHECKOUT, Layout
from quintet_local.stack import Stack

ACQUIRE_LOCK = """
import sys
from pathlib import Path
from quintet_local import locking

with locking.exclusive_lock(Path(sys.argv[1])):
    print("acquired")
"""


def start_other_command(folder):
    return subprocess.Popen(
        [sys.executable, "-c", ACQUIRE_LOCK, str(folder)],
        cwd=CHECKOUT / "deploy" / "local",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_waiting_command_reports_it_and_continues_after_folder_was_removed(folder):
    home = folder / "stack"
    with locking.exclusive_lock(home):
        other = start_other_command(home)
        assert "another command is changing this stack: waiting until it ends" in other.stderr.readline()
        shutil.rmtree(home)
    assert other.communicate() == ("acquired\n", "")
    assert home.exists()


def test_lock_is_exclusive_while_its_file_is_removed_repeatedly(folder):
    holders = threading.Semaphore(1)

    def hold(_number):
        with locking.exclusive_lock(folder):
            is_only_holder = holders.acquire(blocking=False)
            holders.release()
            (folder / locking.NAME).unlink()
            return is_only_holder

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(hold, range(200)))


def test_lock_is_in_the_folder_of_env_file(folder):
    stack = Stack(Layout(home=folder / ".local", env_file=folder / ".env"))
    with stack.exclusive_lock():
        assert [path.name for path in folder.iterdir()] == [locking.NAME]


def test_clean_removes_the_lock(folder):
    layout = Layout(home=folder / ".local", env_file=folder / ".env")
    layout.create_folders()
    layout.env_file.write_text("ADMIN_USER=admin\n")
    Stack(layout).clean()
    assert list(folder.iterdir()) == []


def test_folder_with_foreign_files_gets_no_lock(folder, monkeypatch):
    (folder / "other").touch()
    monkeypatch.setenv("STACK_DIR", str(folder))
    result = subprocess.run(
        [sys.executable, str(CHECKOUT / "deploy" / "local"), "up"], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1 and "must contain only the files of a stack" in result.stderr
    assert [path.name for path in folder.iterdir()] == ["other"]
