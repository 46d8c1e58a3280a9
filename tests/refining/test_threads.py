"""More threads make work quicker and nothing else."""

import os

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image as Pillow

from maquette.refining import registry, threads

PHOTO = cv2.resize(skimage.data.astronaut(), (560, 540), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def count():
    """Sets how many threads OpenCV may use, whatever the tests run with."""
    before = cv2.getNumThreads()
    yield lambda number: cv2.setNumThreads(number)
    cv2.setNumThreads(before)


OPS = {
    "gamma": {}, "equalise": {"on": "channels"}, "auto-levels": {}, "hue": {}, "white-balance": {}, "flip": {},
    "resize": {"scale": 2.0},
    "resize ": {"width": 333}, "gaussian-blur": {"radius": 5}, "bilateral": {}, "median": {"radius": 4}, "guided": {},
    "motion-blur": {}, "sharpen": {}, "denoise-tv": {}, "denoise-wavelet": {}, "denoise-means": {"search": 2},
    "deblock": {"amount": 0.05}, "oil": {}, "bloom": {},
}  # fmt: skip


@pytest.mark.parametrize("name", OPS)
def test_results_do_not_depend_on_the_number_of_threads(name, count, monkeypatch):
    monkeypatch.setattr(threads, "PROCESSORS", 3)
    op, results = registry.get(name.strip()), []
    for number in (1, 3):
        count(number)
        assert threads.threads() == number
        results.append(op(PHOTO, **OPS[name]))
    assert np.array_equal(*results)


@pytest.mark.parametrize("size", [(280, 270), (1120, 1080), (700, 333), (333, 700), (100, 1500), (1500, 100)])
def test_a_resize_in_bands_is_that_of_pillow_to_the_last_bit(size, count, monkeypatch):
    monkeypatch.setattr(threads, "PROCESSORS", 3)
    whole = np.asarray(Pillow.fromarray(PHOTO).resize(size, Pillow.Resampling.LANCZOS))
    for number in (1, 3):
        count(number)
        assert np.array_equal(registry.get("resize")(PHOTO, width=size[0], height=size[1], method="lanczos"), whole)


def test_bands_cover_all_rows_once(count, monkeypatch):
    monkeypatch.setattr(threads, "PROCESSORS", 3)
    count(3)
    for rows in (1, 2, 7, 1000):
        parts = threads.bands(rows, 1 << 20)
        assert [row for begin, end in parts for row in range(begin, end)] == list(range(rows))
        assert all(end > begin for begin, end in parts)
    assert threads.bands(1000, 100) == [(0, 1000)]


def test_jobs_of_jobs_do_not_wait_for_each_other(count, monkeypatch):
    monkeypatch.setattr(threads, "PROCESSORS", 2)
    count(2)
    inner = [lambda: 1, lambda: 2, lambda: 3]
    outer = [lambda: sum(threads.at_once(inner, 1 << 20))] * 8
    assert threads.at_once(outer, 1 << 20) == [6] * 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_forked_process_gets_threads_of_its_own(count, monkeypatch):
    monkeypatch.setattr(threads, "PROCESSORS", 2)
    count(2)
    jobs = [lambda: 1, lambda: 2]
    assert threads.at_once(jobs, 1 << 20) == [1, 2]
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, bytes(threads.at_once(jobs, 1 << 20)))
        os._exit(0)
    os.close(writer)
    assert os.read(reader, 10) == bytes([1, 2])
    os.waitpid(child, 0)
