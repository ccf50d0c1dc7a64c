"""`make load-data`: uploads files of factories and sprockets to factory-service, and waits until they are loaded."""

from pathlib import Path

import quintet
from quintet_local.progress import StackError, log_progress, wait_until

SAMPLES_DIR = Path(__file__).resolve().parents[3] / "factory-service" / "samples"
# The service responds after the whole upload, which takes minutes for a large file.
_UPLOAD_SECONDS = 600
# A stack that is starting or restarting responds soon; without a stack, the error should not take long.
_RETRY_SECONDS = 5
_LOAD_SECONDS = 3600


def load(url: str, files: list[str]) -> None:
    """Load the files one after another, so that IDs follow their order."""
    # The certificate is issued for the public name of the gateway, but the URL contains the loopback address.
    with quintet.Quintet(url, timeout_seconds=_UPLOAD_SECONDS, retry_seconds=_RETRY_SECONDS, verify=False) as client:
        for file in map(Path, files or sorted(map(str, SAMPLES_DIR.glob("*.json")))):
            try:
                _load_file(client, file)
            except quintet.Unavailable as error:
                raise StackError(f"{file} could not be loaded: is the stack running? {error}") from None
            except (quintet.QuintetError, OSError) as error:
                raise StackError(f"{file} could not be loaded: {error}") from None


def _load_file(client: quintet.Quintet, file: Path) -> None:
    task = client.factories.load(file)
    wait_until(f"{file.name}: loaded", lambda: task.status().is_finished, _LOAD_SECONDS)
    status = task.wait()
    counts = {"factories": status.factories, "points": status.points, "sprockets": status.sprockets}
    summary = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing new"
    log_progress(f"{file.name}: {summary}; {status.skipped} existing entries were skipped")
