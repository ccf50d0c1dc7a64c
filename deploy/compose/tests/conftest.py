"""The Docker engine, if one is available, and the volumes and containers that tests create on it."""

import secrets
import subprocess
import tarfile
import tempfile

import pytest

from quintet_compose import identity


def docker(*arguments):
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.split()


@pytest.fixture(scope="session")
def engine():
    try:
        docker("info")
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("no Docker engine is available")


@pytest.fixture(autouse=True)
def _ignore_the_stack_of_the_developer(monkeypatch):
    monkeypatch.setattr(identity, "LEGACY_PROJECT", f"quintet-tests-{secrets.token_hex(4)}")
    for name in ("COMPOSE_PROJECT_NAME", "STACK_DIR", "YES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project():
    return f"quintet-tests-{secrets.token_hex(4)}"


@pytest.fixture
def make_volume():
    """Create a volume as Compose does; an empty stack ID omits the label, as versions without labels did."""
    created = []

    def create(project, stack_id):
        label = ["--label", f"quintet.stack={stack_id}"] if stack_id else []
        options = ["--label", f"com.docker.compose.project={project}", *label]
        created.extend(docker("volume", "create", *options, f"{project}_postgres"))
        return created[-1]

    yield create
    subprocess.run(["docker", "volume", "rm", "--force", *created], capture_output=True)


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
    """Create a container as Compose does, without starting it; an empty stack ID omits the label."""
    created = []

    def create(project, stack_id):
        label = ["--label", f"quintet.stack={stack_id}"] if stack_id else []
        name = f"{project}-postgres-1"
        options = ["--label", f"com.docker.compose.project={project}", *label, "--name", name]
        docker("container", "create", *options, empty_image, "true")
        created.append(name)
        return name

    yield create
    for name in created:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True)


@pytest.fixture
def list_containers():
    """Return a function that lists the names of all containers."""
    return lambda: set(docker("ps", "--all", "--format", "{{.Names}}"))


@pytest.fixture
def list_volumes():
    """Return a function that lists the names of all volumes."""
    return lambda: set(docker("volume", "ls", "--quiet"))
