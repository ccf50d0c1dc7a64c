"""`docker compose up` stops all changed containers before it starts their successors, as an upgrade requires.

A worker of the previous version may not know the messages of a new web process.
"""

import json
import subprocess
import time

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("engine")]

IMAGE = "redis:8"
COMPOSE_FILE = {
    "services": {name: {"image": IMAGE, "environment": ["VERSION"]} for name in ("web", "worker", "gateway")}
}


@pytest.fixture
def compose(tmp_path, project):
    """Return a function that runs `docker compose` for a project of three containers with a version."""
    if subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True).returncode:
        pytest.skip(f"the image {IMAGE} is not available")
    file = tmp_path / "compose.yml"
    file.write_text(json.dumps(COMPOSE_FILE))

    def run(*arguments, version="1"):
        command = ["docker", "compose", "--project-name", project, "--file", str(file), *arguments]
        subprocess.run(["env", f"VERSION={version}", *command], check=True, capture_output=True)

    yield run
    run("down", "--volumes")


def test_containers_of_the_previous_version_stop_before_those_of_the_new_one_start(compose, project):
    compose("up", "--detach")
    started_at = time.time()
    compose("up", "--detach", version="2")
    label = f"label=com.docker.compose.project={project}"
    filters = [option for name in (label, "event=die", "event=start") for option in ("--filter", name)]
    command = ["docker", "events", "--since", str(started_at), "--until", str(time.time()), "--format", "{{.Action}}"]
    events = subprocess.run([*command, *filters], check=True, capture_output=True, text=True).stdout.split()
    assert events == ["die"] * 3 + ["start"] * 3
