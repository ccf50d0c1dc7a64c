"""The lock of a stack, also where its holder removes what it lies in."""

import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from quintet_local import locking
from quintet_local.layout import CHECKOUT, Layout
from quintet_local.stack import Stack

TAKES_IT = """
import sys
from pathlib import Path
from quintet_local import locking

with locking.alone(Path(sys.argv[1])):
    print("has it")
"""


def other_command(folder):
    return subprocess.Popen(
        [sys.executable, "-c", TAKES_IT, str(folder)],
        cwd=CHECKOUT / "deploy" / "local",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_another_command_waits_says_so_and_goes_on_in_a_folder_that_was_removed(folder):
    home = folder / "stack"
    with locking.alone(home):
        other = other_command(home)
        assert "another command is changing this stack: waiting until it has ended" in other.stderr.readline()
        shutil.rmtree(home)
    assert other.communicate() == ("has it\n", "")
    assert home.exists()


def test_no_two_hold_the_lock_while_it_is_removed_again_and_again(folder):
    holders = threading.Semaphore(1)

    def hold(_number):
        with locking.alone(folder):
            is_alone = holders.acquire(blocking=False)
            holders.release()
            (folder / locking.NAME).unlink()
            return is_alone

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(hold, range(200)))


def test_both_ways_to_run_and_default_folders_share_one_lock(folder):
    ours = Stack(Layout(home=folder / ".local", env_file=folder / ".env"))
    with ours.alone():
        assert [path.name for path in folder.iterdir()] == [locking.NAME]


def test_clean_leaves_no_lock(folder):
    ours = Layout(home=folder / ".local", env_file=folder / ".env")
    ours.make()
    ours.env_file.write_text("ADMIN_USER=admin\n")
    Stack(ours).clean()
    assert list(folder.iterdir()) == []


def test_a_folder_with_other_things_gets_no_lock(folder, monkeypatch):
    (folder / "other").touch()
    monkeypatch.setenv("STACK_DIR", str(folder))
    done = subprocess.run(
        [sys.executable, str(CHECKOUT / "deploy" / "local"), "up"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and "holds other things" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["other"]
