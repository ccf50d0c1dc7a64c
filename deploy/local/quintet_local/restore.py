"""`make restore`: replaces the data of a stack by that of a backup.

The database is restored beside the current one, which is replaced only when the new one is complete. A file in the
stack's folder shows that a restore has begun to replace data: until it is run again and completed, `make up` refuses.
"""

import argparse
import json
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from quintet_local import backup, broker_users, gateway, new_folder
from quintet_local.backup import Stack
from quintet_local.broker_users import VHOST
from quintet_local.layout import CHECKOUT
from quintet_local.progress import StackError, log_progress, wait_until
from quintet_local.tools import Session

IN_PROGRESS = ".restoring"
_RESTORED, _REPLACED = "quintet_restored", "quintet_replaced"
_FULL_RUN_SECONDS = 600
_DEFINITIONS = ("queues", "exchanges", "bindings", "policies")


def reject_interrupted(env_file: Path) -> None:
    """Raise a StackError if a restore has begun to replace data and was not completed."""
    marker = env_file.with_name(IN_PROGRESS)
    if marker.exists():
        folder = shlex.quote(marker.read_text().strip())
        raise StackError(f"a restore was interrupted: run `make restore FROM={folder}` again")


def skip_count(text: str) -> int:
    """Parse SKIP before any data is replaced; many more digits than any margin needs would exceed 64 bits."""
    if not (text.isdecimal() and len(text) <= 12):
        raise argparse.ArgumentTypeError(f"must be an integer of at most 12 digits: {text!r}")
    return int(text)


def read_manifest(stack: Stack, folder: Path) -> dict[str, Any]:
    """Return the description of a backup; raise a StackError if it is damaged or does not fit this stack."""
    try:
        manifest: dict[str, Any] = json.loads((folder / backup.MANIFEST).read_text())
    except (OSError, ValueError):
        raise StackError(f"FROM must be the folder of a backup, with {backup.MANIFEST}: {folder}") from None
    if manifest.get("format") != backup.FORMAT:
        raise StackError(f"{folder} was created by another version ({manifest.get('version')}): use that version")
    if unknown := sorted({*manifest["services"]} - {*stack.service_names}):
        raise StackError(f"{folder} has data of {', '.join(unknown)}, which this version lacks: use a later version")
    _reject_damage(folder, manifest)
    return manifest


def _reject_damage(folder: Path, manifest: Mapping[str, Any]) -> None:
    # Backups of earlier versions have no checksums.
    files = [backup.DATABASE, backup.DEFINITIONS, *(f"{backup.USERS}/{name}" for name in backup.USER_FILES)]
    files += [backup.FILES] if manifest["files"] == backup.FILES else []
    checksums = manifest.get("sha256", {})
    for name in files:
        if not (folder / name).is_file():
            raise StackError(f"nothing was changed: {folder} is incomplete, because {name} does not exist")
        if name in checksums and new_folder.digest(folder / name) != checksums[name]:
            raise StackError(f"nothing was changed: {folder / name} is damaged: use another copy of the backup")


def reject_other_storage(stack: Stack, manifest: Mapping[str, Any]) -> None:
    """Raise a StackError if specstore-service would look for its files where the backup does not have them."""
    bucket, files = stack.settings.get("S3_BUCKET"), manifest["files"]
    if files == backup.FILES and bucket:
        raise StackError("nothing was changed: the backup contains files, so S3_BUCKET in .env must not be set")
    if files != backup.FILES and not bucket:
        raise StackError(
            f"nothing was changed: the files of the backup are in {files}, so S3_BUCKET in .env must be set"
        )
    if files not in (backup.FILES, f"s3://{bucket}"):
        log_progress(f"the files of the backup were in {files}: the bucket {bucket} must have a copy of them")


def count_current(stack: Stack) -> dict[str, int]:
    """Return what a restore would replace; the built-in sequences and the administrator do not count."""
    with Session(backup.psql(stack, "quintet")) as session:
        counts = backup.count_rows(session)  # empty in a new stack, which is not yet migrated
        if "sequences" in counts:
            counts["sequences"] -= int(session.value("SELECT count(*) FROM sequence.sequences WHERE built_in"))
    counts["users"] = len(_current_users(stack) - {stack.settings["ADMIN_USER"]})
    return {name: count for name, count in counts.items() if count}


def _current_users(stack: Stack) -> set[str]:
    file = Path(stack.users_environment()["GATEWAY_USERS_DIR"]) / backup.USER_FILES[0]
    lines = file.read_text().splitlines() if file.exists() else []
    return {line.partition(":")[0] for line in lines if line}


def replace(stack: Stack, folder: Path, manifest: Mapping[str, Any], skipped_numbers: int) -> str:
    """Replace the data while the programs are stopped; return the report about skipped numbers."""
    marker = stack.env_file.with_name(IN_PROGRESS)
    try:
        _restore_database(stack, folder / backup.DATABASE, manifest)
    except BaseException:
        # The disk may be full, and the services need the space.
        with suppress(StackError), Session(backup.psql(stack, "postgres")) as session:
            session.query(f"DROP DATABASE IF EXISTS {_RESTORED} WITH (FORCE)")
        raise
    marker.write_text(f"{folder}\n")
    log_progress("stopping the services")
    stack.stop_programs()
    _swap_databases(stack)
    if manifest["files"] == backup.FILES:
        with (folder / backup.FILES).open("rb") as file:
            stack.files_tool("find . -mindepth 1 -delete && tar -xf -").run(stdin=file)
    for name in backup.USER_FILES:
        _replace_users(stack, folder / backup.USERS / name)
    _reset_broker(stack, folder / backup.DEFINITIONS)
    report = stack.skip_numbers(skipped_numbers)
    marker.unlink()
    return report


def _restore_database(stack: Stack, dump: Path, manifest: Mapping[str, Any]) -> None:
    log_progress("restoring the database beside the current one")
    with Session(backup.psql(stack, "postgres")) as session:
        session.query(f"DROP DATABASE IF EXISTS {_RESTORED} WITH (FORCE)")
        session.query(f"CREATE DATABASE {_RESTORED}")
    with dump.open("rb") as file:
        stack.postgres_tool("pg_restore", "--exit-on-error", "-d", _RESTORED).run(stdin=file)
    with Session(backup.psql(stack, _RESTORED)) as session:
        _reject_newer(session, manifest)
        restored, counts = backup.count_rows(session), manifest["counts"]
        session.query("ANALYZE")
    if any(restored.get(name) != count for name, count in counts.items() if name in backup.COUNTED):
        raise StackError(f"the dump must contain {backup.describe(counts)}, but has {backup.describe(restored)}")


def _reject_newer(session: Session, manifest: Mapping[str, Any]) -> None:
    """Raise a StackError if the code lacks a migration that the data has: its version is older, or a different one."""
    for service in manifest["services"]:
        for source, name in session.query(f"SELECT source, name FROM {service}.schema_migrations ORDER BY 1, 2"):
            project = "chassis" if source == "chassis" else f"{service}-service"
            if not (CHECKOUT / project / "src" / source / "migrations" / name).exists():
                raise StackError(
                    f"nothing was changed: the backup was created by version {manifest['version']}, and this version of"
                    f" {project} lacks its migration {name}: use that version or a later one"
                )


def _swap_databases(stack: Stack) -> None:
    with Session(backup.psql(stack, "postgres")) as session:
        # A restore that was interrupted between these statements continues with the first.
        has_current = session.value("SELECT count(*) FROM pg_database WHERE datname = 'quintet'") == "1"
        if has_current:
            session.query(f"DROP DATABASE IF EXISTS {_REPLACED} WITH (FORCE)")
            session.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'quintet'")
            session.query(f"ALTER DATABASE quintet RENAME TO {_REPLACED}")
        session.query(f"ALTER DATABASE {_RESTORED} RENAME TO quintet")
        session.query(f"DROP DATABASE IF EXISTS {_REPLACED} WITH (FORCE)")


def _replace_users(stack: Stack, file: Path) -> None:
    environment = stack.users_environment()
    target = Path(environment["GATEWAY_USERS_DIR"]) / file.name
    new = target.with_name(f"{target.name}.new")
    new.write_bytes(file.read_bytes())
    new.chmod(int(environment["GATEWAY_USERS_MODE"], 8))
    new.replace(target)


def _reset_broker(stack: Stack, definitions: Path) -> None:
    """Delete all queues with their messages, which belong to the replaced data, and declare those of the backup.

    Users and permissions are those of this stack.
    """
    own = json.loads(broker_users.definitions(stack.settings, stack.service_names))
    stored = json.loads(definitions.read_text())
    for kind in _DEFINITIONS:
        entries = [entry for entry in stored.get(kind, []) if entry.get("vhost") == VHOST]
        own[kind] = own.get(kind, []) + [entry for entry in entries if entry not in own.get(kind, [])]
    # An interrupted restore may have deleted it already.
    if VHOST in stack.broker_tool("-q", "list_vhosts", "name").run().decode().split():
        stack.broker_tool("-q", "delete_vhost", VHOST).run()
    broker_users.load(stack.broker_tool, json.dumps(own))


def verify(settings: Mapping[str, str]) -> str:
    """Recompute all invariants, and return their status; raise a StackError if one is broken."""
    gateway.fetch_json(settings, "GET", "/invariants?full=1")
    report: dict[str, Any] = {}

    def has_finished() -> bool:
        nonlocal report
        report = gateway.fetch_json(settings, "GET", "/invariants")
        return report["full"] not in ("PENDING", "PROGRESS")

    advice = "the data is restored, and the services work: see the page Invariants of the console for the result"
    wait_until("invariants: recomputed", has_finished, _FULL_RUN_SECONDS, advice=lambda: advice)
    if (report["status"], report["full"]) != ("OK", "SUCCESS"):
        raise StackError("the data is restored, but an invariant is broken: see the page Invariants of the console")
    return "all invariants hold"
