"""Converts the output of `docker compose config` into a file for `docker stack deploy`.

A swarm runs programs on several machines, so it knows neither folders of one machine nor dependencies between programs.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quintet_compose.secret_files import DATABASE, Addresses
from quintet_local.progress import StackError

ADDRESSES = Addresses(database=f"postgres:5432/{DATABASE}")
# Programs that share a volume with Postgres in Compose, and have no network there, connect to it through this one.
DATABASE_NETWORK, _SOCKET_VOLUME = "database", "postgres-socket"
# The node with the volumes: `docker node update --label-add quintet=data NODE`.
_DATA_NODE = "node.labels.quintet == data"
# Temporary files of the gateway, which may differ on each node.
_CACHE_VOLUME = "gateway-temp"
_JOBS = ("roles", "-migrate")
SERVERS = ("postgres", "rabbitmq", "redis")
_COPIED = (
    "image", "command", "entrypoint", "environment", "labels", "read_only", "init", "cap_drop", "user", "hostname",
    "stop_grace_period", "stop_signal", "healthcheck", "logging",
)  # fmt: skip


def parse_replicas(text: str) -> tuple[str, int]:
    """Return the program and the number of `orders-web=3`."""
    program, _, count = text.partition("=")
    return program, int(count)


def is_job(program: str) -> bool:
    return program.endswith(_JOBS)


def stack_file(compose: Mapping[str, Any], secrets: Path, replicas: Mapping[str, int], step: str) -> dict[str, Any]:
    """Return the stack file; the step `servers` has only the servers and the jobs that prepare Postgres.

    Secrets and configurations cannot be changed in a swarm, so each of their names ends with a digest of the content.
    """
    converter = _Converter(compose["name"], secrets)
    services = {
        name: converter.service(name, program, replicas.get(name, 1))
        for name, program in compose["services"].items()
        if step == "all" or name in SERVERS or is_job(name)
    }
    used_networks = {network for service in services.values() for network in service["networks"]}
    volumes = {mount["source"] for service in services.values() for mount in service["volumes"] if "source" in mount}
    return {
        "version": "3.13",
        "services": services,
        "networks": {name: _network(compose["networks"].get(name)) for name in sorted(used_networks)},
        "volumes": {name: {} for name in sorted(volumes)},
        "secrets": converter.secrets,
        "configs": converter.configs,
    }


class _Converter:
    def __init__(self, project: str, folder: Path) -> None:
        self.project = project
        self.folder = folder
        self.secrets: dict[str, Any] = {}
        self.configs: dict[str, Any] = {}

    def service(self, name: str, program: Mapping[str, Any], replicas: int) -> dict[str, Any]:
        service = {key: program[key] for key in _COPIED if program.get(key) is not None}
        # A secret must not be empty, and a setting with an empty file is unset.
        empty = [name for name in _secret_names(program) if not (self.folder / name).read_bytes()]
        unset = {None, *(f"/run/secrets/{name}" for name in empty)}
        service["environment"] = {
            variable: value for variable, value in program.get("environment", {}).items() if value not in unset
        }
        service["networks"] = sorted({*program.get("networks", {}), *_database_networks(program)})
        service["secrets"] = [self._secret(name) for name in _secret_names(program) if name not in empty]
        service["configs"], service["volumes"] = [], _temporary_folders(program)
        for mount in program.get("volumes", []):
            self._mount(service, mount)
        if name == "postgres":
            self._open_postgres(service)
        if name == "roles":
            service["environment"]["PGHOST"] = "postgres"
        service["ports"] = [
            {"target": port["target"], "published": int(port["published"]), "protocol": "tcp", "mode": "host"}
            for port in program.get("ports", [])
        ]
        has_data = any(mount.get("source", _CACHE_VOLUME) != _CACHE_VOLUME for mount in service["volumes"])
        service["deploy"] = _deployment(name, program, replicas, has_data)
        return service

    def _mount(self, service: dict[str, Any], mount: Mapping[str, Any]) -> None:
        if mount.get("source") in (_SOCKET_VOLUME, "/dev/null"):
            return
        if mount["target"].startswith("/tls/"):
            service["secrets"].append(self._tls_secret(Path(mount["source"]), mount["target"]))
            return
        if mount["type"] == "volume":
            service["volumes"].append({"type": "volume", "source": mount["source"], "target": mount["target"]})
            return
        # The rules of Compose accept only connections through the socket.
        source = Path(mount["source"])
        if source.name == "pg_hba.conf":
            source = source.with_name("pg_hba_network.conf")
        files = {str(file.relative_to(source)): file for file in source.iterdir()} if source.is_dir() else {"": source}
        for path, file in sorted(files.items()):
            if file.is_file() and not file.name.endswith((".yaml", ".lock")):
                service["configs"].append(self._config(file, str(Path(mount["target"], path))))

    def _open_postgres(self, service: dict[str, Any]) -> None:
        """Let Postgres listen on its network in addition to its socket."""
        service["command"] = [word for word in service["command"] if not word.startswith("-clisten_addresses")]
        service["volumes"].append({"type": "tmpfs", "target": "/run/postgresql"})

    def _secret(self, name: str) -> str:
        file = self.folder / name
        self.secrets[name] = {"file": str(file), "name": f"{self.project}_{name}_{_digest(file)}"}
        return name

    def _tls_secret(self, file: Path, target: str) -> dict[str, Any]:
        name = Path(target).name.replace(".", "_")
        self.secrets[name] = {"file": str(file), "name": f"{self.project}_{name}_{_digest(file)}"}
        return {"source": name, "target": target}

    def _config(self, file: Path, target: str) -> dict[str, Any]:
        name = f"{file.parent.name}_{file.name}".strip(".").replace(".", "_")
        self.configs[name] = {"file": str(file), "name": f"{self.project}_{name}_{_digest(file)}"}
        return {"source": name, "target": target, "mode": 0o444}


def _secret_names(program: Mapping[str, Any]) -> list[str]:
    return [secret["source"] for secret in program.get("secrets", [])]


def _digest(file: Path) -> str:
    if not file.exists():
        raise StackError(f"{file} must exist")
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def _database_networks(program: Mapping[str, Any]) -> set[str]:
    sources = {mount.get("source") for mount in program.get("volumes", [])}
    return {DATABASE_NETWORK} if _SOCKET_VOLUME in sources else set()


def _temporary_folders(program: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return volumes of the type tmpfs, whose root any user may write to. The owner cannot be set in a stack file."""
    folders: list[dict[str, Any]] = [
        {"type": "tmpfs", "target": folder.partition(":")[0]} for folder in program.get("tmpfs", [])
    ]
    if size := program.get("shm_size"):
        folders.append({"type": "tmpfs", "target": "/dev/shm", "tmpfs": {"size": int(size)}})
    return folders


def _deployment(name: str, program: Mapping[str, Any], replicas: int, has_data: bool) -> dict[str, Any]:
    is_stateless = not (has_data or program.get("ports") or is_job(name) or name in SERVERS)
    deployment: dict[str, Any] = {
        "replicas": replicas,
        # A name resolves to the addresses of all its tasks, so that the gateway can try another one. The default would
        # need IPVS in the kernel.
        "endpoint_mode": "dnsrr",
        # Without dependencies, a job fails until Postgres is up, so it is repeated without a limit.
        "restart_policy": {"condition": "on-failure" if is_job(name) else "any", "delay": "2s"},
        # Two tasks with the same data or the same port of the machine cannot run together.
        "update_config": {"order": "start-first" if is_stateless else "stop-first", "failure_action": "pause"},
        "resources": {"limits": {"memory": str(program["mem_limit"]), "pids": program["pids_limit"]}},
    }
    if has_data:
        deployment["placement"] = {"constraints": [_DATA_NODE]}
    return deployment


def _network(network: Mapping[str, Any] | None) -> dict[str, Any]:
    is_internal = network is None or network.get("internal", False)
    return {"driver": "overlay", "internal": is_internal}
