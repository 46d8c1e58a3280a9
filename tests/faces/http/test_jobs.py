"""Jobs: verbs in processes of their own, queued, followed, stopped, and found again."""

import threading
import time

import pytest

from maquette.faces.http import process
from maquette.faces.http.job import Job
from tests.faces.http.served import opened


def until(condition, seconds=20):
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found


@pytest.fixture
def painting(fakes, tmp_path):
    """A studio whose table has the verbs of the tests."""
    with opened(tmp_path / "home", queue=3, at_once=1) as client:
        yield client


def test_a_verb_becomes_a_job_with_its_events_and_result(painting):
    job = painting.job("paint", {"canvas": "linen", "colours": ["red", "blue"]})
    assert (job["state"], job["verb"], job["error"]) == ("done", "paint", None)
    assert job["result"] == {"picture": "out/a.png"} and job["progress"]["done"] == 3000
    assert [note["kind"] for note in job["notes"]] == ["note", "warning"]
    assert job["files"] == [{"what": "sheet", "name": "sheet.png", "url": f"/api/jobs/{job['id']}/files/1"}]
    stream = painting("GET", f"/api/jobs/{job['id']}/events")
    assert stream.headers["content-type"].startswith("text/event-stream")
    events = stream.content.decode().split("\n\n")[:-1]
    kinds = [event.split("\n")[0].removeprefix("event: ") for event in events]
    assert kinds == ["note", "warning", *["progress"] * 3, "made", "made", "table", "result", "end"]
    later = painting("GET", f"/api/jobs/{job['id']}/events", headers={"last-event-id": "8"}).content.decode()
    assert [part.split("\n")[1] for part in later.split("\n\n")[:-2]] == ["id: 9"]
    assert [one["id"] for one in painting.get("/api/jobs?verb=paint&state=done")] == [job["id"]]
    assert not (painting.studio.workspace.home / "jobs" / job["id"] / "out").exists(), "it works among the images"
    painting("DELETE", f"/api/jobs/{job['id']}")
    assert painting("GET", f"/api/jobs/{job['id']}").status == 404


def test_wrong_values_are_refused_at_once_in_the_words_of_the_command_line(painting):
    for values, said in (
        ({"canvas": "linen", "size": 3}, "size"), ({"canvas": "linen", "sizes": 8}, "did you mean size"),
        ({}, "canvas must be given"), ({"canvas": ["a"]}, "canvas"), ({"canvas": "a\0b"}, "path"),
    ):  # fmt: skip
        answer = painting("POST", "/api/paint", values)
        assert answer.status == 400 and said in answer.json["error"], (values, answer)
    for dials in ([], 7, "x"):
        assert painting("POST", "/api/spray", {"run": "can", "options": dials}).status == 400
    assert painting("POST", "/api/paint", raw=b"[1]").status == 400
    assert painting("POST", "/api/paint", raw=b"{").status == 400
    assert painting.get("/api/jobs") == []


@pytest.mark.parametrize(("do", "said"), [("data", "there are no images"), ("fault", "this is a fault"),
                                          ("full", "the disk is full")])  # fmt: skip
def test_what_goes_wrong_is_said(painting, do, said):
    job = painting.job("paint", {"canvas": "linen", "do": do})
    assert job["state"] == "failed" and said in job["error"]


def test_the_queue_is_bounded_and_waiting_jobs_can_be_cancelled(painting):
    jobs = [painting.post("/api/paint", {"canvas": "linen", "do": "wait"})["job"] for _ in range(4)]
    assert [job["place"] for job in jobs] == [None, 1, 2, 3]
    refused = painting("POST", "/api/paint", {"canvas": "linen"})
    assert refused.status == 429 and int(refused.headers["retry-after"]) >= 1 and "waiting" in refused.json["error"]
    gone = painting.post(f"/api/jobs/{jobs[1]['id']}/cancel")["job"]
    assert gone["state"] == "cancelled"
    marker = painting.studio.workspace.home / "painting"
    until(marker.exists)
    for job in (*jobs[2:], jobs[0]):
        painting.post(f"/api/jobs/{job['id']}/cancel")
    until(lambda: painting.get(f"/api/jobs/{jobs[0]['id']}")["state"] == "cancelled")
    assert not marker.exists(), "it tidied up"
    assert painting("DELETE", f"/api/jobs/{jobs[0]['id']}").status == 200


def test_a_stream_of_news_tells_every_change_and_ends_with_the_server(painting):
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", painting.port)
    connection.request("GET", "/api/events", headers={"authorization": "Bearer a-token-for-these-tests"})
    stream = connection.getresponse()
    lines = []
    thread = threading.Thread(target=lambda: lines.extend(stream))
    thread.start()
    until(lambda: painting.studio.hub.listeners == 1)
    painting.job("paint", {"canvas": "linen"})
    until(lambda: b"event: changed\n" in lines)
    painting.studio.hub._loop.call_soon_threadsafe(painting.studio.hub.close)
    thread.join(10)
    assert not thread.is_alive()
    stream.close()
    connection.close()
    assert lines[0] == b"event: hello\n" and lines.count(b"event: job\n") >= 2
    until(lambda: painting.studio.hub.listeners == 0)


def test_a_job_goes_on_without_the_server_and_is_found_again(fakes, tmp_path):
    home = tmp_path / "home"
    with opened(home, at_once=1) as first:
        working = first.post("/api/paint", {"canvas": "linen", "do": "wait"})["job"]["id"]
        waiting = first.post("/api/paint", {"canvas": "silk"})["job"]["id"]
        until((home / "painting").exists)
    pid = Job.open(home / "jobs" / working).pid
    assert process.mark(pid), "it goes on"
    with opened(home, at_once=1) as second:
        assert second.get(f"/api/jobs/{working}")["state"] == "running"
        assert second.get(f"/api/jobs/{waiting}")["state"] == "queued"
        second.post(f"/api/jobs/{working}/cancel")
        until(lambda: second.get(f"/api/jobs/{working}")["state"] == "cancelled")
        until(lambda: second.get(f"/api/jobs/{waiting}")["state"] == "done")
    with opened(home) as third:
        assert {job["id"]: job["state"] for job in third.get("/api/jobs")} == {working: "cancelled", waiting: "done"}
        done = third.get(f"/api/jobs/{waiting}")
        assert done["result"] == {"picture": "out/a.png"} and done["events"] == 9 and len(done["notes"]) == 2
        assert [file["what"] for file in done["files"]] == ["sheet"] and done["progress"]["done"] == 3000


def test_a_process_that_died_with_its_server_is_told_as_failed(fakes, tmp_path):
    home = tmp_path / "home"
    job = Job.new(home / "jobs", "paint", {"canvas": "linen"}, None)
    job.folder.mkdir(parents=True)
    job.state, job.pid, job.mark = "running", 2**22 + 1, "boot:1"
    job.save()
    (home / "jobs" / "broken").mkdir()
    (home / "jobs" / "broken" / "job.json").write_text("{")
    with opened(home) as client:
        found = client.get(f"/api/jobs/{job.id}")
        assert found["state"] == "failed" and "do it again" in found["error"]
        assert len(client.get("/api/jobs")) == 1


@pytest.mark.slow
def test_training_is_followed_paused_and_taken_up_again(studio):
    job = studio.post("/api/train", {"dataset": "shapes", "family": "oracle", "images": "200k", "judge": False,
                                     "given": ["label"], "to": "long"})["job"]  # fmt: skip
    assert job["run"] == "long" and job["state"] == "running"
    until(lambda: (studio.get(f"/api/jobs/{job['id']}")["progress"] or {}).get("done", 0) > 0)
    assert studio.get("/api/runs/long")["state"] == "running"
    assert studio("DELETE", "/api/runs/long").status == 409
    studio.post(f"/api/jobs/{job['id']}/pause")
    done = until(lambda: (one := studio.get(f"/api/jobs/{job['id']}"))["state"] == "done" and one)
    assert done["result"]["stopped"] == "paused"
    again = studio.post(f"/api/jobs/{job['id']}/again")["job"]
    assert again["values"] == job["values"] and again["id"] != job["id"]
    studio.post(f"/api/jobs/{again['id']}/cancel")
    until(lambda: studio.get(f"/api/jobs/{again['id']}")["state"] in ("cancelled", "done"))
    assert studio("DELETE", "/api/runs/long").status == 200
    assert "long" not in [run["id"] for run in studio.get("/api/runs")]


def test_what_a_job_has_made_is_there_when_the_job_is_done(studio, monkeypatch):
    """However long lists are believed, and also where one was read while the job went on."""
    monkeypatch.setattr("maquette.faces.http.catalogue.FRESH", 1e9)
    assert len(studio.get("/api/datasets")) == 1
    job = studio.job("ingest", {"source": ["drawn:shapes"], "to": "more", "size": "16", "count": 8})
    assert job["state"] == "done" and {"more", "shapes"} == {one["id"] for one in studio.get("/api/datasets")}
