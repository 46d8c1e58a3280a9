"""The page that `export` writes: in a real browser it makes the images of `maquette sample`, and asks no network."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest

from maquette.core.errors import UsageError
from maquette.core.image import load as load_image
from maquette.core.noise import Mix
from maquette.data.drawn.drawn import make_drawn
from maquette.engine import start as starting
from maquette.engine.load import load
from maquette.engine.probe import Choice
from maquette.engine.sample import draw
from maquette.operations import operation as table
from maquette.store.run import Run
from maquette.store.workspace import Workspace
from tests.browsers import BROWSER

NAME = "shapes"
MARKUP = "</script><script>alert(1)</script>"
browsing = pytest.mark.skipif(BROWSER is None, reason="NO BROWSER IS THERE: install chromium to try exported pages")


def train(home, name, family, kind="shapes", size=8, **values):
    *_, made = make_drawn(kind, home / f"{name}.mq", width=size, height=size, count=40)
    before = starting.remembered
    starting.remembered = lambda *args: (Choice(rate=800.0, plain=800.0), False)
    request = {"dataset": str(made.value.path), "to": name, "family": family, "scale": "nano", **values}
    try:
        list(table.run("train", Workspace(home), request))
    finally:
        starting.remembered = before


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    train(home, NAME, "oracle", images=640, set=["batch=16"], given="label")
    list(table.run("card", Workspace(home), {"of": NAME, "licence": MARKUP, "about": "Shapes & <i>co</i>"}))
    return Workspace(home)


@pytest.fixture(scope="module")
def written(shared, tmp_path_factory):
    """The result and the file of a page."""
    to = tmp_path_factory.mktemp("page") / "shapes.html"
    *_, result = table.run("export", shared, {"run": NAME, "to": str(to)})
    return result.to_json(), to


class Opened:
    """A page that was opened, and all that it asked for or complained of."""

    def __init__(self, browser, path, **more):
        self.page = browser.new_page(**more)
        self.complaints, self.asked = [], []
        self.page.on("console", lambda message: "Canvas2D" in message.text or self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        self.turn = 0
        self.settled()

    def settled(self):
        """Wait until the next wall is whole."""
        self.turn += 1
        self.page.wait_for_selector(f'html[data-done="{self.turn}"], #error:not([hidden])', timeout=60_000)
        assert self.page.locator("#error").is_hidden(), self.page.locator("#error").text_content()

    def pixels(self, selector):
        """The pixels of a canvas, H W 4."""
        script = """canvas => { const { width, height } = canvas, pen = canvas.getContext('2d');
            return [height, width, btoa(String.fromCharCode(...pen.getImageData(0, 0, width, height).data))]; }"""
        height, width, data = self.page.locator(selector).evaluate(script)
        return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)

    def wall(self, count):
        return np.stack([self.pixels(f"#wall li:nth-child({k + 1}) canvas") for k in range(count)])


def sampled(shared, tmp_path, run=NAME, count=4, **values):
    out = tmp_path / "out"
    *_, result = table.run("sample", shared, {"run": run, "to": str(out), "count": count, **values})
    return np.stack([np.asarray(picture) for picture in result.value])


def far(found, expected):
    return int(np.abs(found.astype(int) - expected.astype(int)).max())


@browsing
def test_the_same_seed_makes_the_same_image_as_sample(written, shared, browser, tmp_path):
    _, path = written
    opened = Opened(browser, path)
    page = opened.page
    assert page.locator("#wall li").count() == 16
    assert far(opened.wall(4)[..., :3], sampled(shared, tmp_path / "any")) <= 1, "labels as in training, by the seed"

    page.get_by_label("How many").select_option("4")
    opened.settled()
    page.get_by_label("Label").select_option(label="circle")
    opened.settled()
    page.get_by_label("Seed", exact=True).fill("9007199254740993")  # more than a floating point number can hold
    opened.settled()
    expected = sampled(shared, tmp_path / "label", label="circle", seed=9007199254740993)
    assert far(opened.wall(4)[..., :3], expected) <= 1
    assert page.locator("#command").text_content().endswith("--seed 9007199254740993 --count 4 --label circle")

    page.get_by_label("Temperature").fill("0.4")
    opened.settled()
    expected = sampled(shared, tmp_path / "dial", label="circle", seed=9007199254740993, temperature="0.4")
    assert far(opened.wall(4)[..., :3], expected) <= 1
    assert not opened.complaints
    assert all(url.startswith(("file:", "blob:")) for url in opened.asked)


@browsing
def test_between_seeds_lie_their_mixes_and_a_kept_image_says_what_it_is(written, shared, browser):
    opened = Opened(browser, written[1])
    page = opened.page
    page.get_by_label("Label").select_option(label="star")
    opened.settled()
    page.get_by_label("Across").fill("0.5")
    page.get_by_label("Down").fill("-0.3")
    page.wait_for_selector("#mixed:has-text('seed 2')")
    distance = np.hypot(0.5, 0.3)
    share = np.sin(distance * np.pi / 2) / distance
    mix = Mix((0, 1, 2), (np.cos(distance * np.pi / 2), 0.5 * share, -0.3 * share))
    family = load(Run.open(shared.runs / NAME))
    label = {"label": np.array([family.spec.condition("label").classes.index("star")], np.int32)}
    (expected,) = draw(family, [mix], label)
    page.wait_for_timeout(300)
    assert far(opened.pixels("#walk")[..., :3], expected[0]) <= 1

    page.locator("#wall button").nth(2).focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert page.get_by_role("dialog").get_by_role("heading").text_content() == "Seed 1"
    with page.expect_download() as download:
        page.keyboard.press("s")
    content = download.value.path().read_bytes()
    assert download.value.suggested_filename == "seed-1.png"
    assert b"not signed" in content and b"trainedAlgorithmicMedia" in content
    np.testing.assert_array_equal(load_image(download.value.path())[..., :3], opened.wall(2)[1][..., :3])
    page.keyboard.press("Escape")
    assert page.locator("#wall button").nth(1).evaluate("button => button === document.activeElement")
    assert not opened.complaints


@browsing
def test_it_fits_a_telephone_and_says_what_is_wrong(written, browser):
    opened = Opened(browser, written[1], viewport={"width": 390, "height": 800}, color_scheme="dark")
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    unnamed = page.evaluate("""[...document.querySelectorAll('input, select, button')].filter(one =>
        !(one.labels?.length || one.ariaLabel || one.textContent.trim())).map(one => one.outerHTML)""")
    assert unnamed == []
    page.get_by_label("Seed", exact=True).fill("-3")
    page.wait_for_selector("#error:not([hidden])")
    assert page.locator("#error").text_content().startswith("A seed is a whole number from 0 to")
    assert page.evaluate("fetch('https://example.org').then(() => 'went out', () => 'refused')") == "refused"


def test_the_file_holds_the_card_and_its_rules_and_no_markup_of_others(written, shared):
    result, path = written
    text = path.read_text("utf-8")
    assert result["file"] == str(path) and result["weights"] == "half" and result["bytes"] == path.stat().st_size
    assert result["agreement"]["largest"] <= 1
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'") and "unsafe-inline" not in policy and "connect-src" not in policy
    assert "Shapes &amp; &lt;i&gt;co&lt;/i&gt;" in text and "alert(1)" in text and "<script>alert" not in text
    assert "carry no signature and no watermark" in text and Run.open(shared.runs / NAME).facts["model"] in text
    facts = json.loads(re.search(r'id="facts">(.*?)</script>', text, re.S)[1])
    assert facts["walk"] and len(facts["rows"]) == 36 and facts["labels"][0]["name"] == "label"


def test_what_a_page_cannot_do_is_said(shared, tmp_path):
    with pytest.raises(UsageError, match="a page makes images and nothing else"):
        list(table.run("export", shared, {"run": NAME, "to": str(tmp_path / "a.html"), "what": "predict"}))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@browsing
def test_a_network_makes_the_same_images_too(browser, tmp_path):
    home = tmp_path / "home"
    train(home, "model", "gan", size=16, images=64, set=["batch=8", "width=16"], given="label")
    path = tmp_path / "model.html"
    list(table.run("export", Workspace(home), {"run": "model", "to": str(path)}))
    opened = Opened(browser, path)
    opened.page.get_by_label("Seed", exact=True).fill("5")
    opened.settled()
    assert far(opened.wall(8)[..., :3], sampled(Workspace(home), tmp_path, run="model", count=8, seed=5)) <= 2
    assert opened.page.locator("#plane").is_visible() and not opened.complaints
