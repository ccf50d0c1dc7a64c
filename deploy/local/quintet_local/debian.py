"""Downloads packages of Debian and unpacks them into a private folder: without root, and without installing them."""

import fcntl
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from quintet_local.progress import StackError, log_progress

_IGNORED_RELATIONS = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
_ONLY_DEPENDS = [f"--no-{relation}" for relation in _IGNORED_RELATIONS]


def ensure_unpacked(
    name: str, dependencies: re.Pattern[str], root: Path, prepare: Callable[[Path], object] = lambda _: None
) -> None:
    """Unpack a package, and those of its dependencies that match, into `root` if it does not exist.

    `prepare` changes the unpacked files before they become visible. Concurrent calls wait for each other. Raise a
    StackError if the packages cannot be downloaded.
    """
    with open(root.with_name(f"{root.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            work = root.with_name(f"{root.name}.new")
            _download(name, dependencies, work)
            prepare(work / "root")
            (work / "root").rename(root)
            shutil.rmtree(work)


def _download(name: str, dependencies: re.Pattern[str], work: Path) -> None:
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if not shutil.which(tool):
            raise StackError(f"{tool} must be installed")
    shutil.rmtree(work, ignore_errors=True)
    for folder in ("lists/partial", "cache/archives/partial", "debs", "root"):
        (work / folder).mkdir(parents=True)
    apt = [f"Dir::State::Lists={work}/lists", f"Dir::Cache={work}/cache", "Debug::NoLocking=1"]
    options = [option for setting in apt for option in ("-o", setting)]
    log_progress(f"{name}: not installed; downloading Debian's package lists (10 MB, nothing is installed)")
    _run(["apt-get", *options, "update"], work)
    tree = _run(["apt-cache", *options, "depends", "--recurse", *_ONLY_DEPENDS, name], work)
    packages = sorted({name, *(line for line in tree.splitlines() if dependencies.fullmatch(line))})
    log_progress(f"{name}: downloading {len(packages)} packages")
    _run(["apt-get", *options, "download", *packages], work / "debs")
    log_progress(f"{name}: unpacking into {work.parent.name}")
    for package in (work / "debs").glob("*.deb"):
        _run(["dpkg-deb", "-x", str(package), str(work / "root")], work)


def _run(command: list[str], folder: Path) -> str:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if result.returncode:
        raise StackError(f"{command[0]} failed:\n{result.stderr.strip()}")
    return result.stdout
