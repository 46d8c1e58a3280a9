"""What goes wrong around the server: a full disk, two servers, ports that are taken, many files, a slow end."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from maquette.core.errors import MaquetteError
from maquette.core.event import Ready
from maquette.faces.http import jobs, uploads
from maquette.operations import operation as table
from maquette.store import disk
from maquette.store.workspace import Workspace
from tests.faces.http.served import opened


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_said_and_leaves_nothing_half_written(studio, monkeypatch):
    home = studio.studio.workspace.home
    with monkeypatch.context() as patch:
        patch.setattr(uploads.os, "replace", full)
        answer = studio("POST", "/api/uploads?into=new&name=a.png", raw=b"content")
        assert answer.status == 507 and "the disk is full" in answer.json["error"]
        assert [path for path in (home / "uploads" / "new").rglob("*") if path.is_file()] == []
    with monkeypatch.context() as patch:
        patch.setattr(disk, "write_bytes", full)
        answer = studio("POST", "/api/list", {})
        assert answer.status == 507 and not list((home / "jobs").iterdir()), "the job was refused, not lost"
    with monkeypatch.context() as patch:
        patch.setattr(uploads, "LEFT", 1 << 62)
        answer = studio("POST", "/api/uploads?into=new&name=a.png", raw=b"content")
        assert answer.status == 507 and "nearly full" in answer.json["error"]
    assert studio.post("/api/uploads?into=new&name=a.png", raw=b"content")["bytes"] == 7


def test_a_batch_holds_so_many_files_and_bytes_and_no_more(studio, monkeypatch):
    monkeypatch.setattr(uploads, "MOST", 3)
    for k in range(3):
        studio.post(f"/api/uploads?into=many&name={k}.txt", raw=b"x")
    answer = studio("POST", "/api/uploads?into=many&name=4.txt", raw=b"x")
    assert answer.status == 413 and "begin another" in answer.json["error"]
    monkeypatch.setattr(uploads, "MOST", 100)
    monkeypatch.setattr(uploads, "TOGETHER", 10)
    assert studio("POST", "/api/uploads?into=many&name=5.txt", raw=b"x" * 20).status == 413
    assert studio.get("/api/uploads/many")["total"] == 3


def test_bodies_that_are_too_large_are_refused_before_they_are_read(studio):
    for path in ("/api/recipes/check", "/api/live", "/v1/images/generations", "/api/jobs/none/cancel"):
        answer = studio("POST", path, raw=b"", headers={"content-length": str(1 << 33)})
        assert answer.status == 413, path


def test_one_workspace_has_one_studio(studio, monkeypatch):
    events = table.run("studio", studio.studio.workspace, {"port": 0, "browser": False})
    assert isinstance(next(events), Ready)
    with pytest.raises(MaquetteError, match="open already, at http"):
        next(table.run("studio", studio.studio.workspace, {"port": 0, "browser": False}))
    events.close()


def test_a_port_that_is_taken_is_said(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(MaquetteError, match="--port 0 takes a free one"):
            next(table.run("studio", Workspace(tmp_path), {"port": port, "browser": False}))


def test_the_command_says_where_it_is_and_ends_gently(tmp_path):
    words = ["studio", "--port", "0", "--json", "--no-browser", "--home", str(tmp_path)]
    command = subprocess.Popen([sys.executable, "-m", "maquette", *words], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    ready = json.loads(command.stdout.readline())
    assert ready["event"] == "ready" and ready["token"] == (tmp_path / "studio" / "token").read_text().strip()
    import urllib.request

    request = urllib.request.Request(f"{ready['url']}health", headers={"authorization": f"Bearer {ready['token']}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.loads(answer.read())["status"] == "ok"
    command.send_signal(signal.SIGTERM)
    out, err = command.communicate(timeout=60)
    assert command.returncode == 0 and json.loads(out.strip().split("\n")[-1])["event"] == "result"
    assert "Go to: http://127.0.0.1" in err and "The studio is closed" in err


def test_a_watcher_that_fails_at_one_job_goes_on_with_others(workspace, monkeypatch):
    with opened(workspace) as client:
        monkeypatch.setattr(client.studio.jobs, "describe", lambda job, brief: 1 / 0)
        assert client("POST", "/api/list", {}).status == 500
        monkeypatch.undo()
        assert client.job("list", {})["state"] == "done"
    assert {"list"} <= jobs.AT_ONCE
