"""Locates RabbitMQ and Erlang, or downloads Debian's packages and unpacks them privately, without root."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from quintet_local import debian
from quintet_local.progress import StackError

SYSTEM_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
# All other packages in apt's dependency tree are installed on every Debian that has Python.
ERLANG_PACKAGES = re.compile(r"erlang-[a-z0-9-]+|libsctp1")
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
    try:
        debian.ensure_unpacked("rabbitmq-server", ERLANG_PACKAGES, root, lambda files: _relocate_erlang(files, root))
    except StackError as error:
        raise StackError(f"{error}\n{ADVICE}") from None
    erlang = root / "usr" / "lib" / "erlang"
    runtime = next(erlang.glob("erts-*/bin"))
    return Installation(root / "usr/lib/rabbitmq/bin/rabbitmq-server", f"{erlang}/bin:{runtime}:{SYSTEM_PATH}")


def _relocate_erlang(unpacked: Path, root: Path) -> None:
    """Replace the installation path in Erlang's start scripts, which is /usr/lib/erlang in Debian's packages."""
    for script in ("erl", "start"):
        file = unpacked / "usr/lib/erlang/bin" / script
        text = file.read_text()
        file.write_text(text.replace("ROOTDIR=/usr/lib/erlang", f'ROOTDIR="{root}/usr/lib/erlang"'))
