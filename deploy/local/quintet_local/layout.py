"""Folders and files of one stack."""

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from quintet_local import locking
from quintet_local.progress import StackError

CHECKOUT = Path(__file__).resolve().parents[3]
MARKER = "this-is-a-quintet-stack"
# Files that a stack in containers keeps in the folder named by STACK_DIR.
COMPOSE_FILES = {".env", ".secrets", ".users"}
# sun_path has 108 bytes; the supervisor first binds a name to which its process ID is appended.
MAX_SOCKET_PATH_BYTES = 90
SUPERVISOR_SOCKET = "supervisord.sock"


@dataclass(frozen=True)
class Layout:
    """Folders and files of one stack; several stacks can share a checkout and its .venv."""

    home: Path
    env_file: Path
    checkout: Path = CHECKOUT

    @property
    def run(self) -> Path:
        """Folder of the sockets: under the home, or under /tmp if that path would be too long for a socket."""
        inside = self.home / "run"
        if len(os.fsencode(inside / SUPERVISOR_SOCKET)) <= MAX_SOCKET_PATH_BYTES:
            return inside
        return Path("/tmp") / f"quintet-{self.key}"

    @property
    def key(self) -> str:
        """Short, stable name for files of this stack outside its home."""
        return hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]

    @property
    def nobody_dir(self) -> Path:
        """Folder in which older versions kept the data of a Postgres that ran as another user."""
        return Path("/var/tmp") / f"quintet-{self.key}"

    @property
    def programs_lock(self) -> Path:
        """Lock file that the programs of the stack hold while they run."""
        return self.home / "programs.lock"

    @property
    def logs(self) -> Path:
        return self.home / "log"

    @property
    def users(self) -> Path:
        """Folder of the gateway's users and roles (GATEWAY_USERS_DIR)."""
        return self.home / "gateway"

    @property
    def command_environment(self) -> dict[str, str]:
        """Return the variables with which a command uses this stack; see `default_layout`."""
        return {"STACK_DIR": str(self.home)} if self.env_file.parent == self.home else {}

    @property
    def ports_file(self) -> Path:
        return self.home / "ports.json"

    @property
    def venv(self) -> Path:
        return Path(sys.prefix)

    def socket(self, name: str) -> Path:
        return self.run / f"{name}.sock"

    @property
    def temporary(self) -> Path:
        """Folder that is TMPDIR of every program."""
        return self.home / "tmp"

    def data_dir(self, service: str) -> Path:
        """Return the folder of a service's files, which its programs create and share."""
        return self.home / "files" / service

    def log_of(self, program: str) -> Path:
        return self.logs / f"{program}.log"

    def rotated_logs(self, program: str) -> list[Path]:
        """Return the older files of a program's log, which the supervisor rotates by size."""
        return sorted(self.logs.glob(f"{program}.log.*"))

    def exists(self) -> bool:
        return (self.home / MARKER).exists()

    def check_owner(self) -> None:
        """Raise a StackError if the folder belongs to another checkout or holds foreign files.

        `make clean` would remove them.
        """
        if self.home.exists() and not self.exists() and self._has_foreign_files():
            raise StackError(f"{self.home} must contain only the files of a stack: set STACK_DIR to a new folder")
        home, checkout = self._recorded_owner()
        if home == self.home and checkout != self.checkout and (checkout / "Makefile").exists():
            raise StackError(
                f"{self.home} holds the stack of {checkout}: run `make` there, or set STACK_DIR to another folder"
            )

    def _recorded_owner(self) -> tuple[Path, Path]:
        """Return the folder and the checkout in the marker; markers of older versions are empty."""
        lines = (self.home / MARKER).read_text().splitlines() if self.exists() else []
        return (Path(lines[0]), Path(lines[1])) if len(lines) > 1 else (self.home, self.checkout)

    def _has_foreign_files(self) -> bool:
        return any(path.name not in {*COMPOSE_FILES, locking.NAME} for path in self.home.iterdir())

    def create_folders(self) -> None:
        self.check_owner()
        for folder in (self.home, self.logs, self.users, self.temporary):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.home / MARKER).write_text(f"{self.home}\n{self.checkout}\n")
        create_private_dir(self.run)


def default_layout() -> Layout:
    """Return the layout of the checkout's own stack, or of the one in STACK_DIR, which has its own .env."""
    if stack_dir := os.environ.get("STACK_DIR"):
        home = Path(stack_dir).resolve()
        return Layout(home=home, env_file=home / ".env")
    return Layout(home=CHECKOUT / ".local", env_file=CHECKOUT / ".env")


def create_private_dir(folder: Path) -> None:
    """Create a folder that only its owner can enter; raise a StackError if another user created it, as in /tmp."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise StackError(f"{folder} must belong to the current user: remove it, or set STACK_DIR to a shorter path")
    folder.chmod(0o700)
