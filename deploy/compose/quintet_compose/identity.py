"""Identity of a folder's stack on the Docker engine: a name and an ID in .env, written by the first `make up`.

The name of the Compose project is derived from the folder, so that no two checkouts share one. The ID is a label of the
volumes and containers, so a folder with the same name and a different .env can neither stop nor remove them.
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
from quintet_local.envfile import PROJECT_VARIABLE, STACK_ID_VARIABLE
from quintet_local.layout import CHECKOUT
from quintet_local.progress import StackError

LABEL = "quintet.stack"
LEGACY_PROJECT = "quintet"
ID_BYTES = 8
_PROJECT_FILTER = "label=com.docker.compose.project"


@dataclass(frozen=True)
class Identity:
    """Name and ID of a stack. `stack_id` is empty if its volumes were created by a version without labels."""

    project: str
    stack_id: str


@dataclass(frozen=True)
class Resource:
    """A volume or a container of a project, with the command that removes it."""

    name: str
    stack_id: str
    removal_command: str


def find(home: Path, env_file: Path) -> Identity | None:
    """Return the stack of this folder, or None if it has none. Change nothing."""
    settings = envfile.load_own(env_file)
    if "POSTGRES_PASSWORD" not in settings:
        return None
    stack_id = settings.get(STACK_ID_VARIABLE, None if envfile.HOME_VARIABLE in settings else "")
    if stack_id is None:
        return None
    name = settings.get(PROJECT_VARIABLE) or name_for(home)
    identity = Identity(name, stack_id) if stack_id else _find_legacy(home, settings)
    if identity:
        _reject_other_name(identity.project, env_file)
    return identity


def ensure(home: Path, env_file: Path) -> Identity:
    """Return the stack of this folder after assigning one if needed; raise a StackError if its name is in use."""
    identity = find(home, env_file)
    settings = envfile.load(env_file)
    if identity is None:
        if name := settings.get(PROJECT_VARIABLE):
            _reject_other_name(name, env_file)
        name = name or os.environ.get(PROJECT_VARIABLE) or name_for(home)
        identity = Identity(name, settings.get(STACK_ID_VARIABLE) or secrets.token_hex(ID_BYTES))
    reject_foreign(identity, env_file, "nothing was started")
    envfile.set_values(env_file, {PROJECT_VARIABLE: identity.project, STACK_ID_VARIABLE: identity.stack_id})
    return identity


def reject_foreign(identity: Identity, env_file: Path, outcome: str) -> None:
    """Raise a StackError that begins with `outcome` if another stack uses the same project name."""
    if others := foreign(identity):
        names = ", ".join(other.name for other in others)
        commands = "; ".join(other.removal_command for other in others)
        raise StackError(
            f"{outcome}: the project {identity.project} must not have containers or volumes that were not created"
            f" with {env_file}: {names}. Restore the .env that they were created with, choose another name before the"
            f" first `make up` ({PROJECT_VARIABLE}=… in .env), or remove them: {commands}"
        )


def foreign(identity: Identity) -> list[Resource]:
    """Return the containers and volumes of the project that belong to another stack.

    Resources without a label were created by versions in which every project had a legacy name.
    """
    resources = [*containers(identity.project), *volumes(identity.project)]
    if not identity.stack_id and not is_legacy(identity.project):
        return resources
    return [resource for resource in resources if resource.stack_id != identity.stack_id]


def volumes(project: str) -> list[Resource]:
    return _resources(project, "{{.Name}}", ["volume", "ls"], "docker volume rm")


def containers(project: str) -> list[Resource]:
    return _resources(project, "{{.Names}}", ["ps", "--all"], "docker rm --force")


def _resources(project: str, name_template: str, list_command: list[str], removal_command: str) -> list[Resource]:
    template = f'{name_template}\t{{{{.Label "{LABEL}"}}}}'
    lines = _docker(*list_command, "--filter", f"{_PROJECT_FILTER}={project}", "--format", template)
    pairs = (line.split("\t") for line in lines)
    return [Resource(name, stack_id, f"{removal_command} {name}") for name, stack_id in pairs]


def is_legacy(project: str) -> bool:
    """Return whether the name is one that stacks had before names were derived from the folder."""
    return bool(re.fullmatch(rf"{re.escape(LEGACY_PROJECT)}(-[0-9a-f]{{12}})?", project))


def name_for(home: Path) -> str:
    return f"quintet-{_digest(home)[:8]}"


def _reject_other_name(name: str, env_file: Path) -> None:
    """Raise a StackError if the environment names another project: it applies only before a name is stored."""
    other = os.environ.get(PROJECT_VARIABLE)
    if other and other != name:
        raise StackError(
            f"{PROJECT_VARIABLE} must be {name}, the stack of {env_file}, or unset, but is {other} in the environment"
        )


def _find_legacy(home: Path, settings: Mapping[str, str]) -> Identity | None:
    """Return the stack of a version in which names were not derived from the folder, or None."""
    default_name = f"{LEGACY_PROJECT}-{_digest(home)[:12]}" if os.environ.get("STACK_DIR") else LEGACY_PROJECT
    name = settings.get(PROJECT_VARIABLE, default_name)
    if not is_legacy(name) or (PROJECT_VARIABLE not in settings and not volumes(name)):
        return None
    if other_checkout := _other_checkout(name):
        raise StackError(f"the project {name} belongs to {other_checkout}: run `make down` there first")
    return Identity(name, "")


def _other_checkout(project: str) -> str | None:
    """Return another checkout that started containers of the project, or None."""
    template = '{{.Label "com.docker.compose.project.working_dir"}}'
    checkouts = set(_docker("ps", "--all", "--filter", f"{_PROJECT_FILTER}={project}", "--format", template))
    return next((path for path in checkouts - {str(CHECKOUT)} if Path(path).exists()), None)


def _digest(home: Path) -> str:
    return hashlib.sha256(os.fsencode(home)).hexdigest()


def _docker(*arguments: str) -> list[str]:
    try:
        result = subprocess.run(["docker", *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        raise StackError("docker must be installed") from None
    if result.returncode:
        raise StackError(f"`docker {arguments[0]}` failed: {result.stderr.strip()}")
    return result.stdout.splitlines()
