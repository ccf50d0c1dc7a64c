"""Each folder has a stack of its own, and no command takes another's for its own."""

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
# `env` is what `make up` does first; it starts nothing, whatever is wrong with it.
COMMANDS = [["env"], ["down"], ["clean", "--yes"]]


def made(home):
    """What `make up` does before it starts anything."""
    home.mkdir(exist_ok=True)
    file = home / ".env"
    envfile.settle(file)
    found = identity.ensure(home, file)
    envfile.ensure(file, ["sequence"], lambda port: port)
    return found


def clean(home, *words, given=""):
    return command(home, "clean", *words, given=given)


def command(home, *words, given="", **environment):
    return subprocess.run(
        [sys.executable, str(CHECKOUT / "deploy" / "compose"), *words],
        env=os.environ | {"STACK_DIR": str(home)} | environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_two_folders_have_two_stacks_and_each_keeps_its_own(tmp_path):
    one, other = made(tmp_path / "one"), made(tmp_path / "other")
    assert one.project != other.project and one.stack_id != other.stack_id
    assert made(tmp_path / "one") == one


def test_a_name_chosen_in_env_before_the_first_up_counts(tmp_path):
    (tmp_path / ".env").write_text("COMPOSE_PROJECT_NAME=mine\n")
    assert made(tmp_path).project == "mine"


def test_a_name_chosen_in_the_environment_is_kept_by_the_first_up(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "mine")
    first = made(tmp_path)
    assert first.project == "mine"
    assert made(tmp_path) == first
    monkeypatch.delenv("COMPOSE_PROJECT_NAME")
    assert made(tmp_path) == first


@pytest.mark.parametrize("kept", [None, "COMPOSE_PROJECT_NAME=mine\n"])
def test_another_name_in_the_environment_is_refused(tmp_path, monkeypatch, kept):
    """Whether the .env has only the chosen name, or all that `make up` writes."""
    if kept:
        (tmp_path / ".env").write_text(kept)
    else:
        made(tmp_path)
    before = (tmp_path / ".env").read_text()
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "another")
    with pytest.raises(StackError, match="COMPOSE_PROJECT_NAME is another in the environment"):
        identity.ensure(tmp_path, tmp_path / ".env")
    assert (tmp_path / ".env").read_text() == before


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize("env_file", ["of today", "of old"])
def test_no_command_acts_on_the_project_that_only_the_environment_names(
    tmp_path, project, make_volume, make_container, volumes, containers, words, env_file
):
    if env_file == "of old":
        make_volume(f"quintet-{hashlib.sha256(os.fsencode(tmp_path)).hexdigest()[:12]}", "")
        (tmp_path / ".env").write_text("POSTGRES_PASSWORD=x\nSTACK_ID=\n")
    else:
        made(tmp_path)
    volume, container = make_volume(project, ""), make_container(project, "")
    refused = command(tmp_path, *words, COMPOSE_PROJECT_NAME=project)
    assert refused.returncode == 1 and f"{project} in the environment" in refused.stderr
    assert volume in volumes() and container in containers()


@pytest.mark.parametrize("words", COMMANDS)
def test_containers_of_another_stack_of_that_name_are_left_alone(tmp_path, project, make_container, containers, words):
    (tmp_path / ".env").write_text(f"COMPOSE_PROJECT_NAME={project}\n")
    made(tmp_path)
    container = make_container(project, "of another")
    refused = command(tmp_path, *words)
    assert refused.returncode == 1 and f"docker rm --force {container}" in refused.stderr
    assert container in containers()


def test_down_refuses_volumes_that_another_stack_of_that_name_made(tmp_path, project, make_volume):
    (tmp_path / ".env").write_text(f"COMPOSE_PROJECT_NAME={project}\n")
    made(tmp_path)
    volume = make_volume(project, "of another")
    refused = command(tmp_path, "down")
    assert refused.returncode == 1 and volume in refused.stderr and "nothing was stopped" in refused.stderr


def test_containers_with_the_id_of_the_stack_are_its_own(tmp_path, make_container):
    own = made(tmp_path)
    make_container(own.project, own.stack_id)
    assert identity.foreign(own) == []


def test_an_empty_id_owns_what_has_an_old_name_and_nothing_else(tmp_path, project, make_volume, make_container):
    (tmp_path / ".env").write_text(f"POSTGRES_PASSWORD=x\nSTACK_ID=\nCOMPOSE_PROJECT_NAME={project}\n")
    volume, container = make_volume(project, ""), make_container(project, "")
    assert {each.name for each in identity.foreign(identity.Identity(project, ""))} == {volume, container}
    assert identity.find(tmp_path, tmp_path / ".env") is None
    with pytest.raises(StackError, match=volume):
        made(tmp_path)
    for old in (identity.OLD_PROJECT, f"{identity.OLD_PROJECT}-0123456789ab"):
        make_volume(old, "")
        make_container(old, "")
        assert identity.foreign(identity.Identity(old, "")) == []


def test_up_refuses_volumes_that_another_stack_of_that_name_made(tmp_path, project, make_volume):
    volume = make_volume(project, "of another")
    (tmp_path / ".env").write_text(f"COMPOSE_PROJECT_NAME={project}\n")
    with pytest.raises(StackError, match=volume):
        made(tmp_path)
    assert "STACK_ID" not in envfile.load(tmp_path / ".env")


def test_clean_refuses_volumes_that_another_stack_of_that_name_made(tmp_path, project, make_volume, volumes):
    (tmp_path / ".env").write_text(f"COMPOSE_PROJECT_NAME={project}\n")
    made(tmp_path)
    volume = make_volume(project, "of another")
    refused = clean(tmp_path, "--yes")
    assert refused.returncode == 1 and volume in refused.stderr
    assert volume in volumes() and (tmp_path / ".env").exists()


def test_clean_in_a_fresh_clone_removes_nothing(tmp_path, make_volume, volumes):
    kept = {make_volume("quintet-tests-old", ""), make_volume(identity.name_for(tmp_path), "of another stack")}
    done = clean(tmp_path, "--yes")
    assert done.returncode == 0 and "nothing to remove" in done.stderr
    assert kept <= volumes()


def test_clean_names_what_it_removes_and_needs_a_yes(tmp_path, make_volume, volumes):
    found = made(tmp_path)
    volume = make_volume(found.project, found.stack_id)
    refused = clean(tmp_path, given="y\n")  # no terminal
    assert refused.returncode == 1 and "YES=1" in refused.stderr
    assert volume in refused.stderr and str(tmp_path / ".env") in refused.stderr
    assert volume in volumes()


def test_clean_keeps_the_env_that_a_stack_without_containers_needs(tmp_path):
    Layout(home=tmp_path, env_file=tmp_path / ".env").make()
    made(tmp_path)
    for name in (".secrets", ".users"):
        (tmp_path / name).mkdir()
    done = clean(tmp_path, "--yes")
    assert done.returncode == 0, done.stderr
    kept = envfile.load(tmp_path / ".env")
    assert "POSTGRES_PASSWORD" in kept and "COMPOSE_PROJECT_NAME" not in kept
    assert (tmp_path / MARKER).exists()
    assert not (tmp_path / ".secrets").exists() and not (tmp_path / ".users").exists()


def test_a_stack_from_before_stacks_had_names_keeps_its_data(tmp_path, make_volume):
    project = identity.OLD_PROJECT
    make_volume(project, "")
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=x\n")
    old = made(tmp_path)
    assert (old.project, old.stack_id) == (project, "")
    assert made(tmp_path) == old
    assert not identity.foreign(old)


def test_clean_removes_no_old_data_until_up_has_written_the_folder_into_env(tmp_path, make_volume, volumes):
    """A checkout of before that was copied has an .env that could be the one of either."""
    volume = make_volume(f"quintet-{hashlib.sha256(os.fsencode(tmp_path)).hexdigest()[:12]}", "")
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=x\n")
    refused = clean(tmp_path, "--yes")
    assert refused.returncode == 1 and "STACK_HOME" in refused.stderr and "`make up`" in refused.stderr
    assert volume in volumes() and (tmp_path / ".env").exists()
    assert command(tmp_path, "env").returncode == 0
    assert envfile.load(tmp_path / ".env")["STACK_HOME"] == str(tmp_path)
    done = clean(tmp_path, "--yes")
    assert done.returncode == 0, done.stderr
    assert volume not in volumes() and not (tmp_path / ".env").exists()


def test_a_fresh_folder_does_not_take_the_data_of_an_old_stack(tmp_path, make_volume):
    make_volume(identity.OLD_PROJECT, "")
    envfile.ensure(tmp_path / ".env", [], lambda port: port)  # as a stack without containers does
    assert made(tmp_path).project == identity.name_for(tmp_path)


def test_a_copied_folder_gets_a_stack_of_its_own_and_keeps_its_passwords(tmp_path):
    original, copy = tmp_path / "original", tmp_path / "copy"
    first = made(original)
    shutil.copytree(original, copy)
    for command in (identity.find, lambda _home, file: envfile.load_own(file)):
        with pytest.raises(StackError, match="copy"):
            command(copy, copy / ".env")
    assert clean(copy, "--yes").returncode == 1
    second = made(copy)
    assert second.project != first.project and second.stack_id != first.stack_id
    assert made(original) == first
    passwords = [envfile.load(home / ".env")["POSTGRES_PASSWORD"] for home in (original, copy)]
    assert passwords[0] == passwords[1]


def test_a_moved_folder_keeps_its_stack(tmp_path):
    before = made(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    assert made(tmp_path / "there") == before
    assert envfile.load(tmp_path / "there" / ".env")["STACK_HOME"] == str(tmp_path / "there")


def test_up_that_was_interrupted_between_name_and_passwords_goes_on(tmp_path):
    first = identity.ensure(tmp_path, tmp_path / ".env")
    assert made(tmp_path) == first
