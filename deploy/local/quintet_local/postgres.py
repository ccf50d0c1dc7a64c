"""Postgres: its data folder, its process, its roles."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil

from quintet_local import binaries, disguise, envfile, processes
from quintet_local.layout import Layout, make_private
from quintet_local.progress import StackError, say
from quintet_local.supervise import Program

NAME = "postgres"
ADMIN = "admin"
DATABASE = "quintet"
INITDB = ["-U", ADMIN, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--locale-provider=builtin",
          "--builtin-locale=C.UTF-8", "--data-checksums", "--no-instructions"]  # fmt: skip


class Postgres:
    """The server of one stack; who it runs as is explained in disguise.py."""

    def __init__(self, layout: Layout, settings: Mapping[str, str], port: int) -> None:
        self.layout = layout
        self.password = settings["POSTGRES_PASSWORD"]
        self.settings = settings
        self.port = port
        self.disguise = disguise.choose()
        self.home = layout.for_nobody if self.disguise == disguise.SETPRIV else layout.home
        self.data = self.home / "postgres"

    def program(self) -> Program:
        file = self.layout.checkout / "deploy" / "postgres" / "postgresql.conf"
        if self.disguise == disguise.SETPRIV:
            file = self._copy_for_nobody(file)
        options = {
            "config_file": file,
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
        }
        flags = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return Program(
            NAME,
            [*self.disguise, str(self._binary("postgres")), "-D", str(self.data), *flags],
            stop_signal="INT",
        )

    def prepare(self) -> None:
        """Makes the data folder if there is none, and clears away what a crash of the machine left."""
        if (self.data / "PG_VERSION").exists():
            self._remove_stale_lock()
            return
        say("postgres: making its data folder")
        shutil.rmtree(self.data, ignore_errors=True)
        making = self.data.with_name("postgres.new")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=self.home) as password_file:
            password_file.write(self.password)
            password_file.flush()
            if self.disguise == disguise.SETPRIV:
                os.chown(making, disguise.NOBODY, disguise.NOBODY)
                os.chown(password_file.name, disguise.NOBODY, disguise.NOBODY)
            arguments = [*INITDB, "--pwfile", password_file.name, "-D", str(making)]
            made = subprocess.run(
                [*self.disguise, str(self._binary("initdb")), *arguments], capture_output=True, text=True
            )
        if made.returncode:
            raise StackError(f"initdb failed:\n{made.stdout}{made.stderr}")
        making.rename(self.data)

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

    def _binary(self, name: str) -> Path:
        binary = binaries.postgres(name)
        if self.disguise != disguise.SETPRIV:
            return binary
        package = binary.parents[2]
        # Programs and libraries find each other by relative path.
        self._copy_for_nobody(package.with_name(f"{package.name}.libs"))
        return self._copy_for_nobody(package) / binary.relative_to(package)

    def _copy_for_nobody(self, source: Path) -> Path:
        make_private(self.home)
        self.home.chmod(0o711)
        copy = self.home / source.name
        if source.is_file():
            copy.write_text(source.read_text())
            copy.chmod(0o644)
        elif not copy.exists():
            say(f"postgres: copying {source.name} to {self.home}, where the user nobody can read it")
            making = self.home / f"{source.name}.new"
            shutil.rmtree(making, ignore_errors=True)
            shutil.copytree(source, making)
            making.rename(copy)
        return copy

    def _remove_stale_lock(self) -> None:
        """Postgres refuses to start if the number in its lock file has gone to another process."""
        lock = self.data / "postmaster.pid"
        if not lock.exists():
            return
        pid = int(lock.read_text().split("\n", 1)[0])
        if processes.works_in(self.data, pid):
            say(f"postgres: stopping one that was left over (pid {pid})")
            processes.stop([psutil.Process(pid)], signal.SIGINT)
        lock.unlink(missing_ok=True)
