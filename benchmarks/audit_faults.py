"""Files with planted faults, of which it is known what is wrong: from scikit-image's photographs and drawn pictures."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIDE = 128
PHOTOGRAPHS = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png", "gravel.png",
    "ihc.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg", "moon.png",
)  # fmt: skip
Picture = Image.Image
WORDS = ("red", "small", "picture", "many", "shapes", "front", "other", "lines", "with", "and", "colour")


@dataclass
class Truth:
    """What was planted: names by kind, and pairs that belong together by kind."""

    items: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    pairs: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    family: dict[str, str] = field(default_factory=dict)
    """Name -> the picture that it is a copy of; images of one family are copies of each other."""


def photographs() -> list[Picture]:
    """Crops that do not overlap and have structure in each quarter; grey photographs get a tint."""
    folder = resources.files("skimage.data")
    rng = np.random.default_rng(0)
    found = []
    for name in PHOTOGRAPHS:
        with resources.as_file(folder.joinpath(name)) as path, Image.open(path) as opened:
            whole = opened.convert("RGB")
        grey = opened.mode == "L"
        for y in range(0, whole.height - SIDE + 1, SIDE):
            for x in range(0, whole.width - SIDE + 1, SIDE):
                crop = whole.crop((x, y, x + SIDE, y + SIDE))
                values = np.asarray(crop.convert("L"), np.float32)
                quarters = [values[a : a + 64, b : b + 64].std() for a in (0, 64) for b in (0, 64)]
                sharp = np.abs(np.diff(values, axis=0)).mean() > 4
                if min(quarters) > 10 and 40 < values.mean() < 215 and sharp:
                    found.append(_tinted(crop, rng) if grey else crop)
    rng.shuffle(found)
    return found


def _tinted(picture: Picture, rng: np.random.Generator) -> Picture:
    return Image.fromarray(
        np.clip(np.asarray(picture) * rng.uniform([0.95, 0.7, 0.45], [1.1, 0.9, 0.65]), 0, 255).astype(np.uint8)
    )


def drawn(seed: int) -> Picture:
    """A picture of its own: a ground with a slope, twenty shapes, a grain."""
    rng = np.random.default_rng([7, seed])
    a, b = rng.uniform(50, 210, (2, 3))
    y, x = np.mgrid[: 2 * SIDE, : 2 * SIDE] / (2 * SIDE)
    slope = np.cos(rng.uniform(0, 6)) * x + np.sin(rng.uniform(0, 6)) * y
    ground = a + (b - a) * slope[..., None]
    picture = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(10, 26))):
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        cx, cy = rng.uniform(0, 2 * SIDE, 2)
        r = rng.uniform(8, 60)
        kind = rng.integers(0, 4)
        if kind == 0:
            pen.ellipse((cx - r, cy - r * rng.uniform(0.4, 1), cx + r, cy + r), fill=colour)
        elif kind == 1:
            turn = rng.uniform(0, 6.3) + np.sort(rng.uniform(0, 6.3, int(rng.integers(3, 7))))
            pen.polygon([(cx + r * np.cos(t), cy + r * np.sin(t)) for t in turn], fill=colour)
        elif kind == 2:
            pen.line(
                [tuple(rng.uniform(0, 2 * SIDE, 2)) for _ in range(3)], fill=colour, width=int(rng.integers(3, 12))
            )
        else:
            pen.rectangle((cx - r, cy - r * 0.5, cx + r, cy + r * 0.7), fill=colour, outline=(0, 0, 0))
    small = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
    grain = rng.normal(0, rng.uniform(1, 6), (SIDE, SIDE, 1))
    return Image.fromarray(np.clip(small + grain, 0, 255).astype(np.uint8))


# Faults: from a good picture to the bytes of a bad file


def png(picture: Picture) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def jpeg(picture: Picture, quality: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def scaled(picture: Picture, low: float, high: float) -> Picture:
    """The luminances pressed into low..high."""
    return Image.fromarray(np.rint(low + np.asarray(picture, np.float32) / 255 * (high - low)).astype(np.uint8))


def shrunk(picture: Picture, side: int, back: Image.Resampling) -> Picture:
    return picture.resize((side, side), Image.Resampling.BOX).resize((SIDE, SIDE), back)


def bordered(picture: Picture, rng: np.random.Generator) -> Picture:
    colour = [(0, 0, 0), (255, 255, 255), (40, 60, 90)][int(rng.integers(3))]
    kind, bar = int(rng.integers(3)), int(rng.integers(8, 22))
    result = Image.new("RGB", picture.size, colour)
    box = ((0, bar), (bar, 0), (bar, bar))[kind]
    result.paste(picture.resize((SIDE - 2 * box[0], SIDE - 2 * box[1]), Image.Resampling.LANCZOS), box)
    return result


def written(picture: Picture, rng: np.random.Generator) -> Picture:
    """A date or a name across the picture."""
    text = "".join(rng.choice(list("ABCDEFGHKLMNPRSTUVWXYZ0123456789"), 9))
    result = picture.copy()
    font = ImageFont.load_default(size=int(rng.integers(18, 24)))
    light = (255, 255, 255) if np.asarray(picture).mean() < 140 else (0, 0, 0)
    ImageDraw.Draw(result).text((4, int(rng.integers(4, SIDE - 28))), text, light, font)
    return result


def foreign(picture: Picture, rng: np.random.Generator) -> Picture:
    """Something that has nothing to do with the rest: noise and stripes in many sizes."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    kind, turn, size = int(rng.integers(2)), rng.uniform(0, 3.1), float(rng.choice([3, 5, 8, 13, 21]))
    along = x * np.cos(turn) + y * np.sin(turn)
    if kind == 0:
        grain = int(rng.choice([1, 2, 4]))
        values = np.kron(rng.integers(0, 256, (SIDE // grain, SIDE // grain, 3)), np.ones((grain, grain, 1)))
    else:
        values = np.repeat((along // size % 2 * 255)[..., None], 3, 2) * rng.uniform(0.3, 1, 3)
    grain = rng.normal(0, 8, (SIDE, SIDE, 1))
    return Image.fromarray(np.clip(values + grain, 0, 255).astype(np.uint8))


SINGLE: dict[str, Callable[[Picture, np.random.Generator], bytes]] = {
    "blurred": lambda p, r: png(p.filter(ImageFilter.GaussianBlur(float(r.uniform(4, 7))))),
    "too-dark": lambda p, r: png(scaled(p, 0, float(r.uniform(15, 38)))),
    "too-bright": lambda p, r: png(scaled(p, float(r.uniform(225, 240)), 255)),
    "low-contrast": lambda p, r: png(scaled(p, 120, 120 + float(r.uniform(18, 25)))),
    "low-information": lambda p, r: png(Image.new("RGB", p.size, tuple(int(v) for v in r.integers(0, 256, 3)))),
    "compressed": lambda p, r: jpeg(p, int(r.integers(4, 16))),
    "upscaled": lambda p, r: (
        png(shrunk(p, 32, Image.Resampling.NEAREST)), png(shrunk(p, 32, Image.Resampling.BICUBIC)),
        png(p.resize((40, 40), Image.Resampling.BOX)),
    )[int(r.integers(3))],
    "odd-aspect": lambda p, r: png(p.resize((SIDE, 400) if r.integers(2) else (400, SIDE), Image.Resampling.LANCZOS)),
    "odd-size": lambda p, r: png(p.resize((640, 640), Image.Resampling.BICUBIC)),
    "borders": lambda p, r: png(bordered(p, r)),
    "grey-among-colour": lambda p, r: png(p.convert("L").convert("RGB")),
    "overlays": lambda p, r: png(written(p, r)),
    "outliers": lambda p, r: png(foreign(p, r)),
    "unreadable": lambda p, r: png(p)[: int(r.integers(40, 900))] if r.integers(2) else r.bytes(2000),
}  # fmt: skip
COPIES: dict[str, Callable[[Picture], bytes]] = {
    "JPEG quality 50": lambda p: jpeg(p, 50),
    "half size": lambda p: png(p.resize((SIDE // 2, SIDE // 2), Image.Resampling.BICUBIC)),
    "blur": lambda p: png(p.filter(ImageFilter.GaussianBlur(1.5))),
    "mirror": lambda p: png(p.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    "5 % crop": lambda p: png(p.crop((3, 3, SIDE - 3, SIDE - 3))),
    "5 % crop at a corner": lambda p: png(p.crop((0, 0, SIDE - 6, SIDE - 6))),
}


def plant(folder: Path, *, count: int = 2000, each: int = 20) -> Truth:
    """Write the files into `folder/train` and `folder/test`, with captions in metadata.csv."""
    truth, rng = Truth(), np.random.default_rng(1)
    pictures = [*photographs(), *(drawn(seed) for seed in range(count))]
    pool = iter([pictures[k] for k in rng.permutation(len(pictures))])
    captions: dict[str, str] = {}
    number = 0

    def write(content: bytes, part: str = "train", caption: str = "") -> str:
        nonlocal number
        name = f"{part}/{number:05d}.{'jpg' if content[:2] == bytes([255, 216]) else 'png'}"
        number += 1
        (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        captions[name] = caption or " ".join(rng.choice(WORDS, 6))
        return name

    def pair(kind: str, content: Callable[[Picture], bytes], *, part: str = "train", same_caption: bool = True) -> None:
        picture = next(pool)
        first = write(png(picture))
        second = write(content(picture), part, captions[first] if same_caption else "something else entirely")
        truth.pairs[kind].append((first, second))
        truth.family[first] = truth.family[second] = first

    for kind, spoil in SINGLE.items():
        for _ in range(each):
            truth.items[kind].add(write(spoil(next(pool), rng)))
    for kind, copy in COPIES.items():
        for _ in range(each):
            pair(kind, copy)
    for _ in range(each):
        pair("exact", png)
        pair("leakage", lambda p: jpeg(p, 70), part="test")
        pair("conflict", lambda p: jpeg(p, 80), same_caption=False)
    for _, second in truth.pairs["leakage"]:
        truth.items["leakage"].add(second)
    for first, second in truth.pairs["conflict"]:
        truth.items["conflicting-labels"] |= {first, second}
    for first, second in truth.pairs["exact"]:
        truth.items["exact-duplicates"] |= {first, second}
    while number < count:
        write(png(next(pool)), "test" if number % 10 == 0 else "train")
    with open(folder / "metadata.csv", "w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["file_name", "caption", "split"])
        rows.writerows([name, caption, name.split("/")[0]] for name, caption in captions.items())
    return truth
