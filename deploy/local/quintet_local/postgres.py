"""Postgres: its data folder, its process, its roles."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil

from quintet_local import binaries, envfile, postgres_user
from quintet_local.layout import Layout
from quintet_local.postgres_user import ADMIN, INITDB
from quintet_local.progress import StackError, say
from quintet_local.supervise import Program

NAME = "postgres"
DATABASE = "quintet"


class Postgres:
    """The server of one stack; who it runs as is explained in postgres_user.py."""

    def __init__(self, layout: Layout, settings: Mapping[str, str], port: int) -> None:
        self.layout = layout
        self.password = settings["POSTGRES_PASSWORD"]
        self.settings = settings
        self.port = port
        self.user_prefix = postgres_user.prefix()
        self.data = layout.home / "postgres"

    def program(self) -> Program:
        options = {
            "config_file": self.layout.checkout / "deploy" / "postgres" / "postgresql.conf",
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
        }
        flags = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        command = [str(binaries.postgres("postgres")), "-D", str(self.data), *flags]
        # SIGTERM would make it wait for its clients.
        return Program(NAME, command, prefix=self.user_prefix, stop_signal="INT", orphan_signal="INT")

    def prepare(self) -> None:
        """Make the data folder if there is none."""
        self._bring_home()
        if not (self.data / "PG_VERSION").exists():
            say("postgres: making its data folder")
            shutil.rmtree(self.data, ignore_errors=True)
            self._initialize(self.data.with_name("postgres.new")).rename(self.data)
        self._give(self.data)

    def remove_stale_lock(self) -> None:
        """Postgres refuses to start if the process ID in its lock file has gone to another process."""
        lock = self.data / "postmaster.pid"
        if lock.exists() and not self._is_of_this_folder(int(lock.read_text().split()[0])):
            lock.unlink()

    def answers(self) -> bool:
        """A StackError if it does, but refuses the password: waiting would not help."""
        asked = self._psql("-d", "postgres", "-c", "SELECT 1")
        if "password authentication failed" in asked.stderr:
            raise StackError(
                f"POSTGRES_PASSWORD in {self.layout.env_file} does not fit the data in {self.data}: "
                "put the old .env back, or `make clean` to begin anew"
            )
        return asked.returncode == 0

    def make_roles(self, services: list[str]) -> None:
        script = self.layout.checkout / "deploy" / "postgres" / "roles.sql"
        for service in services:
            password = self.settings[envfile.database_password_name(service)]
            environment = {"SERVICE": service, "SERVICE_PASSWORD": password}
            done = self._psql("-d", "postgres", "-f", str(script), **environment)
            if done.returncode:
                raise StackError(f"{script.name} for {service} failed:\n{done.stdout}{done.stderr}")

    def admin_url(self) -> str:
        return f"postgresql://{ADMIN}:{self.password}@127.0.0.1:{self.port}/{DATABASE}"

    def service_url(self, service: str) -> str:
        password = self.settings[envfile.database_password_name(service)]
        return f"postgresql://{service}:{password}@127.0.0.1:{self.port}/{DATABASE}"

    def _psql(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        connection = {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": ADMIN,
            "PGPASSWORD": self.password,
            "PGCONNECT_TIMEOUT": "5",
            "PGOPTIONS": "-c client_min_messages=warning",
        }
        command = [str(binaries.postgres("psql")), "-X", "-A", "-t", *arguments]
        return subprocess.run(command, env=connection | environment, capture_output=True, text=True)

    def _initialize(self, data: Path) -> Path:
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=self.layout.home) as password_file:
            password_file.write(self.password)
            password_file.flush()
            for path in (data, Path(password_file.name)):
                self._give(path)
            words = [*INITDB, "-A", "scram-sha-256", "--data-checksums", "--pwfile", password_file.name]
            command = [*self.user_prefix, str(binaries.postgres("initdb")), *words, "-D", str(data)]
            made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode:
            raise StackError(f"initdb failed:\n{made.stdout}{made.stderr}")
        return data

    def _give(self, path: Path) -> None:
        """Make the user that Postgres runs as the owner: it insists on that for its folder."""
        is_nobody = self.user_prefix == postgres_user.SETPRIV
        owner, group = (postgres_user.NOBODY,) * 2 if is_nobody else (os.getuid(), os.getgid())
        if path.stat().st_uid != owner:
            for each in (path, *path.rglob("*")):
                os.chown(each, owner, group)

    def _bring_home(self) -> None:
        """Data that another user was to reach was once kept elsewhere."""
        former = self.layout.for_nobody / "postgres"
        if former.exists() and not self.data.exists():
            shutil.move(former, self.data)
            shutil.rmtree(self.layout.for_nobody)

    def _is_of_this_folder(self, pid: int) -> bool:
        try:
            return bool(psutil.Process(pid).cwd() == str(self.data))
        except psutil.Error:
            return False
