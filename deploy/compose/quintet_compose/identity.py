"""Which stack on the engine belongs to a folder: a name and an ID in its .env, made by the first `make up`.

The name of the Compose project follows from the folder, so that no two checkouts share one. The ID is a label of the
volumes: whoever has the same name, but not the .env that made them, cannot remove them.
"""

import hashlib
import os
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

from quintet_local import envfile
from quintet_local.envfile import PROJECT, STACK_ID
from quintet_local.layout import CHECKOUT
from quintet_local.progress import StackError

LABEL = "quintet.stack"
OLD_PROJECT = "quintet"
ID_BYTES = 8


@dataclass(frozen=True)
class Identity:
    """`stack_id` is empty where the volumes were made before they had a label."""

    project: str
    stack_id: str


@dataclass(frozen=True)
class Volume:
    name: str
    stack_id: str


def find(home: Path, env_file: Path) -> Identity | None:
    """Return the stack of this folder, or None if it has none. Changes nothing."""
    settings = envfile.load_own(env_file)
    if "POSTGRES_PASSWORD" not in settings:
        return None
    name = os.environ.get(PROJECT) or settings.get(PROJECT)
    stack_id = settings.get(STACK_ID, None if envfile.HOME in settings else "")
    if stack_id is None:
        return None
    if stack_id or PROJECT in settings:
        return Identity(name or name_for(home), stack_id)
    return _find_old(name, home)


def ensure(home: Path, env_file: Path) -> Identity:
    """Return the stack of this folder after giving it one if it has none, or a StackError if that is another's."""
    identity = find(home, env_file)
    kept = envfile.load(env_file)
    if identity is None:
        name = os.environ.get(PROJECT) or kept.get(PROJECT) or name_for(home)
        identity = Identity(name, kept.get(STACK_ID) or secrets.token_hex(ID_BYTES))
    if others := foreign(identity):
        raise StackError(
            f"volumes of the project {identity.project} are here that {env_file} did not make: {' '.join(others)}."
            f" Put the .env that made them back, name another project ({PROJECT}=… in .env), or remove them:"
            f" docker volume rm {' '.join(others)}"
        )
    envfile.put(env_file, {PROJECT: kept.get(PROJECT) or identity.project, STACK_ID: identity.stack_id})
    return identity


def volumes(project: str) -> list[Volume]:
    form = f'{{{{.Name}}}}\t{{{{.Label "{LABEL}"}}}}'
    listed = _docker("volume", "ls", "--filter", f"label=com.docker.compose.project={project}", "--format", form)
    return [Volume(*line.split("\t")) for line in listed]


def foreign(identity: Identity) -> list[str]:
    """Return the volumes of its project that another stack has made."""
    return [volume.name for volume in volumes(identity.project) if volume.stack_id != identity.stack_id]


def name_for(home: Path) -> str:
    return f"quintet-{_digest(home)[:8]}"


def _find_old(name: str | None, home: Path) -> Identity | None:
    """Return the stack that was made before each folder had a name of its own."""
    old_name = f"{OLD_PROJECT}-{_digest(home)[:12]}" if os.environ.get("STACK_DIR") else OLD_PROJECT
    if not volumes(old_name):
        return None
    if name not in (None, old_name):
        raise StackError(f"the data of {home} is in the project {old_name}, not in {name}: unset {PROJECT}")
    if elsewhere := _checkout_of(old_name):
        raise StackError(f"the project {old_name} runs from {elsewhere}: stop it there first (`make down`)")
    return Identity(old_name, "")


def _checkout_of(project: str) -> str | None:
    """Return the other checkout, if there is one, that containers of the project were started from."""
    label = "com.docker.compose.project"
    form = f'{{{{.Label "{label}.working_dir"}}}}'
    checkouts = set(_docker("ps", "--all", "--filter", f"label={label}={project}", "--format", form))
    return next((other for other in checkouts - {str(CHECKOUT)} if Path(other).exists()), None)


def _digest(home: Path) -> str:
    return hashlib.sha256(os.fsencode(home)).hexdigest()


def _docker(*words: str) -> list[str]:
    try:
        done = subprocess.run(["docker", *words], capture_output=True, text=True)
    except FileNotFoundError:
        raise StackError("docker is not installed") from None
    if done.returncode:
        raise StackError(f"docker {words[0]}: {done.stderr.strip()}")
    return done.stdout.splitlines()
