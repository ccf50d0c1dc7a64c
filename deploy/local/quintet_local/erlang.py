"""Finds RabbitMQ with its Erlang, or fetches Debian's packages and unpacks them privately, without root."""

import fcntl
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from quintet_local.progress import StackError, say

SYSTEM_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
# What apt's dependency tree holds beyond these is in every Debian that has Python.
WANTED_PACKAGES = re.compile(r"^(erlang-[a-z0-9-]+|rabbitmq-server|libsctp1)$", re.MULTILINE)
OTHER_RELATIONS = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
ONLY_DEPENDS = [f"--no-{relation}" for relation in OTHER_RELATIONS]
ADVICE = (
    "RabbitMQ is neither installed nor could it be fetched. Either install it (Debian, Ubuntu: the package "
    "rabbitmq-server), or set RABBITMQ_BIN to the folder of rabbitmq-server."
)


@dataclass(frozen=True)
class Installed:
    """A rabbitmq-server that any user may call, and the PATH on which it finds Erlang."""

    server: Path
    path: str = SYSTEM_PATH


def find(venv: Path) -> Installed:
    """RABBITMQ_BIN, the system's, an unpacked one; else unpacks one next to the wheels."""
    if folder := os.environ.get("RABBITMQ_BIN"):
        server = Path(folder) / "rabbitmq-server"
        if not server.exists():
            raise StackError(f"RABBITMQ_BIN is {folder}, but there is no rabbitmq-server in it")
        return Installed(server, f"{folder}:{os.environ.get('PATH', SYSTEM_PATH)}")
    if SYSTEM_SERVER.exists() and shutil.which("erl", path=SYSTEM_PATH):
        return Installed(SYSTEM_SERVER)
    return _unpacked(venv / "rabbitmq")


def _unpacked(root: Path) -> Installed:
    with open(root.with_name("rabbitmq.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            _fetch(root)
    erlang = root / "usr" / "lib" / "erlang"
    runtime = next(erlang.glob("erts-*/bin"))
    return Installed(root / "usr/lib/rabbitmq/bin/rabbitmq-server", f"{erlang}/bin:{runtime}:{SYSTEM_PATH}")


def _fetch(root: Path) -> None:
    if not all(shutil.which(tool) for tool in ("apt-get", "apt-cache", "dpkg-deb")):
        raise StackError(ADVICE)
    work = root.with_name("rabbitmq.new")
    shutil.rmtree(work, ignore_errors=True)
    for folder in ("lists/partial", "cache/archives/partial", "debs", "root"):
        (work / folder).mkdir(parents=True)
    apt = [f"Dir::State::Lists={work}/lists", f"Dir::Cache={work}/cache", "Debug::NoLocking=1"]
    options = [word for setting in apt for word in ("-o", setting)]
    say("rabbitmq: not installed here; fetching Debian's list of packages (10 MB, nothing is installed)")
    _run(["apt-get", *options, "update"], work)
    tree = _run(["apt-cache", *options, "depends", "--recurse", *ONLY_DEPENDS, "rabbitmq-server"], work)
    packages = sorted(set(WANTED_PACKAGES.findall(tree)))
    say(f"rabbitmq: fetching {len(packages)} packages (35 MB)")
    _run(["apt-get", *options, "download", *packages], work / "debs")
    say("rabbitmq: unpacking them into .venv")
    for package in (work / "debs").glob("*.deb"):
        _run(["dpkg-deb", "-x", str(package), str(work / "root")], work)
    _point_erlang_to(work / "root", root)
    (work / "root").rename(root)
    shutil.rmtree(work)


def _point_erlang_to(unpacked: Path, root: Path) -> None:
    """Erlang's start script knows its place; the one from Debian says /usr/lib/erlang."""
    for script in ("erl", "start"):
        file = unpacked / "usr/lib/erlang/bin" / script
        text = file.read_text()
        file.write_text(text.replace("ROOTDIR=/usr/lib/erlang", f'ROOTDIR="{root}/usr/lib/erlang"'))


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise StackError(f"{' '.join(command[:1])} failed:\n{done.stderr.strip()}\n{ADVICE}")
    return done.stdout
