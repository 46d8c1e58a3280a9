"""What exporting gives: onnxruntime beside torch, and pages in a browser.

    python benchmarks/export.py                    # both parts, untrained models (weights do not change the time)
    python benchmarks/export.py --only speed
    python benchmarks/export.py --only page --browser /usr/bin/chromium

Speed: images a second of `gan` and `flow` at 32 and 64 pixels, in passes of 16 and of 1 image, on one and two threads,
by torch as `sample` computes and by the exported graph in onnxruntime (and in OpenVINO, where that is installed), in
turns; the ratio is of medians. Page: its
size, the time until the first image is there, and the time of an image after it, in a new headless browser.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from maquette.core.spec import DataSpec
from maquette.engine.export import onnx
from maquette.engine.export.facts import metadata
from maquette.engine.export.graph import Sampling, graph_of
from maquette.engine.export.page import page
from maquette.engine.load import build
from maquette.engine.sample import draw
from maquette.families import REGISTRY

CASES = [(family, side) for family in ("gan", "flow") for side in (32, 64)]
NOT = float("nan")
"""Milliseconds where a runtime is not installed or cannot run a graph."""


def made(family: str, side: int, scale: str) -> Sampling:
    spec = DataSpec(height=side, width=side)
    kind = REGISTRY.get(family)
    model = build(family, kind.variant(scale, spec), spec, {}).eval().requires_grad_(False)
    graph = graph_of(model, "sample", model.Options(), {})
    assert isinstance(graph, Sampling)
    return graph


def seconds(work, least: float) -> float:
    began, times = time.perf_counter(), 0
    while time.perf_counter() - began < least or not times:
        work()
        times += 1
    return (time.perf_counter() - began) / times


def openvino(content: bytes, threads: int):
    """The graph in OpenVINO, in single precision; None where it is not installed."""
    try:
        import openvino as ov
    except ImportError:
        return None
    core = ov.Core()
    wish = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(content), "CPU", wish)
    return lambda feeds: compiled(feeds)[0]


def speed(scale: str, rounds: int, least: float, cases, passes: list[int], all_threads: list[int]) -> None:
    print("milliseconds a pass, and how many times as fast as torch")
    print("family  px  threads  pass   torch   onnxruntime          openvino")
    for family, side in cases:
        graph = made(family, side, scale)
        content = onnx.described(onnx.traced(graph), {})
        for threads in all_threads:
            torch.set_num_threads(threads)
            runs, other = onnx.session(content, threads), openvino(content, threads)
            for count in passes:
                seeds = list(range(count))
                feeds = graph.feeds(seeds, {})
                expected = np.concatenate(list(draw(graph.family, seeds, {}, micro=count)))
                ways = [
                    lambda graph=graph, seeds=seeds, count=count: list(draw(graph.family, seeds, {}, micro=count)),
                    lambda graph=graph, seeds=seeds, runs=runs: runs.run(None, graph.feeds(seeds, {})),
                ]
                found = [runs.run(None, feeds)[0]]
                if other is not None:
                    ways.append(lambda graph=graph, seeds=seeds, other=other: other(graph.feeds(seeds, {})))
                    found.append(other(feeds))
                assert all(onnx.checked(onnx.compared(one, expected)) for one in found)
                rows = [[seconds(way, least) for way in ways] for _ in range(rounds)]
                took = [statistics.median(times) * 1000 for times in zip(*rows, strict=True)] + [NOT]
                said = "".join(f"{one:10.1f} ({took[0] / one:5.2f})" for one in took[1:3])
                print(f"{family:6} {side:3} {threads:8} {count:5} {took[0]:8.1f}{said}", flush=True)
    torch.set_num_threads(1)


def pages(scale: str, browser: str) -> None:
    from playwright.sync_api import sync_playwright

    print("family  px   page MB   first image s   then ms an image")
    for family, side in CASES:
        graph = made(family, side, scale)
        content = onnx.described(onnx.halved(onnx.traced(graph)), {})
        card = {"name": family, "family": family, "scale": scale}
        facts = metadata(graph, {"family": family}, card, "0") | {
            "weights": "half",
            "agreement": {"largest": 0, "images": 0},
        }
        with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
            path = Path(folder) / "page.html"
            path.write_bytes(page(graph, content, facts, {}))
            started = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            opened = started.new_page()
            opened.goto(path.as_uri())
            opened.wait_for_selector('html[data-done="1"]', timeout=120_000)
            first = float(opened.locator("html").get_attribute("data-first"))
            for turn in (2, 3):  # the second wall of 64 is warm
                opened.get_by_label("How many").select_option("64" if turn == 3 else "32")
                opened.wait_for_selector(f'html[data-done="{turn}"]', timeout=300_000)
            spent = float(opened.locator("#status").text_content().split(" in ")[1].split()[0])
            print(
                f"{family:6} {side:3} {path.stat().st_size / 1e6:9.1f} {first:15.2f} {spent / 64 * 1000:18.0f}",
                flush=True,
            )
            started.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("speed", "page"))
    parser.add_argument("--scale", default="micro", choices=("nano", "micro", "small", "base"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--least", type=float, default=0.3, help="seconds of each measurement at least")
    parser.add_argument("--browser", default="/usr/bin/chromium")
    parser.add_argument("--sides", type=int, nargs="*", default=[32, 64])
    parser.add_argument("--passes", type=int, nargs="*", default=[16, 1])
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    given = parser.parse_args()
    if given.only != "page":
        cases = [(family, side) for family in ("gan", "flow") for side in given.sides]
        speed(given.scale, given.rounds, given.least, cases, given.passes, given.threads)
    if given.only != "speed":
        pages(given.scale, given.browser)


if __name__ == "__main__":
    main()
