"""Files that are uploaded can be read again; files that are downloaded appear complete."""

import io
import os
import threading

import pytest

from quintet import TransferProgress
from quintet._files import CHUNK_BYTES, open_upload, replacing


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
