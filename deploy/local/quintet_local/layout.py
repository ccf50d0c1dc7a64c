"""Where everything of one stack lies."""

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from quintet_local import locking
from quintet_local.progress import StackError

CHECKOUT = Path(__file__).resolve().parents[3]
MARKER = "this-is-a-quintet-stack"
# What a stack in containers keeps in the folder that STACK_DIR names.
FILES_FOR_CONTAINERS = {".env", ".secrets", ".users"}
# sun_path holds 108 bytes; supervisor binds a name with its pid appended before it renames it.
LONGEST_SOCKET_PATH = 90
LONGEST_SOCKET_NAME = "supervisord.sock"


@dataclass(frozen=True)
class Layout:
    """The folders and files of one stack; several stacks share a checkout and its .venv."""

    home: Path
    env_file: Path
    checkout: Path = CHECKOUT

    @property
    def run(self) -> Path:
        """Sockets: under the home, or under /tmp where that would be too long for a socket's path."""
        inside = self.home / "run"
        if len(os.fsencode(inside / LONGEST_SOCKET_NAME)) <= LONGEST_SOCKET_PATH:
            return inside
        return Path("/tmp") / f"quintet-{self.key}"

    @property
    def key(self) -> str:
        """Short and the same for the same home: names what has to lie outside of it."""
        return hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]

    @property
    def for_nobody(self) -> Path:
        """Where the data of a Postgres that ran as `nobody` once was."""
        return Path("/var/tmp") / f"quintet-{self.key}"

    @property
    def programs_lock(self) -> Path:
        """Held by the programs of the stack while they live."""
        return self.home / "programs.lock"

    @property
    def logs(self) -> Path:
        return self.home / "log"

    @property
    def users(self) -> Path:
        """What the gateway knows about who may come in (GATEWAY_USERS_DIR)."""
        return self.home / "gateway"

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
        """TMPDIR of every program."""
        return self.home / "tmp"

    def files_of(self, word: str) -> Path:
        """Files of a service, shared by its programs, which make the folder."""
        return self.home / "files" / word

    def log_of(self, program: str) -> Path:
        return self.logs / f"{program}.log"

    def is_made(self) -> bool:
        return (self.home / MARKER).exists()

    def claim(self) -> None:
        """Refuse the stack of another checkout, and a folder with other things: `make clean` would remove them."""
        if self.home.exists() and not self.is_made() and self._holds_other_things():
            raise StackError(f"{self.home} holds other things: set STACK_DIR to an empty or new folder")
        home, checkout = self._made_for()
        if home == self.home and checkout != self.checkout and (checkout / "Makefile").exists():
            raise StackError(f"{self.home} holds the stack of {checkout}: run `make` there, or set another STACK_DIR")

    def _made_for(self) -> tuple[Path, Path]:
        """Return the folder and the checkout that the stack was made for; older markers do not tell."""
        lines = (self.home / MARKER).read_text().splitlines() if self.is_made() else []
        return (Path(lines[0]), Path(lines[1])) if len(lines) > 1 else (self.home, self.checkout)

    def _holds_other_things(self) -> bool:
        return any(path.name not in {*FILES_FOR_CONTAINERS, locking.NAME} for path in self.home.iterdir())

    def make(self) -> None:
        self.claim()
        for folder in (self.home, self.logs, self.users, self.temporary):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.home / MARKER).write_text(f"{self.home}\n{self.checkout}\n")
        make_private(self.run)


def default_layout() -> Layout:
    """The developer's stack, or the one that STACK_DIR names, which then has its own .env inside."""
    if stack_dir := os.environ.get("STACK_DIR"):
        home = Path(stack_dir).resolve()
        return Layout(home=home, env_file=home / ".env")
    return Layout(home=CHECKOUT / ".local", env_file=CHECKOUT / ".env")


def make_private(folder: Path) -> None:
    """A folder of ours that nobody else can enter, also under /tmp where others could have made it first."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise StackError(f"{folder} belongs to somebody else: remove it or set STACK_DIR to a shorter path")
    folder.chmod(0o700)
