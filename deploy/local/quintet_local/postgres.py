"""Postgres: its data folder, its process and its roles."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil

from quintet_local import binaries, envfile, postgres_user
from quintet_local.layout import Layout
from quintet_local.postgres_user import ADMIN, INITDB_OPTIONS
from quintet_local.progress import StackError, log_progress
from quintet_local.supervise import Program
from quintet_local.tools import Tool

NAME = "postgres"
DATABASE = "quintet"


class Postgres:
    """The Postgres server of one stack; postgres_user.py explains which user it runs as."""

    def __init__(self, layout: Layout, settings: Mapping[str, str], port: int) -> None:
        self.layout = layout
        self.password = settings["POSTGRES_PASSWORD"]
        self.settings = settings
        self.port = port
        self.command_prefix = postgres_user.command_prefix()
        self.data = layout.home / "postgres"

    def program(self) -> Program:
        options = {
            "config_file": self.layout.checkout / "deploy" / "postgres" / "postgresql.conf",
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
        }
        flags = [flag for name, value in options.items() for flag in ("-c", f"{name}={value}")]
        command = [str(binaries.postgres("postgres")), "-D", str(self.data), *flags]
        # After SIGTERM, Postgres would wait for its clients.
        return Program(NAME, command, prefix=self.command_prefix, stop_signal="INT", orphan_signal="INT")

    def prepare(self) -> None:
        """Create the data folder if it does not exist."""
        self._move_legacy_data()
        if not (self.data / "PG_VERSION").exists():
            log_progress("postgres: creating its data folder")
            shutil.rmtree(self.data, ignore_errors=True)
            self._initialize(self.data.with_name("postgres.new")).rename(self.data)
        self._change_owner(self.data)

    def remove_stale_lock(self) -> None:
        """Remove the lock file if its process ID belongs to another process: Postgres would not start."""
        lock = self.data / "postmaster.pid"
        if lock.exists() and not self._is_running_here(int(lock.read_text().split()[0])):
            lock.unlink()

    def is_ready(self) -> bool:
        """Return whether it accepts changes, as not during a recovery; raise a StackError if the password is wrong."""
        result = self._psql("-d", "postgres", "-c", "SELECT pg_is_in_recovery()")
        if "password authentication failed" in result.stderr:
            raise StackError(
                f"POSTGRES_PASSWORD in {self.layout.env_file} must be the one that the data in {self.data} was created "
                "with: restore the previous .env, or run `make clean` to start over"
            )
        return result.stdout.strip() == "f"

    def create_roles(self, services: list[str]) -> None:
        script = self.layout.checkout / "deploy" / "postgres" / "roles.sql"
        for service in services:
            password = self.settings[envfile.database_password_name(service)]
            environment = {"SERVICE": service, "SERVICE_PASSWORD": password}
            result = self._psql("-d", "postgres", "-f", str(script), **environment)
            if result.returncode:
                raise StackError(f"the role of {service} could not be created:\n{result.stdout}{result.stderr}")

    def admin_url(self) -> str:
        return f"postgresql://{ADMIN}:{self.password}@127.0.0.1:{self.port}/{DATABASE}"

    def service_url(self, service: str) -> str:
        password = self.settings[envfile.database_password_name(service)]
        return f"postgresql://{service}:{password}@127.0.0.1:{self.port}/{DATABASE}"

    def tool(self, program: str, *arguments: str) -> Tool:
        """Return a program of Postgres that connects as the administrator."""
        connection = {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": ADMIN,
            "PGPASSWORD": self.password,
            "PGCONNECT_TIMEOUT": "5",
            "PGOPTIONS": "-c client_min_messages=warning",
        }
        return Tool(program, [str(binaries.postgres(program)), *arguments], connection)

    def _psql(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        psql = self.tool("psql", "-X", "-A", "-t", *arguments)
        return subprocess.run(psql.command, env={**psql.environment, **environment}, capture_output=True, text=True)

    def _initialize(self, data: Path) -> Path:
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=self.layout.home) as password_file:
            password_file.write(self.password)
            password_file.flush()
            for path in (data, Path(password_file.name)):
                self._change_owner(path)
            options = [*INITDB_OPTIONS, "-A", "scram-sha-256", "--data-checksums", "--pwfile", password_file.name]
            command = [*self.command_prefix, str(binaries.postgres("initdb")), *options, "-D", str(data)]
            result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            raise StackError(f"the data folder could not be initialized:\n{result.stdout}{result.stderr}")
        return data

    def _change_owner(self, path: Path) -> None:
        """Change the owner to the user that Postgres runs as, which it requires for its data folder."""
        is_nobody = self.command_prefix == postgres_user.SETPRIV
        owner, group = (postgres_user.NOBODY,) * 2 if is_nobody else (os.getuid(), os.getgid())
        if path.stat().st_uid != owner:
            for entry in (path, *path.rglob("*")):
                os.chown(entry, owner, group)

    def _move_legacy_data(self) -> None:
        """Move data from the folder in which older versions kept it for another user."""
        legacy = self.layout.nobody_dir / "postgres"
        if legacy.exists() and not self.data.exists():
            shutil.move(legacy, self.data)
            shutil.rmtree(self.layout.nobody_dir)

    def _is_running_here(self, pid: int) -> bool:
        try:
            return bool(psutil.Process(pid).cwd() == str(self.data))
        except psutil.Error:
            return False
