"""A file is whole or absent, whatever happens while it is written."""

import errno
import json
import os

import pytest

from maquette.core import files


def test_what_is_written_can_be_read(tmp_path):
    path = tmp_path / "new" / "folder" / "a.json"
    files.write_json(path, {"name": "Grün", "n": 1})
    assert json.loads(path.read_text("utf-8")) == {"name": "Grün", "n": 1}
    assert "Grün" in path.read_text("utf-8")
    assert os.listdir(path.parent) == ["a.json"]


def test_an_error_in_the_middle_keeps_the_old_file(tmp_path):
    path = tmp_path / "a"
    files.write_bytes(path, b"old")
    with pytest.raises(RuntimeError), files.atomic_file(path) as stream:
        stream.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_at_any_step_keeps_the_old_file(tmp_path, monkeypatch, step, code):
    path = tmp_path / "a"
    files.write_bytes(path, b"old")

    def fail(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match=os.strerror(code)):
        files.write_bytes(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_the_content_is_on_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    done = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("sync"), sync(handle))[1])
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("rename"), replace(*names))[1])
    files.write_bytes(tmp_path / "a", b"x")
    assert done == ["sync", "rename", "sync"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no folders that can be synced")
def test_a_folder_that_cannot_be_synced_is_no_failure_but_a_broken_disk_is(tmp_path, monkeypatch):
    def fail(code):
        def sync(_):
            raise OSError(code, os.strerror(code))

        return sync

    monkeypatch.setattr(os, "fsync", fail(errno.EINVAL))
    files.sync_folder(tmp_path)
    monkeypatch.setattr(os, "fsync", fail(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        files.sync_folder(tmp_path)
