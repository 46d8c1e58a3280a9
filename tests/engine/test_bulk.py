"""Bulk work: answers come in order, a worker that dies costs time alone, and errors are sentences wherever they are."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import threading

import pytest

from maquette.core.errors import ConditionError, MaquetteError, UsageError
from maquette.core.workers import Workers, processors
from maquette.engine.bulk import bulk as bulks
from maquette.engine.bulk.bulk import AHEAD, Task, WorkError, answered, bulk, start
from maquette.engine.bulk.cluster import _Ours


@pytest.fixture
def echo(tmp_path, monkeypatch):
    """Workers that run a module of the test's own: what a task says to do, and its bytes backwards."""
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import importlib.machinery, importlib.util, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'maquette.echo':\n"
        f"            return importlib.util.spec_from_file_location(name, {str(folder / 'echo.py')!r})\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    (folder / "echo.py").write_text(
        "import os, time, pathlib\n"
        "from maquette.core.errors import ConditionError\n"
        "def make(settings):\n"
        "    born = settings.get('born')\n"
        "    if born and len(list(pathlib.Path(born).iterdir())) < settings['dying']:\n"
        "        pathlib.Path(born, str(os.getpid())).touch()\n"
        "        os.kill(os.getpid(), 9)\n"
        "    if settings.get('broken'): raise ConditionError('it cannot begin', do='do else')\n"
        "    def work(head, body):\n"
        "        once = head.get('once')\n"
        "        if head.get('die') or (once and not pathlib.Path(once).exists()):\n"
        "            if once: pathlib.Path(once).touch()\n"
        "            os.kill(os.getpid(), 9)\n"
        "        if head.get('wrong'): raise ConditionError('this is wrong', where='here', do='that')\n"
        "        if head.get('fault'): raise ZeroDivisionError('nothing')\n"
        "        time.sleep(head.get('slow', 0))\n"
        "        return {'k': head['k'], 'threads': settings['threads'], 'pid': os.getpid()}, body[::-1]\n"
        "    return work\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    return lambda tasks, count=2, **settings: bulk("maquette.echo", {"needs": (), **settings}, tasks, Workers(count))


def test_answers_come_in_order_from_several_processes(echo):
    tasks = [Task({"k": k, "slow": 0.02 * (k % 3 == 0)}, bytes([k] * k)) for k in range(24)]
    found = list(echo(tasks))
    assert [head["k"] for head, _ in found] == list(range(24))
    assert [body for _, body in found] == [bytes([k] * k) for k in range(24)]
    assert 1 <= len({head["pid"] for head, _ in found}) <= 2
    assert {head["threads"] for head, _ in found} == {max(1, processors() // 2)}


def test_a_worker_that_dies_costs_time_alone(echo, tmp_path):
    tasks = [Task({"k": k, "once": str(tmp_path / f"{k}") if k in (3, 4, 11) else ""}) for k in range(16)]
    assert [head["k"] for head, _ in echo(tasks)] == list(range(16))


@pytest.mark.parametrize("dying", [2, 9])
def test_a_worker_that_dies_while_it_starts_counts_as_one_that_dies_at_its_task(echo, tmp_path, dying):
    (tmp_path / "born").mkdir()
    answers = echo([Task({"k": k}) for k in range(3)], count=1, born=str(tmp_path / "born"), dying=dying)
    if dying < 4:
        assert [head["k"] for head, _ in answers if "k" in head] == [0, 1, 2]
    else:
        with pytest.raises(WorkError, match=r"4 workers died one after the other at the same task \(signal 9\)"):
            list(answers)


def test_a_task_that_kills_every_worker_ends_the_work_in_a_sentence(echo):
    answers = echo([Task({"k": 0}), Task({"k": 1, "die": True}), Task({"k": 2})])
    with pytest.raises(WorkError, match=r"4 workers died one after the other at the same task \(signal 9\)"):
        list(answers)


def test_errors_of_a_worker_are_raised_here_as_what_they_are(echo):
    with pytest.raises(ConditionError, match="here: this is wrong; that"):
        list(echo([Task({"k": 0, "wrong": True})]))
    with pytest.raises(MaquetteError, match=r"a fault in Maquette .ZeroDivisionError: nothing"):
        list(echo([Task({"k": 0, "fault": True})]))
    with pytest.raises(ConditionError, match="it cannot begin"):
        list(echo([Task({"k": 0})], broken=True))


def test_only_a_few_tasks_are_ahead_and_leaving_ends_the_workers(echo):
    asked = []
    answers = echo((asked.append(k) or Task({"k": k}) for k in itertools.count()), count=1)
    pids = {next(answers)[0]["pid"] for _ in range(5)}
    assert len(asked) <= 5 + AHEAD + 1
    answers.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_no_tasks_are_no_answers(echo):
    assert list(echo([])) == []


def test_a_worker_does_the_work_of_maquette_alone_and_of_its_own_version():
    with pytest.raises(WorkError, match="is no work of Maquette"):
        start({"version": bulks.maquette.__version__, "module": "os", "threads": 1})
    with pytest.raises(WorkError, match="a worker has Maquette"):
        start({"version": "0", "module": "maquette.operations._making", "threads": 1})
    assert answered(lambda head, body: (dict(head), body), {"a": 1}, b"b") == ({"a": 1}, b"b")


@pytest.mark.parametrize(
    ("word", "count", "ray"),
    [("3", 3, None), (2, 2, None), (None, None, None), ("ray", None, ""), ("ray=auto", None, "auto"),
     ("ray=10.0.0.1:6379", None, "10.0.0.1:6379"), ("ray=ray://head:10001", None, "ray://head:10001")],
)  # fmt: skip
def test_words_for_workers(word, count, ray):
    workers = Workers.read(word)
    assert (workers.count, workers.ray) == (count, ray)
    assert workers.many == (ray is not None or (count or 1) > 1)


@pytest.mark.parametrize("word", ["0", "-1", "many", "²", "257", "ray=", "ray=x", "ray=http://a:1/b", "rays", "1.5", 0])
def test_words_for_workers_that_mean_nothing(word):
    with pytest.raises(UsageError, match="ray"):
        Workers.read(word)


# Ray


def test_an_address_at_which_no_ray_answers_is_a_sentence(monkeypatch):
    pytest.importorskip("ray")
    with pytest.raises(WorkError, match=r"no Ray cluster answers at 127\.0\.0\.1:1 "):
        list(bulk("maquette.echo", {"needs": ()}, [Task({})], Workers(ray="127.0.0.1:1")))


def test_without_ray_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'maquette\[ray\]'"):
        list(bulk("maquette.echo", {"needs": ()}, [Task({})], Workers(ray="")))


@pytest.mark.slow
def test_a_ray_cluster_answers_as_processes_do_and_outlives_an_actor(echo, tmp_path, monkeypatch, capsys):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    tasks = [Task({"k": k, "once": str(tmp_path / f"{k}") if k % 5 == 4 else ""}, bytes([k] * 3)) for k in range(12)]
    found = list(bulk("maquette.echo", {"needs": ()}, tasks, Workers(ray="")))
    assert all((tmp_path / f"{k}").exists() for k in (4, 9)), "two actors were killed"
    assert [head["k"] for head, _ in found] == list(range(12))
    assert [body for _, body in found] == [bytes([k] * 3) for k in range(12)]
    assert capsys.readouterr().out == "", "what Ray says of the death is no event of a verb"


def test_what_rays_own_threads_print_does_not_get_among_events(capsys):
    def speak():
        print("a worker died")

    with contextlib.redirect_stdout(_Ours(sys.stdout)):
        for name in ("ray_listen_error_messages", "another"):
            thread = threading.Thread(target=speak, name=name)
            thread.start()
            thread.join()
        print("an event", flush=True)
    assert capsys.readouterr().out == "a worker died\nan event\n"
