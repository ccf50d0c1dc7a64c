"""Which stack on the engine belongs to a folder: a name and an ID in its .env, made by the first `make up`.

The name of the Compose project follows from the folder, so that no two checkouts share one. The ID is a label of the
volumes and containers: another folder with the same name and another .env can neither stop nor remove them.
"""

import hashlib
import os
import re
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from quintet_local import envfile
from quintet_local.envfile import PROJECT, STACK_ID
from quintet_local.layout import CHECKOUT
from quintet_local.progress import StackError

LABEL = "quintet.stack"
OLD_PROJECT = "quintet"
ID_BYTES = 8
_OF_PROJECT = "label=com.docker.compose.project"


@dataclass(frozen=True)
class Identity:
    """`stack_id` is empty where the volumes were made before they had a label."""

    project: str
    stack_id: str


@dataclass(frozen=True)
class Resource:
    """A volume or a container of a project, and the command that removes it."""

    name: str
    stack_id: str
    removal: str


def find(home: Path, env_file: Path) -> Identity | None:
    """Return the stack of this folder, or None if it has none. Changes nothing."""
    settings = envfile.load_own(env_file)
    if "POSTGRES_PASSWORD" not in settings:
        return None
    stack_id = settings.get(STACK_ID, None if envfile.HOME in settings else "")
    if stack_id is None:
        return None
    found = Identity(settings.get(PROJECT) or name_for(home), stack_id) if stack_id else _find_old(home, settings)
    if found:
        _refuse_another_name(found.project, env_file)
    return found


def ensure(home: Path, env_file: Path) -> Identity:
    """Return the stack of this folder after giving it one if it has none, or a StackError if that is another's."""
    identity = find(home, env_file)
    kept = envfile.load(env_file)
    if identity is None:
        if name := kept.get(PROJECT):
            _refuse_another_name(name, env_file)
        name = name or os.environ.get(PROJECT) or name_for(home)
        identity = Identity(name, kept.get(STACK_ID) or secrets.token_hex(ID_BYTES))
    refuse_foreign(identity, env_file, "nothing was started")
    envfile.put(env_file, {PROJECT: identity.project, STACK_ID: identity.stack_id})
    return identity


def refuse_foreign(identity: Identity, env_file: Path, outcome: str) -> None:
    """Raise a StackError that begins with the outcome if another stack uses the same name."""
    if others := foreign(identity):
        names = ", ".join(other.name for other in others)
        removal = "; ".join(other.removal for other in others)
        raise StackError(
            f"{outcome}: the project {identity.project} has containers or volumes not made by {env_file}: {names}."
            f" Put the .env that made them back, choose another name before the first `make up` ({PROJECT}=… in .env),"
            f" or remove them: {removal}"
        )


def foreign(identity: Identity) -> list[Resource]:
    """Return the containers and volumes of its project that another stack has made.

    Those without a label are older than the labels, when all projects had one of the old names.
    """
    resources = [*containers(identity.project), *volumes(identity.project)]
    if not identity.stack_id and not is_old(identity.project):
        return resources
    return [resource for resource in resources if resource.stack_id != identity.stack_id]


def volumes(project: str) -> list[Resource]:
    return _resources(project, "{{.Name}}", ["volume", "ls"], "docker volume rm")


def containers(project: str) -> list[Resource]:
    return _resources(project, "{{.Names}}", ["ps", "--all"], "docker rm --force")


def _resources(project: str, name_form: str, words: list[str], removal: str) -> list[Resource]:
    form = f'{name_form}\t{{{{.Label "{LABEL}"}}}}'
    lines = _docker(*words, "--filter", f"{_OF_PROJECT}={project}", "--format", form)
    pairs = (line.split("\t") for line in lines)
    return [Resource(name, stack_id, f"{removal} {name}") for name, stack_id in pairs]


def is_old(project: str) -> bool:
    """Tell whether stacks had such a name before each folder had a name of its own."""
    return bool(re.fullmatch(rf"{re.escape(OLD_PROJECT)}(-[0-9a-f]{{12}})?", project))


def name_for(home: Path) -> str:
    return f"quintet-{_digest(home)[:8]}"


def _refuse_another_name(name: str, env_file: Path) -> None:
    """Raise a StackError if the environment names another project: it counts only where no name is kept yet."""
    other = os.environ.get(PROJECT)
    if other and other != name:
        raise StackError(f"{PROJECT} is {other} in the environment, but the stack of {env_file} is {name}: unset it")


def _find_old(home: Path, settings: Mapping[str, str]) -> Identity | None:
    """Return the stack that was made before each folder had a name of its own."""
    usual = f"{OLD_PROJECT}-{_digest(home)[:12]}" if os.environ.get("STACK_DIR") else OLD_PROJECT
    name = settings.get(PROJECT, usual)
    if not is_old(name) or (PROJECT not in settings and not volumes(name)):
        return None
    if elsewhere := _checkout_of(name):
        raise StackError(f"the project {name} runs from {elsewhere}: stop it there first (`make down`)")
    return Identity(name, "")


def _checkout_of(project: str) -> str | None:
    """Return the other checkout, if there is one, that containers of the project were started from."""
    form = '{{.Label "com.docker.compose.project.working_dir"}}'
    checkouts = set(_docker("ps", "--all", "--filter", f"{_OF_PROJECT}={project}", "--format", form))
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
