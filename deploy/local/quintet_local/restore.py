"""`make restore`: replaces the data of a stack by that of a backup.

The database is restored beside the current one, which is replaced only when the new one is complete. A file in the
stack's folder shows that a restore has begun to replace data: until it is run again and completed, `make up` refuses.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quintet_local import backup, broker_users, gateway
from quintet_local.backup import Stack
from quintet_local.broker_users import VHOST
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
        raise StackError(f"a restore was interrupted: run `make restore FROM={marker.read_text().strip()}` again")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the description of a backup; raise a StackError if the folder is not one, or is of a newer format."""
    try:
        manifest: dict[str, Any] = json.loads((folder / backup.MANIFEST).read_text())
    except (OSError, ValueError):
        raise StackError(f"FROM must be the folder of a backup, with {backup.MANIFEST}: {folder}") from None
    if manifest.get("format") != backup.FORMAT:
        raise StackError(f"{folder} was created by another version ({manifest.get('version')}): use that version")
    return manifest


def count_current(stack: Stack) -> dict[str, int]:
    """Return what a restore would replace; the built-in sequences do not count."""
    with Session(backup.psql(stack, "postgres")) as session:
        if session.value("SELECT count(*) FROM pg_database WHERE datname = 'quintet'") == "0":
            return {}
    with Session(backup.psql(stack, "quintet")) as session:
        if session.value("SELECT to_regclass('factory.sprockets') IS NULL") == "t":  # a new stack, not yet migrated
            return {}
        counts = backup.count_rows(session)
        built_in = int(session.value("SELECT count(*) FROM sequence.sequences WHERE built_in"))
    counts["sequences"] -= built_in
    return {name: count for name, count in counts.items() if count}


def replace(stack: Stack, folder: Path, manifest: Mapping[str, Any], skipped_numbers: int) -> str:
    """Replace the data while the programs are stopped; return the report about skipped numbers."""
    marker = stack.env_file.with_name(IN_PROGRESS)
    _restore_database(stack, folder / backup.DATABASE, manifest["counts"])
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


def _restore_database(stack: Stack, dump: Path, counts: Mapping[str, int]) -> None:
    log_progress("restoring the database beside the current one")
    with Session(backup.psql(stack, "postgres")) as session:
        session.query(f"DROP DATABASE IF EXISTS {_RESTORED} WITH (FORCE)")
        session.query(f"CREATE DATABASE {_RESTORED}")
    with dump.open("rb") as file:
        stack.postgres_tool("pg_restore", "--exit-on-error", "-d", _RESTORED).run(stdin=file)
    with Session(backup.psql(stack, _RESTORED)) as session:
        restored = backup.count_rows(session)
        session.query("ANALYZE")
    if restored != counts:
        raise StackError(f"the dump must contain {backup.describe(counts)}, but has {backup.describe(restored)}")


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
    stack.broker_tool("-q", "delete_vhost", VHOST).run()
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps(own).encode())
        file.seek(0)
        stack.broker_tool("-q", "import_definitions", "/dev/stdin").run(stdin=file)


def verify(settings: Mapping[str, str]) -> str:
    """Recompute all invariants, and return their status; raise a StackError if one is broken."""
    gateway.fetch_json(settings, "GET", "/invariants?full=1")
    report: dict[str, Any] = {}

    def has_finished() -> bool:
        nonlocal report
        report = gateway.fetch_json(settings, "GET", "/invariants")
        return report["full"] not in ("PENDING", "PROGRESS")

    wait_until("invariants: recomputed", has_finished, _FULL_RUN_SECONDS)
    if (report["status"], report["full"]) != ("OK", "SUCCESS"):
        raise StackError("the data is restored, but an invariant is broken: see the page Invariants of the console")
    return "all invariants hold"
