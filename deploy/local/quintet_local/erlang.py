"""Locates RabbitMQ and Erlang, or downloads Debian's packages and unpacks them privately, without root."""

import fcntl
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from quintet_local.progress import StackError, log_progress

SYSTEM_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
# All other packages in apt's dependency tree are installed on every Debian that has Python.
ERLANG_PACKAGES = re.compile(r"^(erlang-[a-z0-9-]+|rabbitmq-server|libsctp1)$", re.MULTILINE)
IGNORED_RELATIONS = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
ONLY_DEPENDS = [f"--no-{relation}" for relation in IGNORED_RELATIONS]
ADVICE = (
    "RabbitMQ is not installed and could not be downloaded: install it (Debian, Ubuntu: the package rabbitmq-server), "
    "or set RABBITMQ_BIN to the folder of rabbitmq-server."
)


@dataclass(frozen=True)
class Installation:
    """A rabbitmq-server that any user may run, and the PATH on which it finds Erlang."""

    server: Path
    path: str = SYSTEM_PATH


def find(venv: Path) -> Installation:
    """Return the installation in RABBITMQ_BIN, that of the system, or a private one that is downloaded if necessary."""
    if folder := os.environ.get("RABBITMQ_BIN"):
        server = Path(folder) / "rabbitmq-server"
        if not server.exists():
            raise StackError(f"RABBITMQ_BIN must be a folder that contains rabbitmq-server: {folder}")
        return Installation(server, f"{folder}:{os.environ.get('PATH', SYSTEM_PATH)}")
    if SYSTEM_SERVER.exists() and shutil.which("erl", path=SYSTEM_PATH):
        return Installation(SYSTEM_SERVER)
    return _find_or_unpack(venv / "rabbitmq")


def _find_or_unpack(root: Path) -> Installation:
    with open(root.with_name("rabbitmq.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            _download(root)
    erlang = root / "usr" / "lib" / "erlang"
    runtime = next(erlang.glob("erts-*/bin"))
    return Installation(root / "usr/lib/rabbitmq/bin/rabbitmq-server", f"{erlang}/bin:{runtime}:{SYSTEM_PATH}")


def _download(root: Path) -> None:
    if not all(shutil.which(tool) for tool in ("apt-get", "apt-cache", "dpkg-deb")):
        raise StackError(ADVICE)
    work = root.with_name("rabbitmq.new")
    shutil.rmtree(work, ignore_errors=True)
    for folder in ("lists/partial", "cache/archives/partial", "debs", "root"):
        (work / folder).mkdir(parents=True)
    apt = [f"Dir::State::Lists={work}/lists", f"Dir::Cache={work}/cache", "Debug::NoLocking=1"]
    options = [option for setting in apt for option in ("-o", setting)]
    log_progress("rabbitmq: not installed; downloading Debian's package lists (10 MB, nothing is installed)")
    _run(["apt-get", *options, "update"], work)
    tree = _run(["apt-cache", *options, "depends", "--recurse", *ONLY_DEPENDS, "rabbitmq-server"], work)
    packages = sorted(set(ERLANG_PACKAGES.findall(tree)))
    log_progress(f"rabbitmq: downloading {len(packages)} packages (35 MB)")
    _run(["apt-get", *options, "download", *packages], work / "debs")
    log_progress("rabbitmq: unpacking them into .venv")
    for package in (work / "debs").glob("*.deb"):
        _run(["dpkg-deb", "-x", str(package), str(work / "root")], work)
    _relocate_erlang(work / "root", root)
    (work / "root").rename(root)
    shutil.rmtree(work)


def _relocate_erlang(unpacked: Path, root: Path) -> None:
    """Replace the installation path in Erlang's start scripts, which is /usr/lib/erlang in Debian's packages."""
    for script in ("erl", "start"):
        file = unpacked / "usr/lib/erlang/bin" / script
        text = file.read_text()
        file.write_text(text.replace("ROOTDIR=/usr/lib/erlang", f'ROOTDIR="{root}/usr/lib/erlang"'))


def _run(command: list[str], folder: Path) -> str:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if result.returncode:
        raise StackError(f"{' '.join(command[:1])} failed:\n{result.stderr.strip()}\n{ADVICE}")
    return result.stdout
