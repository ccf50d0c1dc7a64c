"""`make load-data`: files of factories and sprockets go to the factory-service; what comes of them is waited for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from quintet_local.progress import StackError, say, wait_until

SAMPLES = Path(__file__).resolve().parents[3] / "factory-service" / "samples"
_ENDED = ("SUCCESS", "FAILURE")
# The service says no later than this whether it takes a file; a large one takes a while to arrive.
_SEND_SECONDS = 600
_LOAD_SECONDS = 3600


def load(address: str, settings: Mapping[str, str], files: list[str]) -> None:
    """One after the other, so that ids follow the order of the files."""
    who = settings["ADMIN_USER"], settings["ADMIN_PASSWORD"]
    for file in map(Path, files or sorted(map(str, SAMPLES.glob("*.json")))):
        status = _load(address, who, file)
        if status["status"] == "FAILURE":
            raise StackError(f"{file}: nothing of it was loaded. {status['error']}")
        new = {name: status[name] for name in ("factories", "points", "sprockets") if status[name]}
        told = ", ".join(f"{count} {name}" for name, count in new.items()) or "nothing new"
        say(f"{file.name}: {told}; {status['skipped']} entries were here already")


def _load(address: str, who: tuple[str, str], file: Path) -> Any:
    try:
        with file.open("rb") as content:
            answer = requests.post(
                f"{address}/api/factories/load",
                data=content,
                headers={"Content-Type": "application/json"},
                auth=who,
                timeout=_SEND_SECONDS,
            )
        if answer.status_code != 202:
            raise StackError(f"{file}: {answer.status_code} {answer.text}")
        place = address + answer.headers["Location"]
        statuses: list[Any] = []

        def has_ended() -> bool:
            statuses.append(requests.get(place, auth=who, timeout=30).json())
            return statuses[-1].get("status") in _ENDED

        wait_until(f"{file.name}: loaded", has_ended, _LOAD_SECONDS)
        return statuses[-1]
    except OSError as error:
        # requests' own errors are OSErrors too.
        raise StackError(f"{file}: {error}") from None
