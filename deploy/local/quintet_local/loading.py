"""`make load-data`: uploads files of factories and sprockets to factory-service, and waits until they are loaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from quintet_local.progress import StackError, log_progress, wait_until

SAMPLES_DIR = Path(__file__).resolve().parents[3] / "factory-service" / "samples"
_FINAL_STATUSES = ("SUCCESS", "FAILURE")
# The service responds after the whole upload, which takes minutes for a large file.
_UPLOAD_SECONDS = 600
_LOAD_SECONDS = 3600


def load(address: str, settings: Mapping[str, str], files: list[str]) -> None:
    """Load the files one after another, so that IDs follow their order."""
    user = settings["ADMIN_USER"], settings["ADMIN_PASSWORD"]
    for file in map(Path, files or sorted(map(str, SAMPLES_DIR.glob("*.json")))):
        status = _load_file(address, user, file)
        if status["status"] == "FAILURE":
            raise StackError(f"{file} could not be loaded: {status['error']}")
        counts = {name: status[name] for name in ("factories", "points", "sprockets") if status[name]}
        summary = ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing new"
        log_progress(f"{file.name}: {summary}; {status['skipped']} existing entries were skipped")


def _load_file(address: str, user: tuple[str, str], file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as content:
            response = requests.post(
                f"{address}/api/factories/load",
                data=content,
                headers={"Content-Type": "application/json"},
                auth=user,
                timeout=_UPLOAD_SECONDS,
            )
        if response.status_code != 202:
            raise StackError(f"{file} could not be uploaded: {response.status_code} {response.text}")
        status_url = address + response.headers["Location"]
        statuses: list[dict[str, Any]] = []

        def is_final() -> bool:
            statuses.append(requests.get(status_url, auth=user, timeout=30).json())
            return statuses[-1].get("status") in _FINAL_STATUSES

        wait_until(f"{file.name}: loaded", is_final, _LOAD_SECONDS)
        return statuses[-1]
    except OSError as error:
        # The exceptions of requests are subclasses of OSError.
        raise StackError(f"{file} could not be loaded: {error}") from None
