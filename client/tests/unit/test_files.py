"""Files that are uploaded can be read again; files that are downloaded appear complete."""

import io
import os
import threading

import pytest

from quintet import QuintetError, TransferProgress
from quintet._files import CHUNK_BYTES, file_in, open_upload, replacing


def test_path_is_read_from_its_beginning_each_time(tmp_path):
    file = tmp_path / "orders.csv"
    file.write_bytes(b"x" * (CHUNK_BYTES + 1))
    progress = []
    with open_upload(str(file), progress.append) as source:
        for _ in range(2):
            assert b"".join(source.chunks()) == file.read_bytes()
        assert (source.name, source.size) == ("orders.csv", CHUNK_BYTES + 1)
    sizes = [0, CHUNK_BYTES, CHUNK_BYTES + 1]
    assert progress == [TransferProgress(size, CHUNK_BYTES + 1) for size in sizes * 2]


def test_open_file_is_read_from_its_position_and_stays_open():
    file = io.BytesIO(b"skipped,read")
    file.seek(8)
    with open_upload(file) as source:
        assert [b"".join(source.chunks()) for _ in range(2)] == [b"read", b"read"]
        assert (source.name, source.size) == (None, 4)
    assert not file.closed


def test_file_that_grows_is_sent_up_to_its_first_size(tmp_path):
    file = tmp_path / "log.csv"
    file.write_bytes(b"first")
    with open_upload(file) as source:
        with file.open("ab") as log:
            log.write(b", later")
        assert b"".join(source.chunks()) == b"first"


@pytest.mark.parametrize("size", [0, 10, 3 * 1024 * 1024])
def test_pipe_can_be_read_again(size):
    content = os.urandom(size)
    reader, writer = os.pipe()

    def write():
        with open(writer, "wb") as pipe:
            pipe.write(content)

    thread = threading.Thread(target=write)
    thread.start()
    with open(reader, "rb") as pipe, open_upload(pipe) as source:
        assert [b"".join(source.chunks()) for _ in range(2)] == [content, content]
        assert (source.name, source.size) == (None, size)
    thread.join()


def test_downloaded_file_replaces_the_old_one_at_the_end(tmp_path):
    target = tmp_path / "all.csv"
    target.write_text("old")
    with replacing(target) as file:
        file.write(b"new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


def test_download_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "all.csv"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(target) as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["all.csv"]


@pytest.mark.parametrize("source", [io.StringIO("id"), b"id", 3, None])
def test_source_must_be_a_path_or_a_binary_file(source):
    with pytest.raises(TypeError, match="binary mode"), open_upload(source):
        pass


def test_name_that_is_not_utf_8_is_replaced_by_one_that_can_be_sent(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/b\xfcro.csv")
    with open(path, "w+b") as file, open_upload(path) as opened, open_upload(file) as passed:
        assert opened.name == passed.name == "b?ro.csv"


def test_file_that_becomes_shorter_is_an_error(tmp_path):
    file = tmp_path / "log.csv"
    file.write_bytes(b"first, second")
    with open_upload(file) as source:
        file.write_bytes(b"first")
        with pytest.raises(QuintetError, match="shorter"):
            list(source.chunks())


def test_downloads_to_the_same_path_do_not_disturb_each_other(tmp_path):
    target = tmp_path / "all.csv"
    with replacing(target) as first:
        first.write(b"first")
        with replacing(target) as second:
            second.write(b"second")
        assert target.read_bytes() == b"second"
    assert target.read_bytes() == b"first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["all.csv"]


def test_downloaded_file_has_the_permissions_of_the_old_one(tmp_path):
    target = tmp_path / "all.csv"
    target.touch(0o640)
    with replacing(target):
        pass
    assert target.stat().st_mode & 0o777 == 0o640


def test_downloaded_file_may_have_the_longest_name(tmp_path):
    with replacing(tmp_path / ("a" * 255)) as file:
        file.write(b"new")
    assert (tmp_path / ("a" * 255)).read_bytes() == b"new"


def test_target_of_a_symbolic_link_is_replaced(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "all.csv").symlink_to(tmp_path / "data" / "all.csv")
    with replacing(tmp_path / "all.csv") as file:
        file.write(b"new")
    assert (tmp_path / "all.csv").is_symlink()
    assert (tmp_path / "data" / "all.csv").read_bytes() == b"new"


def test_pipe_receives_the_content(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received = []
    thread = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    thread.start()
    with replacing(pipe) as file:
        file.write(b"incomplete")
        file.seek(0)
        file.write(b"new, and complete")
    thread.join()
    assert received == [b"new, and complete"]
    assert pipe.is_fifo()


def test_folder_is_not_replaced(tmp_path):
    with pytest.raises(IsADirectoryError), replacing(tmp_path):
        pass


def test_file_that_a_server_names_is_in_the_folder(tmp_path):
    assert file_in(tmp_path, "reds 2026.csv") == tmp_path / "reds 2026.csv"


@pytest.mark.parametrize("name", ["", ".", "..", "../reds.csv", "/etc/passwd", "a/reds.csv", "a\0b"])
def test_name_that_leads_out_of_the_folder_is_an_error(tmp_path, name):
    with pytest.raises(QuintetError, match="folder"):
        file_in(tmp_path, name)
