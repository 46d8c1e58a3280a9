"""Pages: whole in themselves, safe whatever is put in, and the plots say what they show."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.core import plot
from maquette.core.page import Page, Picture, data_uri, part

VOID = {"meta", "img", "br", "line", "rect", "circle", "path", "polyline", "polygon"}


class Reader(HTMLParser):
    """Collects tags, addresses and text, and fails when tags do not close in order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.links, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


def whole(word="a.png"):
    image = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    page = Page(f"Audit of {word}", lead=word)
    page.verdict(word, [word, word], tone="fair")
    section = page.section(word, tone="poor", count=1200, tag=word)
    section.text(word).note(word).heading(word).code(word).points([word]).steps([(word, word, word)])
    section.pictures([Picture(image, word, "poor"), Picture(image[..., :1], word)], title=word)
    section.table(["name", "count"], [[word, 3], [word, 4.25]])
    section.plot(plot.bars([plot.Bar(word, 2.0, 1.0, 3.0)], label=word), title=word)
    section.plots([(word, plot.lines({word: plot.Line([0, 1], [2, 3], [1, 2], [3, 4])}, label=word))])
    section.plot(plot.points({word: ([0, 1], [2, 3]), "b": ([1], [1])}, label=word, across_label=word))
    section.plot(plot.histogram([1, 2, 3, 9.0], mark=5, bad="above", label=word))
    section.more(word, part().text(word))
    return page


def test_a_page_needs_nothing_from_anywhere():
    text = whole().html()
    links = read(text).links
    assert links and all(link.startswith(("data:image/", "#")) for link in links)
    assert "<script" not in text and "@import" not in text and "url(" not in text
    assert "default-src 'none'" in text


@pytest.mark.parametrize("word", ["<script>alert(1)</script>", '"><img src=x onerror=y>', "</style>", "&lt;b&gt;"])
def test_whatever_is_put_in_is_text(word):
    plain, reader = read(whole().html()), read(whole(word).html())
    assert reader.tags == plain.tags  # no word adds a tag
    assert word in "".join(reader.text)


@given(st.text(max_size=40))
def test_any_text_can_be_a_name(word):
    reader = read(whole(word).html())
    assert reader.tags.count("section") == 2


def test_the_table_of_contents_leads_to_every_section(tmp_path):
    page = Page("p")
    for title in ("Near duplicates", "Near duplicates", "日本", ""):
        page.section(title).text("x")
    path = page.save(tmp_path / "deep" / "p.html")
    text = path.read_text("utf-8")
    names = re.findall(r'<section id="([^"]+)"', text)
    assert len(set(names)) == 4
    assert [link[1:] for link in read(text).links if link != "#content"] == names[:3]


def test_numbers_stand_right_and_words_left():
    page = Page("p")
    page.section("s").table(["name", "count", "share"], [["a", 12_345, "3 %"], ["b", 1, "12.5 %"]])
    text = page.html()
    assert '<td>a</td><td class="number">12,345</td><td class="number">3 %</td>' in text


def test_every_mode_of_image_can_be_shown():
    for channels, dtype in ((1, np.uint8), (3, np.uint8), (4, np.uint8), (1, np.uint16)):
        assert data_uri(np.zeros((16, 16, channels), dtype)).startswith("data:image/png;base64,")
    large = np.zeros((600, 1200, 3), np.uint8)
    assert data_uri(large).startswith("data:image/webp;base64,")
    assert len(data_uri(large)) < 20_000


def test_a_histogram_counts_every_value_and_colours_the_bad_ones():
    text = plot.histogram([0.0] * 5 + [1.0] * 3, bins=2, mark=0.5, bad="below")
    assert re.findall(r"<title>(\d+) from", text) == ["5", "3"]
    assert re.findall(r'class="bar (\w+)"', text) == ["poor", "c1"]
    assert "threshold 0.5" in text


@given(st.lists(st.floats(-1e9, 1e9), max_size=30))
def test_any_values_can_be_drawn(values):
    for text in (
        plot.histogram(values),
        plot.bars([plot.Bar(str(k), abs(v)) for k, v in enumerate(values)]),
        plot.lines({"a": plot.Line(range(len(values)), values)}),
        plot.points({"a": (values, values)}),
    ):
        read(text)
        assert "nan" not in text and "inf" not in text.replace("info", "")


def test_values_that_are_not_finite_are_left_out():
    assert "of 2 values" in plot.histogram([1.0, float("nan"), 3.0])


def test_lines_by_powers_of_ten_are_straight_where_values_grow_in_proportion():
    text = plot.lines({"a": plot.Line([10, 100, 1000], [0.5, 5, 50])}, powers=True)
    (found,) = re.findall(r'<polyline [^>]*points="([^"]*)"', text)
    (x0, y0), (x1, y1), (x2, y2) = (map(float, pair.split(",")) for pair in found.split())
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2) and y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert all(f">{tick}</text>" in text for tick in ("10", "100", "1,000", "0.1", "1"))
