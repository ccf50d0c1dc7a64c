"""An engine, where one answers, and what belongs on it to a stack of these tests."""

import secrets
import subprocess
import tarfile
import tempfile

import pytest

from quintet_compose import identity


def docker(*words):
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout.split()


@pytest.fixture(scope="session")
def engine():
    try:
        docker("info")
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("no Docker engine answers")


@pytest.fixture(autouse=True)
def _nothing_of_the_developer(monkeypatch):
    monkeypatch.setattr(identity, "OLD_PROJECT", f"quintet-tests-{secrets.token_hex(4)}")
    for name in ("COMPOSE_PROJECT_NAME", "STACK_DIR", "YES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project():
    return f"quintet-tests-{secrets.token_hex(4)}"


@pytest.fixture
def make_volume():
    """Make one as Compose does, with the label that a stack gives it; "" as stacks of old did, without."""
    made = []

    def make(project, stack_id):
        label = ["--label", f"quintet.stack={stack_id}"] if stack_id else []
        words = ["--label", f"com.docker.compose.project={project}", *label, f"{project}_postgres"]
        made.extend(docker("volume", "create", *words))
        return made[-1]

    yield make
    subprocess.run(["docker", "volume", "rm", "--force", *made], capture_output=True)


@pytest.fixture(scope="session")
def empty_image(engine):
    name = f"quintet-tests-empty:{secrets.token_hex(4)}"
    with tempfile.TemporaryFile() as archive:
        tarfile.open(fileobj=archive, mode="w").close()
        archive.seek(0)
        subprocess.run(["docker", "import", "-", name], stdin=archive, capture_output=True, check=True)
    yield name
    subprocess.run(["docker", "image", "rm", name], capture_output=True)


@pytest.fixture
def make_container(empty_image):
    """Make one as Compose does, which never runs; "" for the ID makes one without its label."""
    made = []

    def make(project, stack_id):
        label = ["--label", f"quintet.stack={stack_id}"] if stack_id else []
        name = f"{project}-postgres-1"
        words = ["--label", f"com.docker.compose.project={project}", *label, "--name", name, empty_image, "true"]
        docker("container", "create", *words)
        made.append(name)
        return name

    yield make
    for name in made:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True)


@pytest.fixture
def containers():
    """Tell the names of all that are there."""
    return lambda: set(docker("ps", "--all", "--format", "{{.Names}}"))


@pytest.fixture
def volumes():
    """Tell the names of all that are there."""
    return lambda: set(docker("volume", "ls", "--quiet"))
