"""Each folder has its own stack, and commands do not act on the stack of another folder."""

import hashlib
import os
import shutil
import subprocess
import sys

import pytest

from quintet_compose import identity
from quintet_local import envfile
from quintet_local.layout import CHECKOUT, MARKER, Layout
from quintet_local.progress import StackError

pytestmark = pytest.mark.usefixtures("engine")
# `env` is the first step of `make up`; it starts nothing.
COMMANDS = [["env"], ["down"], ["clean", "--yes"]]


def prepare(home):
    """Run the first steps of `make up`, which start nothing, and return the identity of the stack."""
    home.mkdir(exist_ok=True)
    file = home / ".env"
    envfile.bind_to_folder(file)
    stack_identity = identity.ensure(home, file)
    envfile.ensure(file, ["sequence"], lambda port: port)
    return stack_identity


def clean(home, *arguments, standard_input=""):
    return run_command(home, "clean", *arguments, standard_input=standard_input)


def run_command(home, *arguments, standard_input="", **environment):
    return subprocess.run(
        [sys.executable, str(CHECKOUT / "deploy" / "compose"), *arguments],
        env=os.environ | {"STACK_DIR": str(home)} | environment,
        input=standard_input,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_two_folders_have_two_stacks(tmp_path):
    one, other = prepare(tmp_path / "one"), prepare(tmp_path / "other")
    assert one.project != other.project and one.stack_id != other.stack_id
    assert prepare(tmp_path / "one") == one


def test_project_name_in_env_before_the_first_up_is_used(tmp_path):
    (tmp_path / ".env").write_text("COMPOSE_PROJECT_NAME=chosen\n")
    assert prepare(tmp_path).project == "chosen"


def test_project_name_in_the_environment_is_stored_by_the_first_up(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "chosen")
    first = prepare(tmp_path)
    assert first.project == "chosen"
    assert prepare(tmp_path) == first
    monkeypatch.delenv("COMPOSE_PROJECT_NAME")
    assert prepare(tmp_path) == first


@pytest.mark.parametrize("stored", [None, "COMPOSE_PROJECT_NAME=chosen\n"])
def test_different_project_name_in_the_environment_is_rejected(tmp_path, monkeypatch, stored):
    if stored:
        (tmp_path / ".env").write_text(stored)
    else:
        prepare(tmp_path)
    before = (tmp_path / ".env").read_text()
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "another")
    with pytest.raises(StackError, match="but is another in the environment"):
        identity.ensure(tmp_path, tmp_path / ".env")
    assert (tmp_path / ".env").read_text() == before


@pytest.mark.parametrize("arguments", COMMANDS)
@pytest.mark.parametrize("env_file", ["current", "legacy"])
def test_command_does_not_act_on_a_project_named_only_in_the_environment(
    tmp_path, project, make_volume, make_container, list_volumes, list_containers, arguments, env_file
):
    if env_file == "legacy":
        make_volume(f"quintet-{hashlib.sha256(os.fsencode(tmp_path)).hexdigest()[:12]}", "")
        (tmp_path / ".env").write_text("POSTGRES_PASSWORD=x\nSTACK_ID=\n")
    else:
        prepare(tmp_path)
    volume, container = make_volume(project, ""), make_container(project, "")
    rejected = run_command(tmp_path, *arguments, COMPOSE_PROJECT_NAME=project)
    assert rejected.returncode == 1 and f"is {project} in the environment" in rejected.stderr
    assert volume in list_volumes() and container in list_containers()


@pytest.mark.parametrize("arguments", COMMANDS)
def test_containers_of_another_stack_are_kept(tmp_path, project, make_container, list_containers, arguments):
    (tmp_path / ".env").write_text(f"COMPOSE_PROJECT_NAME={project}\n")
    prepare(tmp_path)
    container = make_container(project, "other")
    rejected = run_command(tmp_path, *arguments)
    assert rejected.returncode == 1 and f"docker rm --force {container}" in rejected.stderr
    assert container in list_containers()


def test_down_rejects_volumes_of_another_stack_with_the_same_name(tmp_path, project, make_volume):
    (tmp_path / ".env").write_text(f"COMPOSE_PROJECT_NAME={project}\n")
    prepare(tmp_path)
    volume = make_volume(project, "other")
    rejected = run_command(tmp_path, "down")
    assert rejected.returncode == 1 and volume in rejected.stderr and "nothing was stopped" in rejected.stderr


def test_containers_with_the_stack_id_belong_to_the_stack(tmp_path, make_container):
    own = prepare(tmp_path)
    make_container(own.project, own.stack_id)
    assert identity.foreign(own) == []


def test_empty_stack_id_owns_only_resources_with_a_legacy_name(tmp_path, project, make_volume, make_container):
    (tmp_path / ".env").write_text(f"POSTGRES_PASSWORD=x\nSTACK_ID=\nCOMPOSE_PROJECT_NAME={project}\n")
    volume, container = make_volume(project, ""), make_container(project, "")
    assert {resource.name for resource in identity.foreign(identity.Identity(project, ""))} == {volume, container}
    assert identity.find(tmp_path, tmp_path / ".env") is None
    with pytest.raises(StackError, match=volume):
        prepare(tmp_path)
    for legacy_project in (identity.LEGACY_PROJECT, f"{identity.LEGACY_PROJECT}-0123456789ab"):
        make_volume(legacy_project, "")
        make_container(legacy_project, "")
        assert identity.foreign(identity.Identity(legacy_project, "")) == []


def test_up_rejects_volumes_of_another_stack_with_the_same_name(tmp_path, project, make_volume):
    volume = make_volume(project, "other")
    (tmp_path / ".env").write_text(f"COMPOSE_PROJECT_NAME={project}\n")
    with pytest.raises(StackError, match=volume):
        prepare(tmp_path)
    assert "STACK_ID" not in envfile.load(tmp_path / ".env")


def test_clean_rejects_volumes_of_another_stack_with_the_same_name(tmp_path, project, make_volume, list_volumes):
    (tmp_path / ".env").write_text(f"COMPOSE_PROJECT_NAME={project}\n")
    prepare(tmp_path)
    volume = make_volume(project, "other")
    rejected = clean(tmp_path, "--yes")
    assert rejected.returncode == 1 and volume in rejected.stderr
    assert volume in list_volumes() and (tmp_path / ".env").exists()


def test_clean_in_a_new_clone_removes_nothing(tmp_path, make_volume, list_volumes):
    volume_names = {make_volume("quintet-tests-old", ""), make_volume(identity.name_for(tmp_path), "other")}
    result = clean(tmp_path, "--yes")
    assert result.returncode == 0 and "nothing to remove" in result.stderr
    assert volume_names <= list_volumes()


def test_clean_lists_what_it_removes_and_requires_confirmation(tmp_path, make_volume, list_volumes):
    stack_identity = prepare(tmp_path)
    volume = make_volume(stack_identity.project, stack_identity.stack_id)
    rejected = clean(tmp_path, standard_input="y\n")  # standard input is not a terminal
    assert rejected.returncode == 1 and "YES=1" in rejected.stderr
    assert volume in rejected.stderr and str(tmp_path / ".env") in rejected.stderr
    assert volume in list_volumes()


def test_clean_keeps_env_while_a_stack_without_containers_needs_it(tmp_path):
    Layout(home=tmp_path, env_file=tmp_path / ".env").create_folders()
    prepare(tmp_path)
    for name in (".secrets", ".users"):
        (tmp_path / name).mkdir()
    result = clean(tmp_path, "--yes")
    assert result.returncode == 0, result.stderr
    settings = envfile.load(tmp_path / ".env")
    assert "POSTGRES_PASSWORD" in settings and "COMPOSE_PROJECT_NAME" not in settings
    assert (tmp_path / MARKER).exists()
    assert not (tmp_path / ".secrets").exists() and not (tmp_path / ".users").exists()


def test_legacy_stack_keeps_its_data(tmp_path, make_volume):
    project = identity.LEGACY_PROJECT
    make_volume(project, "")
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=x\n")
    stack_identity = prepare(tmp_path)
    assert (stack_identity.project, stack_identity.stack_id) == (project, "")
    assert prepare(tmp_path) == stack_identity
    assert not identity.foreign(stack_identity)


def test_clean_keeps_legacy_data_until_up_has_stored_the_folder_in_env(tmp_path, make_volume, list_volumes):
    """In a copied legacy checkout, .env could belong to the original or to the copy."""
    volume = make_volume(f"quintet-{hashlib.sha256(os.fsencode(tmp_path)).hexdigest()[:12]}", "")
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=x\n")
    rejected = clean(tmp_path, "--yes")
    assert rejected.returncode == 1 and "STACK_HOME" in rejected.stderr and "`make up`" in rejected.stderr
    assert volume in list_volumes() and (tmp_path / ".env").exists()
    assert run_command(tmp_path, "env").returncode == 0
    assert envfile.load(tmp_path / ".env")["STACK_HOME"] == str(tmp_path)
    result = clean(tmp_path, "--yes")
    assert result.returncode == 0, result.stderr
    assert volume not in list_volumes() and not (tmp_path / ".env").exists()


def test_new_folder_does_not_use_data_of_a_legacy_stack(tmp_path, make_volume):
    make_volume(identity.LEGACY_PROJECT, "")
    envfile.ensure(tmp_path / ".env", [], lambda port: port)  # like a stack without containers
    assert prepare(tmp_path).project == identity.name_for(tmp_path)


def test_copied_folder_gets_its_own_stack_and_keeps_its_passwords(tmp_path):
    original, copy = tmp_path / "original", tmp_path / "copy"
    first = prepare(original)
    shutil.copytree(original, copy)
    for read_stack in (identity.find, lambda _home, file: envfile.load_own(file)):
        with pytest.raises(StackError, match="copy"):
            read_stack(copy, copy / ".env")
    assert clean(copy, "--yes").returncode == 1
    second = prepare(copy)
    assert second.project != first.project and second.stack_id != first.stack_id
    assert prepare(original) == first
    passwords = [envfile.load(home / ".env")["POSTGRES_PASSWORD"] for home in (original, copy)]
    assert passwords[0] == passwords[1]


def test_moved_folder_keeps_its_stack(tmp_path):
    before = prepare(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    assert prepare(tmp_path / "there") == before
    assert envfile.load(tmp_path / "there" / ".env")["STACK_HOME"] == str(tmp_path / "there")


def test_up_continues_after_an_interruption_between_name_and_passwords(tmp_path):
    first = identity.ensure(tmp_path, tmp_path / ".env")
    assert prepare(tmp_path) == first
