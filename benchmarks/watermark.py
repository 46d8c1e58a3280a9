"""How well does the mark in the pixels survive, and how often is it seen where there is none?

    python benchmarks/watermark.py table [--quick] [--sizes 64,128,256,512] [--count 90] [--to FILE.json]
    python benchmarks/watermark.py clean [--quick]     p-values of 10,000 clean images; promised: uniform
    python benchmarks/watermark.py speed               milliseconds for embedding and looking
    python benchmarks/watermark.py show FILE.json...   the table again, as the guide has it

`table` writes FILE after every image, and with the same FILE again goes on with further ones. It lays Maquette's mark
beside those of blind-watermark and invisible-watermark, where these are installed: the same photographs (crops of those
that ship with scikit-image, some reduced), the same attacks, 32 bits for each, and every marked image brought to 40 dB
by scaling what the mark changed. A peer's image counts as detected when as many of its bits are right as in one clean
image of a thousand by chance; ours when its p-value is at most 0.001. Bit errors are of the 32 bits; where nothing is
read, half of them count as wrong.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from maquette.trust import watermark

Picture = NDArray[np.uint8]
Attack = Callable[[Picture, np.random.Generator], Picture]
PHOTOGRAPHS = (
    "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "coffee.png", "coins.png", "grass.png",
    "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip
KEY = b"the benchmark's key"
BYTES = 4
DECIBELS = 40.0
COUNTS = {64: 90, 128: 60, 256: 30, 512: 12}
CLEAN = {64: 5000, 128: 3000, 256: 1500, 512: 500}
QUICK = 15  # times fewer


def crops(size: int, count: int, seed: int, first: int = 0) -> Iterator[Picture]:
    """Square pieces of the photographs, at their size or reduced by up to four; those from `first` on."""
    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("this benchmark needs scikit-image")
    folder = Path(found.submodule_search_locations[0]) / "data"
    whole: dict[str, Any] = {}
    for number in range(first, first + count):
        name = PHOTOGRAPHS[number % len(PHOTOGRAPHS)]
        if name not in whole:
            with Pillow.open(folder / name) as picture:
                whole[name] = picture.convert("RGB")
        picture, shortest = whole[name], min(whole[name].size)
        random = np.random.default_rng([seed, size, number])
        side = int(random.uniform(min(size, shortest), min(4 * size, shortest) + 1))
        left, top = (int(random.integers(0, total - side + 1)) for total in picture.size)
        box = (left, top, left + side, top + side)
        yield np.asarray(picture.resize((size, size), Pillow.Resampling.LANCZOS, box))


# What happens to images


def coded(format: str, quality: int) -> Attack:
    return lambda image, random: _coded(image, format, quality)


def _coded(image: Picture, format: str, quality: int) -> Picture:
    stream = io.BytesIO()
    Pillow.fromarray(image).save(stream, format, quality=quality)
    with Pillow.open(stream) as picture:
        return np.asarray(picture.convert("RGB"))


def resized(image: Picture, width: int, height: int) -> Picture:
    return np.asarray(Pillow.fromarray(image).resize((width, height), Pillow.Resampling.BICUBIC))


def times(factor: float, back: bool = False, across: float = 1.0) -> Attack:
    def attack(image: Picture, random: np.random.Generator) -> Picture:
        height, width = image.shape[:2]
        small = resized(image, round(width * factor * across), round(height * factor))
        return resized(small, width, height) if back else small

    return attack


def cut(image: Picture, share: float, random: np.random.Generator) -> Picture:
    tall, wide = (round(side * share) for side in image.shape[:2])
    top, left = (int(random.integers(0, a - b + 1)) for a, b in zip(image.shape[:2], (tall, wide), strict=True))
    return image[top : top + tall, left : left + wide]


def cropped(share: float, back: bool = False) -> Attack:
    def attack(image: Picture, random: np.random.Generator) -> Picture:
        piece = cut(image, share, random)
        return resized(piece, image.shape[1], image.shape[0]) if back else piece

    return attack


def points(change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Attack:
    return lambda image, random: _eight(change(image.astype(np.float64)))


def _eight(values: NDArray[np.float64]) -> Picture:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def blurred(spread: float) -> Attack:
    return lambda image, random: np.asarray(cv2.GaussianBlur(image, (0, 0), spread))


def median(side: int) -> Attack:
    return lambda image, random: np.asarray(cv2.medianBlur(image, side))


def noisy(spread: float) -> Attack:
    return lambda image, random: _eight(image + random.normal(0, spread, image.shape))


def rotated(degrees: float) -> Attack:
    def attack(image: Picture, random: np.random.Generator) -> Picture:
        height, width = image.shape[:2]
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
        return np.asarray(cv2.warpAffine(image, turn, (width, height), flags=cv2.INTER_CUBIC))

    return attack


def screenshot(factor: float, share: float, quality: int) -> Attack:
    def attack(image: Picture, random: np.random.Generator) -> Picture:
        shown = resized(image, round(image.shape[1] * factor), round(image.shape[0] * factor))
        return _coded(cut(shown, share, random), "JPEG", quality)

    return attack


def sharpened(amount: float) -> Attack:
    return lambda image, random: _eight(
        image + amount * (image - cv2.GaussianBlur(image.astype(np.float64), (0, 0), 1.5))
    )


def covered(share: float) -> Attack:
    def attack(image: Picture, random: np.random.Generator) -> Picture:
        tall, wide = (round(side * share**0.5) for side in image.shape[:2])
        top, left = (int(random.integers(0, a - b + 1)) for a, b in zip(image.shape[:2], (tall, wide), strict=True))
        image = image.copy()
        image[top : top + tall, left : left + wide] = 255
        return image

    return attack


def greyed(bleached: float) -> Attack:
    def attack(image: Picture, random: np.random.Generator) -> Picture:
        grey = image.astype(np.float64) @ [0.299, 0.587, 0.114]
        return _eight(image + bleached * (grey[..., None] - image))

    return attack


ATTACKS: dict[str, dict[str, Attack]] = {
    "JPEG": {f"quality {q}": coded("JPEG", q) for q in (75, 50, 30)},
    "WebP": {f"quality {q}": coded("WEBP", q) for q in (75, 50, 30)},
    "resized": {f"to {f:g}": times(f) for f in (1.5, 0.75, 0.5)},
    "resized and back": {f"by {f:g}": times(f, back=True) for f in (0.75, 0.5, 0.35)},
    "stretched": {f"width {a:g}": times(1, across=a) for a in (0.9, 0.75, 1.4)},
    "cropped": {f"to {s:.0%} of a side": cropped(s) for s in (0.9, 0.75, 0.5)},
    "cropped and enlarged": {f"from {s:.0%} of a side": cropped(s, back=True) for s in (0.9, 0.75, 0.5)},
    "screenshot": {
        f"scale {f:g}, {s:.0%} of a side, JPEG {q}": screenshot(f, s, q)
        for f, s, q in ((1.25, 0.95, 90), (0.8, 0.9, 80), (0.67, 0.8, 70))
    },
    "blurred": {f"sigma {s:g}": blurred(s) for s in (0.7, 1.0, 1.5)},
    "median": {f"{s} pixels": median(s) for s in (3, 5, 7)},
    "sharpened": {f"amount {a:g}": sharpened(a) for a in (0.5, 1.0, 2.0)},
    "noise": {f"sigma {s}": noisy(s) for s in (5, 10, 20)},
    "brightness": {f"{b:+d}": points(lambda x, b=b: x + b) for b in (10, 30, -50)},
    "contrast": {f"times {c:g}": points(lambda x, c=c: (x - 128) * c + 128) for c in (0.8, 1.3, 0.5)},
    "gamma": {f"{g:g}": points(lambda x, g=g: 255 * (x / 255) ** g) for g in (0.8, 1.25, 1.8)},
    "less colour": {f"by {s:.0%}": greyed(s) for s in (0.3, 0.7, 1.0)},
    "rotated": {f"{d} degrees": rotated(d) for d in (1, 2, 5)},
    "covered": {f"{s:.0%} white": covered(s) for s in (0.05, 0.2, 0.4)},
}  # fmt: skip


# The marks


class _Ours:
    name = "Maquette"
    smallest = 0

    def embed(self, image: Picture, bits: NDArray[np.bool_]) -> Picture | None:
        try:
            return watermark.embed(image, np.packbits(bits).tobytes(), KEY, decibels=DECIBELS)
        except watermark.UnfitError:
            return None

    def look(self, image: Picture) -> tuple[bool, NDArray[np.bool_] | None]:
        found = watermark.detect(image, KEY, BYTES)
        read = found.payload or found.likeliest
        return found.present, None if read is None else np.unpackbits(np.frombuffer(read, np.uint8)).astype(bool)


class _Peer:
    """A mark that gives bits whatever it looks at; detected when enough of them are right."""

    threshold = 33

    def embed(self, image: Picture, bits: NDArray[np.bool_]) -> Picture | None:
        return brought_to(DECIBELS, image, self.marked(image, [bool(bit) for bit in bits]))

    def marked(self, image: Picture, bits: list[bool]) -> NDArray[Any]:
        raise NotImplementedError

    def read(self, image: Picture) -> NDArray[np.bool_] | None:
        raise NotImplementedError

    def look(self, image: Picture) -> tuple[bool, NDArray[np.bool_] | None]:
        return False, self.read(image)


class _BlindWatermark(_Peer):
    name = "blind-watermark"
    smallest = 64

    def marked(self, image: Picture, bits: list[bool]) -> NDArray[Any]:
        from blind_watermark import WaterMark

        mark = WaterMark(password_wm=1, password_img=1)
        mark.read_img(img=image[..., ::-1].copy())
        mark.read_wm(bits, mode="bit")
        return np.asarray(mark.embed())[..., ::-1]

    def read(self, image: Picture) -> NDArray[np.bool_] | None:
        from blind_watermark import WaterMark

        try:
            mark = WaterMark(password_wm=1, password_img=1)
            return np.asarray(mark.extract(embed_img=image[..., ::-1].copy(), wm_shape=8 * BYTES, mode="bit")) > 0.5
        except (AssertionError, ValueError, IndexError):
            return None  # the image has become too small for so many bits


class _InvisibleWatermark(_Peer):
    name = "invisible-watermark"
    smallest = 256  # it refuses smaller ones

    def marked(self, image: Picture, bits: list[bool]) -> NDArray[Any]:
        from imwatermark import WatermarkEncoder

        encoder = WatermarkEncoder()
        encoder.set_watermark("bits", bits)
        return np.asarray(encoder.encode(image[..., ::-1].copy(), "dwtDctSvd"))[..., ::-1]

    def read(self, image: Picture) -> NDArray[np.bool_] | None:
        from imwatermark import WatermarkDecoder

        try:
            return np.asarray(WatermarkDecoder("bits", 8 * BYTES).decode(image[..., ::-1].copy(), "dwtDctSvd")) > 0
        except (RuntimeError, ValueError):
            return None


def brought_to(decibels: float, image: Picture, marked: NDArray[Any]) -> Picture:
    """The image with so much of the change that the signal to noise is exactly this."""
    change = marked.astype(np.float64) - image
    wanted = 255.0**2 / 10 ** (decibels / 10)
    factor = (wanted / max(np.mean(change**2), 1e-12)) ** 0.5
    for _ in range(5):
        after = _eight(image + factor * change)
        factor *= (wanted / max(np.mean((after - image.astype(np.float64)) ** 2), 1e-12)) ** 0.5
    return after


def peers() -> list[_Peer]:
    found: list[_Peer] = []
    warnings.simplefilter("ignore")
    if importlib.util.find_spec("blind_watermark"):
        import blind_watermark

        blind_watermark.bw_notes.close()
        found.append(_BlindWatermark())
    if importlib.util.find_spec("imwatermark"):
        found.append(_InvisibleWatermark())
    return found


def set_threshold(mark: _Peer, size: int, clean: int) -> None:
    """As many right bits as one clean image of a thousand has, each against 200 random messages."""
    random = np.random.default_rng([5, size])
    counts = np.zeros(8 * BYTES + 1, np.int64)
    for image in crops(size, clean, seed=11):
        bits = mark.read(image)
        if bits is not None:
            messages = random.integers(0, 2, (200, 8 * BYTES)).astype(bool)
            counts += np.bincount((messages == bits).sum(1), minlength=len(counts))
    above = counts[::-1].cumsum()[::-1] / counts.sum()
    mark.threshold = int(np.argmax(above <= 0.001))


def measure(size: int, count: int, clean: int, result: dict[str, Any], save: Callable[[], None]) -> None:
    """Detection and bit errors of every mark under every attack on so many further images of one size."""
    marks: list[Any] = [_Ours(), *(peer for peer in peers() if peer.smallest <= size)]
    if not result:
        result.update(count=0, cells={}, decibels={mark.name: [] for mark in marks}, thresholds={})
        for mark in marks[1:]:
            set_threshold(mark, size, clean)
            result["thresholds"][mark.name] = mark.threshold
    for mark in marks[1:]:
        mark.threshold = result["thresholds"][mark.name]
    attacks = {"none": {"": lambda image, random: image}, **ATTACKS}
    began = time.monotonic()
    for image in crops(size, count, seed=7, first=result["count"]):
        bits = np.random.default_rng([3, size, result["count"]]).integers(0, 2, 8 * BYTES).astype(bool)
        for mark in marks:
            marked = mark.embed(image, bits)
            if marked is not None:
                result["decibels"][mark.name].append(signal_to_noise(image, marked))
            for attack, strengths in attacks.items():
                for strength, change in strengths.items():
                    seen, read = (False, None)
                    if marked is not None:
                        changed = change(marked, np.random.default_rng([5, size, result["count"]]))
                        seen, read = mark.look(np.ascontiguousarray(changed))
                    right = 4 * BYTES if read is None else int((read == bits).sum())
                    if isinstance(mark, _Peer):
                        seen = read is not None and right >= mark.threshold
                    entry = result["cells"].setdefault(f"{attack}|{strength}", {}).setdefault(mark.name, [0, 0])
                    entry[0] += int(seen)
                    entry[1] += 8 * BYTES - right
        result["count"] += 1
        save()
        print(f"{size} px: {result['count']} images, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def signal_to_noise(image: Picture, marked: Picture) -> float:
    return float(10 * np.log10(255.0**2 / np.mean((image.astype(np.float64) - marked) ** 2)))


def shares(result: dict[str, Any], cell: str) -> dict[str, tuple[float, float]]:
    """Detected and wrong bits of each mark in one cell, as shares."""
    count = result["count"]
    return {name: (seen / count, wrong / (8 * BYTES * count)) for name, (seen, wrong) in result["cells"][cell].items()}


def shown(results: dict[str, Any]) -> str:
    """The table in Markdown, and how it went in words."""
    sizes = sorted(results, key=int)
    lines = []
    names = {name for size in sizes for cell in results[size]["cells"].values() for name in cell}
    others = [name for name in ("blind-watermark", "invisible-watermark") if name in names]
    lines.append("Each cell: detected in %, and wrong bits in %, of Maquette / " + " / ".join(others) + ".\n")
    heads = [f"{size} px ({results[size]['count']} images)" for size in sizes]
    lines.append("| what happened | " + " | ".join(heads) + " |")
    lines.append("| --- |" + " --- |" * len(sizes))
    ahead = behind = level = perfect = 0
    lost = []
    for cell in results[sizes[0]]["cells"]:
        words = []
        for size in sizes:
            values = shares(results[size], cell)
            said = [values[name] for name in ("Maquette", *others) if name in values]
            words.append(" / ".join(f"{100 * a:.0f}, {100 * b:.0f}" for a, b in said))
            if len(said) > 1 and not cell.startswith("none"):
                ours, theirs = said[0], max(said[1:], key=lambda pair: (pair[0], -pair[1]))
                if int(size) >= 128:
                    better = ours[0] > theirs[0] + 1e-9 or (
                        abs(ours[0] - theirs[0]) < 1e-9 and ours[1] < theirs[1] - 1e-9
                    )
                    same = abs(ours[0] - theirs[0]) < 1e-9 and abs(ours[1] - theirs[1]) < 1e-9
                    ahead, level, behind = ahead + better, level + same, behind + (not better and not same)
                    perfect += same and ours == (1.0, 0.0)
                if ours[0] < theirs[0] - 0.01 - 1e-9:
                    lost.append(
                        f"{cell.replace('|', ' ')} at {size} px ({100 * ours[0]:.0f} against {100 * theirs[0]:.0f} %)"
                    )
        lines.append(f"| {cell.replace('|', ', ').rstrip(', ')} | " + " | ".join(words) + " |")
    total = max(1, ahead + level + behind)
    lines.append("")
    lines.append(
        f"From 128 px up, {ahead} of {total} cells are ahead of the better peer ({ahead / total:.0%}: more detected, or"
        f" as many with fewer wrong bits), {level} are equal (in {perfect} of them nothing is lost by either) and"
        f" {behind} behind."
    )
    lines.append("More than a point behind in detection: " + ("; ".join(lost) if lost else "nowhere") + ".")
    for size in sizes:
        values = ", ".join(
            f"{name} {np.mean(each):.2f} (at least {min(each):.2f})" for name, each in results[size]["decibels"].items()
        )
        needed = ", ".join(f"{name} {count}" for name, count in results[size]["thresholds"].items())
        lines.append(f"{size} px: decibels {values}; right bits of 32 that a peer needs: {needed}.")
    return "\n".join(lines)


def clean(sizes: list[int], quick: bool) -> None:
    """p-values of images that carry no mark, each with a key of its own."""
    for size in sizes:
        values = []
        for number, image in enumerate(crops(size, CLEAN[size] // (QUICK if quick else 1), seed=13)):
            values.append(watermark.detect(image, f"{size} {number}".encode(), BYTES).p_value)
        chances = np.array(values)
        shares = " ".join(f"{limit:g}: {np.mean(chances <= limit):.5f}" for limit in (0.5, 0.1, 0.01, 0.001))
        print(f"{size} px, {len(chances)} clean images; share of p-values up to {shares}", flush=True)


def speed() -> None:
    for size in (64, 128, 256, 512):
        images = list(crops(size, 15, seed=17))
        spent: dict[str, list[float]] = {"embedding": [], "looking, marked": [], "looking, clean": []}
        for image in images * 3:
            began = time.perf_counter()
            marked = watermark.embed(image, b"abcd", KEY)
            spent["embedding"].append(time.perf_counter() - began)
            for what, picture in (("looking, marked", marked), ("looking, clean", image)):
                began = time.perf_counter()
                watermark.detect(picture, KEY)
                spent[what].append(time.perf_counter() - began)
        print(f"{size} px: " + ", ".join(f"{what} {1000 * np.median(times):.1f} ms" for what, times in spent.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("table", "clean", "speed", "show"))
    parser.add_argument("files", nargs="*", type=Path, help="for show: what table wrote")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--sizes", default="64,128,256,512")
    parser.add_argument("--count", type=int, help="images of each size")
    parser.add_argument("--clean", type=int, help="clean images of each size for the peers' thresholds")
    parser.add_argument("--to", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    sizes = [int(size) for size in given.sizes.split(",")]
    if given.what == "clean":
        clean(sizes, given.quick)
    elif given.what == "speed":
        speed()
    elif given.what == "show":
        parts = [json.loads(file.read_text("utf-8")) for file in given.files]
        print(shown({size: result for part in parts for size, result in part.items()}))
    else:
        fewer = QUICK if given.quick else 1
        results = json.loads(given.to.read_text("utf-8")) if given.to and given.to.exists() else {}

        def save() -> None:
            if given.to:
                partial = given.to.with_suffix(".partial")
                partial.write_text(json.dumps(results), "utf-8")
                partial.replace(given.to)

        for size in sizes:
            count = given.count or max(2, COUNTS[size] // fewer)
            measure(size, count, max(20, given.clean or CLEAN[size] // fewer), results.setdefault(str(size), {}), save)
        print(shown(results))


if __name__ == "__main__":
    main()
