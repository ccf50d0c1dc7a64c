"""`make backup`: a consistent copy of everything that a stack stores.

The database alone would not be complete: a message that has left an outbox and has not been handled yet is only in
RabbitMQ. Therefore the relays are stopped first, by taking their locks, and the queues are empty when the snapshot of
the database is taken. Meanwhile the services respond as usual, and messages wait in the outboxes. The locks end with
their session, so that a backup that is killed stops nothing.
"""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from chassis.messaging.relay import LOCK_NAMESPACE, RELEASE, lock_key
from quintet_local import new_folder
from quintet_local.broker_users import VHOST
from quintet_local.layout import CHECKOUT
from quintet_local.progress import StackError, log_progress, wait_until
from quintet_local.tools import Session, Tool

FORMAT = 1
MANIFEST, DATABASE, FILES, DEFINITIONS, USERS = "manifest.json", "database.dump", "files.tar", "rabbitmq.json", "users"
USER_FILES = ("htpasswd", "roles.conf")
# What a backup and a restore report, and compare.
COUNTED = {
    "sequences": "sequence.sequences",
    "streams": "event.streams",
    "events": "event.events",
    "orders": "orders.orders",
    "datasets": "specstore.datasets",
    "factories": "factory.factories",
    "sprockets": "factory.sprockets",
}
_LOCK_SECONDS, _DRAIN_SECONDS = 30, 60
# RabbitMQ counts the messages of a quorum queue every 5 s; before that, a queue with a message can appear to be empty.
_COUNT_SECONDS = 6
# After a restore, a pipeline that was waiting is queued again, and one that was running fails with a time-out.
_RECOVERABLE_QUEUE = "specstore.pipeline"


class Stack(Protocol):
    """Interface of a stack that can be backed up and restored."""

    @property
    def service_names(self) -> Sequence[str]: ...

    @property
    def env_file(self) -> Path: ...

    @property
    def settings(self) -> Mapping[str, str]: ...

    def users_environment(self) -> Mapping[str, str]: ...

    def exclusive_lock(self) -> AbstractContextManager[None]: ...

    def postgres_tool(self, program: str, *arguments: str) -> Tool:
        """Return a program of Postgres that connects as the administrator."""

    def broker_tool(self, *arguments: str) -> Tool:
        """Return rabbitmqctl."""

    def files_tool(self, script: str) -> Tool:
        """Return a shell script that runs in the folder of specstore-service's files."""

    def stop_programs(self) -> None:
        """Stop everything but Postgres and RabbitMQ; the cache thereby becomes empty."""

    def skip_numbers(self, count: int) -> str:
        """Migrate sequence-service, let it skip numbers of every sequence, and return its report."""


def psql(stack: Stack, database: str) -> Tool:
    return stack.postgres_tool("psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", database)


def count_rows(session: Session) -> dict[str, int]:
    """Return the number of rows of each counted table that exists: not all do in the data of another version."""
    tables = {
        name: table
        for name, table in COUNTED.items()
        if session.value(f"SELECT to_regclass('{table}') IS NOT NULL") == "t"
    }
    return {name: int(session.value(f"SELECT count(*) FROM {table}")) for name, table in tables.items()}


def describe(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count:,}" for name, count in counts.items())


def create(stack: Stack, folder: Path) -> None:
    """Write a backup into a new folder, which appears when it is complete."""
    with new_folder.create(folder) as new:
        _require_servers(stack)
        manifest = _write_data(stack, new)
        _write_users(stack, new / USERS)
        (new / DEFINITIONS).write_bytes(stack.broker_tool("-q", "export_definitions", "-").run())
        manifest["sha256"] = new_folder.digests(new)
        (new / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    log_progress(f"{folder}: {describe(manifest['counts'])}")


def _require_servers(stack: Stack) -> None:
    try:
        psql(stack, "quintet").run()
        _list_queues(stack)
    except StackError as error:
        raise StackError(f"the stack must be running: run `make up`, then try again\n{error}") from None


def _write_data(stack: Stack, folder: Path) -> dict[str, Any]:
    with Session(psql(stack, "quintet")) as session:
        _stop_relays(session, stack.service_names)
        _wait_until_handled(stack)
        session.query("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        snapshot = session.value("SELECT pg_export_snapshot()")
        created_at = datetime.now(UTC)
        session.query("SELECT pg_advisory_unlock_all()")
        log_progress("the snapshot is taken; copying the files and the database")
        manifest = {
            "format": FORMAT,
            "version": (CHECKOUT / "VERSION").read_text().strip(),
            "created_at": created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "services": list(stack.service_names),
            "counts": count_rows(session),
        }
        # Right after the snapshot: every file to which it refers exists, and few can have been deleted since.
        manifest["files"] = _write_files(stack, folder / FILES)
        with (folder / DATABASE).open("wb") as out:
            dump = stack.postgres_tool("pg_dump", "--format=custom", f"--snapshot={snapshot}", "quintet")
            dump.run(stdout=out)
        return manifest


def _stop_relays(session: Session, services: Sequence[str]) -> None:
    """Wait until each relay has handed its lock to this session: no message is published before it ends."""
    log_progress("waiting until no message is being delivered")
    session.query(f"SET lock_timeout = '{_LOCK_SECONDS}s'")
    for service in services:
        try:
            session.query(f"SELECT pg_notify('{service}', '{RELEASE}')")
            session.query(f"SELECT pg_advisory_lock({LOCK_NAMESPACE}, {lock_key(service)})")
        except StackError as error:
            raise StackError(
                f"nothing was backed up: {service}-worker did not stop delivering within {_LOCK_SECONDS} s. If it"
                " runs an older version, apply this one with `make up RELOAD=1`; see also"
                f" `make logs S={service}-worker`\n{error}"
            ) from None


def _wait_until_handled(stack: Stack) -> None:
    started_at = time.monotonic()
    pending: dict[str, int] = {}

    def is_handled() -> bool:
        nonlocal pending
        seconds = time.monotonic() - started_at
        if seconds < _COUNT_SECONDS:
            return False
        queues = _list_queues(stack)
        dead = {queue: count for queue, count in queues.items() if queue.endswith(".dead")}
        pending = {queue: count for queue, count in queues.items() if queue not in dead}
        if set(pending) == {_RECOVERABLE_QUEUE} and seconds > _DRAIN_SECONDS:
            log_progress("pipelines that are running will fail with a time-out after a restore, and can be run again")
        elif pending:
            return False
        if dead:
            log_progress(f"not in the backup: dead letters ({_describe_queues(dead)}); see `make dead-letters`")
        return True

    wait_until(
        "all messages: handled",
        is_handled,
        # Longer than the time after which running pipelines are ignored.
        _DRAIN_SECONDS + 2 * _COUNT_SECONDS,
        advice=lambda: (
            f"nothing was backed up, because these queues are not empty: {_describe_queues(pending)}."
            " Run `make status`, and try again when less is in progress"
        ),
        describe_pending=lambda: _describe_queues(pending),
    )


def _list_queues(stack: Stack) -> dict[str, int]:
    """Return the number of messages, including those that are being handled, of each queue that is not empty."""
    columns = ("name", "messages")
    output = stack.broker_tool("-q", "list_queues", "-p", VHOST, *columns, "--formatter", "json").run()
    queues = {queue["name"]: int(queue["messages"]) for queue in json.loads(output)}
    return {name: count for name, count in queues.items() if count and name.partition(".")[0] in stack.service_names}


def _describe_queues(queues: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in sorted(queues.items()))


def _write_files(stack: Stack, file: Path) -> str:
    if bucket := stack.settings.get("S3_BUCKET"):
        log_progress(f"not in the backup: the files of specstore-service in the bucket {bucket}")
        return f"s3://{bucket}"
    with file.open("wb") as out:
        # Files that disappear meanwhile were abandoned; tar then returns 1.
        stack.files_tool("tar -cf - --exclude ./scratch . || [ $? = 1 ]").run(stdout=out)
    return FILES


def _write_users(stack: Stack, folder: Path) -> None:
    folder.mkdir(mode=0o700)
    for name in USER_FILES:
        shutil.copyfile(Path(stack.users_environment()["GATEWAY_USERS_DIR"]) / name, folder / name)
