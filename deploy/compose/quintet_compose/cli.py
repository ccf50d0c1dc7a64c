"""Commands that the Makefile's targets call when the stack runs in containers."""

import argparse
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from quintet_compose import identity, kubernetes, secret_files, swarm
from quintet_compose.containers import Containers
from quintet_compose.identity import Identity
from quintet_compose.stack import ALL_PROFILES, Compose
from quintet_local import commands, envfile, locking, rotation, tls, upgrade
from quintet_local.gateway import set_administrator
from quintet_local.layout import MARKER
from quintet_local.progress import StackError, log_progress
from quintet_local.restore import IN_PROGRESS, reject_interrupted


def main() -> int:
    return commands.run("deploy/compose", __doc__, COMMANDS, Compose, _add_arguments)


def _add_arguments(parsers: Mapping[str, argparse.ArgumentParser]) -> None:
    parsers["kubernetes-secrets"].add_argument("overlay", choices=("small", "production"))
    parsers["swarm-stack"].add_argument("step", choices=("servers", "all"))
    parsers["swarm-stack"].add_argument("replicas", nargs="*", type=swarm.parse_replicas, metavar="PROGRAM=N")


def env(stack: Compose, arguments: argparse.Namespace) -> None:
    """Create the files that docker-compose.yml reads, also for calling `docker compose` by hand."""
    with stack.exclusive_lock():
        stack.create_files()


def kubernetes_secrets(stack: Compose, arguments: argparse.Namespace) -> None:
    """Print the Secrets for `kubectl apply -f -`; the overlay `production` has read replicas."""
    with stack.exclusive_lock():
        settings = commands.ensure_settings(stack.env_file, stack.service_names)
        set_administrator(settings, stack.users_environment())
    users = {name: (stack.users / name).read_text() for name in kubernetes.USERS_FILES}
    items = kubernetes.secrets(
        settings, stack.service_names, users, has_read_replicas=arguments.overlay == "production"
    )
    print(json.dumps(items, indent=2))


def swarm_stack(stack: Compose, arguments: argparse.Namespace) -> None:
    """Print a file for `docker stack deploy`. Its secrets are in a folder of their own, because addresses differ."""
    with stack.exclusive_lock():
        stack.create_files()
        secret_files.write(stack.swarm_secrets, stack.settings, stack.service_names, swarm.ADDRESSES)
    compose = json.loads(stack.capture("config", "--format", "json"))
    print(
        json.dumps(swarm.stack_file(compose, stack.swarm_secrets, dict(arguments.replicas), arguments.step), indent=2)
    )


def up(stack: Compose, arguments: argparse.Namespace) -> None:
    with stack.exclusive_lock():
        reject_interrupted(stack.env_file)
        stack.create_files()
        if arguments.tls:
            # The user in the gateway's container must be able to read the key.
            tls.ensure(stack.env_file, stack.users / "tls", key_mode=0o644)
        log_progress("building the images that have changed")
        stack.run("build", "--quiet")
        log_progress("starting the containers")
        start(stack)
        stack.reload_gateway()
        stack.wait_until_healthy()
        upgrade.remove_standbys(Containers(stack))
        upgrade.forget_rotation(stack.env_file)
    commands.print_access(stack.settings)


def restore(stack: Compose, arguments: argparse.Namespace) -> None:
    commands.restore(stack, arguments, start_servers=_start_servers, up=up)


def _start_servers(stack: Compose) -> None:
    """Create the stack if necessary, and start Postgres, with its roles, and RabbitMQ."""
    stack.create_files()
    log_progress("building the images that have changed")
    stack.run("build", "--quiet")
    stack.run("run", "--rm", "-T", "roles")
    stack.run("up", "--detach", "--wait", "rabbitmq")


def start(stack: Compose) -> None:
    changed = stack.secrets / secret_files.CHANGED_MARKER
    try:
        stack.run("up", "--detach", "--remove-orphans", *(["--force-recreate"] if changed.exists() else []))
        changed.unlink(missing_ok=True)
    except StackError as error:
        preparation = ["postgres", "roles", *(f"{service}-migrate" for service in stack.service_names)]
        stack.run("logs", "--tail", "3", *preparation)
        raise StackError(
            f"{error}\nIf one of the first containers has failed, the last lines of its log are above. `password"
            f" authentication failed` means that the data was not created with {stack.env_file}: restore the file that"
            " it was created with, or remove the data with `make clean`"
        ) from None


def upgrade_containers(stack: Compose, arguments: argparse.Namespace) -> None:
    upgrade.run(stack, Containers(stack), arguments)


def rotate_passwords(stack: Compose, arguments: argparse.Namespace) -> None:
    if not stack.is_running("postgres"):
        raise StackError("the stack must be running: run `make up`, then try again")
    rotation.run(stack, lambda stack: Containers(stack, always=True), arguments)


def down(stack: Compose, arguments: argparse.Namespace) -> None:
    with _locked_identity(stack) as stack_identity:
        if stack_identity is None:
            log_progress("nothing to stop: no stack exists here")
            return
        identity.reject_foreign(stack_identity, stack.env_file, "nothing was stopped")
        stack.run(*ALL_PROFILES, "down", "--remove-orphans")
        log_progress("stopped; the data is kept (`make clean` removes it)")


def clean(stack: Compose, arguments: argparse.Namespace) -> None:
    with _locked_identity(stack) as stack_identity:
        if stack_identity is None:
            log_progress(f"nothing to remove: no {stack.env_file} names a stack in containers")
            return
        identity.reject_foreign(stack_identity, stack.env_file, "nothing was removed")
        if not envfile.has_recorded_folder(stack.env_file):
            raise StackError(
                f"nothing was removed: {stack.env_file} must contain {envfile.HOME_VARIABLE}. It may be a copy, so the"
                f" data of the project {stack_identity.project} may belong to its original. If the data belongs here,"
                " run `make up`, which adds the setting, and then `make clean` again"
            )
        _remove(stack, stack_identity, arguments)


@contextmanager
def _locked_identity(stack: Compose) -> Iterator[Identity | None]:
    """Yield the stack of this folder under its lock, or None if the folder has none, without creating a lock file."""
    if identity.find(stack.home, stack.env_file) is None:
        yield None
        return
    with stack.exclusive_lock():
        yield identity.find(stack.home, stack.env_file)


def _remove(stack: Compose, stack_identity: Identity, arguments: argparse.Namespace) -> None:
    volumes, images = [volume.name for volume in identity.volumes(stack_identity.project)], stack.images()
    files = [
        file for file in (stack.users, stack.secrets, stack.swarm_secrets, *_removable_env_file(stack)) if file.exists()
    ]
    removals = [*(f"volume {name}" for name in volumes), *(f"image {name}" for name in images), *files]
    commands.confirm_removal(removals, arguments)
    stack.run(*ALL_PROFILES, "down", "--remove-orphans", "--volumes")
    if images:
        subprocess.run(["docker", "image", "rm", *images], capture_output=True)
    for folder in (stack.users, stack.secrets, stack.swarm_secrets):
        shutil.rmtree(folder, ignore_errors=True)
    envfile.unset_values(stack.env_file, envfile.PROJECT_VARIABLE, envfile.STACK_ID_VARIABLE)
    for file in (
        *_removable_env_file(stack),
        stack.env_file.with_name(IN_PROGRESS),
        stack.env_file.with_name(upgrade.ROTATING),
        stack.home / locking.NAME,
    ):
        file.unlink(missing_ok=True)
    log_progress("removed")


def _removable_env_file(stack: Compose) -> list[Path]:
    """Return .env, or nothing while a stack without containers needs its passwords."""
    is_needed = (stack.home / ".local").exists() or (stack.home / MARKER).exists()
    return [] if is_needed else [stack.env_file]


def status(stack: Compose, arguments: argparse.Namespace) -> int:
    stack.run("ps", "--all")
    return 0 if commands.show_health(stack.settings) else 3


def logs(stack: Compose, arguments: argparse.Namespace) -> None:
    """Print the logs of one container or of all and follow them; print all lines of one request, and return."""
    is_filtered = arguments.request or arguments.level
    follow = ["--follow"] if arguments.follow and not arguments.request else []
    containers = [arguments.program] if arguments.program else []
    command = ("logs", "--tail", "all" if is_filtered else "100", *follow, *containers)
    if is_filtered:
        stack.print_logs(command, arguments)
    else:
        stack.run(*command)


COMMANDS: dict[str, commands.Command] = {
    "up": up,
    "down": down,
    "clean": clean,
    "env": env,
    "status": status,
    "logs": logs,
    "restore": restore,
    "kubernetes-secrets": kubernetes_secrets,
    "swarm-stack": swarm_stack,
    "rotate-passwords": rotate_passwords,
    "upgrade": upgrade_containers,
}
