"""How fast the ops of refine are beside scikit-image, Pillow and kornia, with plain OpenCV as the floor.

    python benchmarks/refine_speed.py                              the libraries of this environment
    python benchmarks/refine_speed.py --kornia PYTHON              kornia too, run by that Python (torch is heavy)
    python benchmarks/refine_speed.py --only blur,median --size 512
    python benchmarks/refine_speed.py --json FILE --part 1/4       in parts: the file gathers them

Each op on an RGB image of 1024 x 1024 pixels and 8 bits, in memory, from array to array, all processors; each library
is given the image in the form it likes best (Pillow its own, kornia a float tensor), conversions not counted. The sides
take turns, the quickest of their runs counts. Where scikit-image needs many seconds, a quarter of the rows is timed and
multiplied by four (marked *).

Promised: as fast as the fastest of the three for every op that they have too, and at least 5 times scikit-image in the
geometric mean. Ends with 1 where that does not hold (granted to the clock: 5 %, and 0.05 ms). Plain OpenCV is shown for
comparison: the op is that, and what makes it right for alpha, depth and tiles.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

PEERS = ("scikit-image", "Pillow", "kornia")
GRANTED, MOMENT, PROMISED = 1.05, 0.05, 5.0
TURNS, ENOUGH = 8, 5.0
"""Turns at most, and seconds after which two of them are enough: other programs disturb what is short the most."""
SECONDS = 0.15
"""How long one side is timed in a row, at least, when it is its turn."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One op and its like elsewhere: functions of the inputs, by library."""

    op: str
    dials: dict[str, Any] = field(default_factory=dict)
    skimage: Callable[[Any], Any] | None = None
    pillow: Callable[[Any], Any] | None = None
    opencv: Callable[[Any], Any] | None = None
    slow: bool = False
    """scikit-image is timed on a quarter of the rows."""

    @property
    def name(self) -> str:
        """The op and what it is given."""
        return " ".join([self.op, *(f"{key}={value}" for key, value in self.dials.items() if len(str(value)) < 20)])


class Inputs:
    """The image in the forms that libraries like."""

    def __init__(self, size: int) -> None:
        import cv2
        import skimage.data
        from PIL import Image

        self.cv2 = cv2
        self.rgb = cv2.resize(skimage.data.astronaut(), (size, size), interpolation=cv2.INTER_CUBIC)
        self.unit = (self.rgb / np.float32(255)).astype(np.float32)
        self.grey = np.ascontiguousarray(self.unit[..., 1])
        self.pillow = Image.fromarray(self.rgb)
        self.other = np.ascontiguousarray(self.rgb[::-1] // 2)
        self.mask = np.zeros((size, size), np.uint8)
        random = np.random.default_rng(0)
        for _ in range(150):
            cv2.circle(self.mask, tuple(int(at) for at in random.integers(0, size, 2)), 2, 255, -1)
        self.curve = (255 * (np.arange(256) / 255) ** 0.8).astype(np.uint8)

    def quarter(self) -> Inputs:
        """The upper quarter of the rows, for what takes long."""
        part = object.__new__(Inputs)
        rows = len(self.rgb) // 4
        part.__dict__.update(self.__dict__, rgb=self.rgb[:rows], unit=self.unit[:rows], grey=self.grey[:rows])
        part.__dict__.update(mask=self.mask[:rows], other=self.other[:rows])
        return part


def each(image: Any, work: Callable[[Any], Any]) -> Any:
    """A function of one channel on all three: for what scikit-image has for grey alone, or does wrong in colour."""
    return np.stack([work(image[..., channel]) for channel in range(3)], axis=2)


def filters() -> Iterator[Row]:
    """Blurs, sharpening, denoising, repairs."""
    import skimage.filters as f
    import skimage.filters.rank as rank
    import skimage.restoration as r
    from PIL import ImageFilter as p

    bell = np.outer(*[np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.2**2))] * 2)
    bell /= bell.sum()
    for radius in (2, 20):
        yield Row(
            op="gaussian-blur", dials={"radius": radius},
            skimage=lambda i, s=radius: f.gaussian(i.unit, s, channel_axis=2),
            pillow=lambda i, s=radius: i.pillow.filter(p.GaussianBlur(s)),
            opencv=lambda i, s=radius: i.cv2.GaussianBlur(i.rgb, (0, 0), s),
        )  # fmt: skip
    yield Row(
        op="box-blur", dials={"radius": 5}, pillow=lambda i: i.pillow.filter(p.BoxBlur(5)),
        opencv=lambda i: i.cv2.blur(i.rgb, (11, 11)),
    )  # fmt: skip
    for radius in (1, 2, 5):
        side = np.ones((2 * radius + 1,) * 2, bool)
        yield Row(
            op="median", dials={"radius": radius}, slow=radius > 2,
            skimage=lambda i, s=side: each(i.rgb, lambda c: (f.median if len(s) < 7 else rank.median)(c, s)),
            pillow=lambda i, s=radius: i.pillow.filter(p.MedianFilter(2 * s + 1)) if s < 3 else None,
            opencv=lambda i, s=radius: i.cv2.medianBlur(i.rgb, 2 * s + 1),
        )  # fmt: skip
    yield Row(
        op="bilateral", dials={"radius": 2}, slow=True, opencv=lambda i: i.cv2.bilateralFilter(i.rgb, 9, 76, 2),
        skimage=lambda i: r.denoise_bilateral(i.unit, win_size=9, sigma_color=0.1, sigma_spatial=2, channel_axis=2),
    )  # fmt: skip
    yield Row(op="guided", dials={"radius": 8})
    yield Row(op="motion-blur", dials={"distance": 31.0, "angle": 30.0})
    yield Row(
        op="sharpen", dials={"amount": 0.5, "radius": 2.0},
        skimage=lambda i: each(i.unit, lambda c: f.unsharp_mask(c, radius=2, amount=0.5)),
        pillow=lambda i: i.pillow.filter(p.UnsharpMask(2, 50, 0)),
    )  # fmt: skip
    yield Row(op="deconvolve", dials={"noise": 0.0}, skimage=lambda i: r.richardson_lucy(i.grey, bell, num_iter=12))
    yield Row(
        op="denoise-means", dials={"noise": 0.05}, slow=True,
        skimage=lambda i: r.denoise_nl_means(
            i.unit, patch_size=5, patch_distance=6, h=0.04, sigma=0.05, fast_mode=True, channel_axis=2
        ),
    )  # fmt: skip
    yield Row(op="denoise-tv", skimage=lambda i: r.denoise_tv_chambolle(i.unit, 0.08, channel_axis=2))
    if _has("pywt"):
        yield Row(op="denoise-wavelet", skimage=lambda i: r.denoise_wavelet(i.unit, sigma=0.05, channel_axis=2))
    yield Row(
        op="heal", dials={"mask": "(150 specks)", "widen": 0}, slow=True,
        skimage=lambda i: r.inpaint_biharmonic(i.unit, i.mask > 0, channel_axis=2),
        opencv=lambda i: i.cv2.inpaint(i.rgb, i.mask, 2, i.cv2.INPAINT_NS),
    )  # fmt: skip


def prints() -> Iterator[Row]:
    """Posterise, dither, pixelate."""
    import skimage.transform as t
    from PIL import Image, ImageOps

    yield Row(op="posterise", dials={"levels": 8}, pillow=lambda i: ImageOps.posterize(i.pillow, 3))
    yield Row(
        op="dither", dials={"pattern": "diffusion", "light": False},
        pillow=lambda i: i.pillow.quantize(palette=_eight_colours(), dither=Image.Dither.FLOYDSTEINBERG).convert("RGB"),
    )  # fmt: skip
    yield Row(
        op="pixelate", dials={"size": 8},
        skimage=lambda i: t.downscale_local_mean(i.rgb, (8, 8, 1)).repeat(8, axis=0).repeat(8, axis=1),
        pillow=lambda i: i.pillow.reduce(8).resize(i.pillow.size, Image.Resampling.NEAREST),
    )  # fmt: skip


def colours() -> Iterator[Row]:
    """Tone and colour."""
    import skimage.color as c
    import skimage.exposure as e
    import skimage.util as u
    from PIL import ImageEnhance, ImageOps

    yield Row(
        op="gamma", dials={"value": 1.25}, skimage=lambda i: e.adjust_gamma(i.rgb, 0.8),
        pillow=lambda i: i.pillow.point(list(i.curve) * 3), opencv=lambda i: i.cv2.LUT(i.rgb, i.curve),
    )  # fmt: skip
    for op, work in (("brightness", ImageEnhance.Brightness), ("contrast", ImageEnhance.Contrast)):
        yield Row(op=op, dials={"method": "plain"}, pillow=lambda i, w=work: w(i.pillow).enhance(1.2))
    yield Row(op="saturation", dials={"method": "plain"}, pillow=lambda i: ImageEnhance.Color(i.pillow).enhance(1.25))
    yield Row(
        op="hue", skimage=lambda i: c.hsv2rgb((c.rgb2hsv(i.rgb) + np.array([30 / 360, 0, 0])) % 1.0001),
        opencv=lambda i: i.cv2.cvtColor(i.cv2.cvtColor(i.rgb, i.cv2.COLOR_RGB2HSV), i.cv2.COLOR_HSV2RGB),
    )  # fmt: skip
    yield Row(
        op="invert", skimage=lambda i: u.invert(i.rgb), pillow=lambda i: ImageOps.invert(i.pillow),
        opencv=lambda i: i.cv2.bitwise_not(i.rgb),
    )  # fmt: skip
    yield Row(op="solarise", pillow=lambda i: ImageOps.solarize(i.pillow))
    yield Row(
        op="equalise", dials={"on": "channels"}, skimage=lambda i: each(i.rgb, e.equalize_hist),
        pillow=lambda i: ImageOps.equalize(i.pillow),
    )  # fmt: skip
    yield Row(op="clahe", skimage=lambda i: e.equalize_adapthist(i.rgb), opencv=_clahe)
    yield Row(
        op="auto-levels", skimage=lambda i: e.rescale_intensity(i.rgb, tuple(np.percentile(i.rgb, (0.2, 99.8)))),
        pillow=lambda i: ImageOps.autocontrast(i.pillow, cutoff=0.2),
    )  # fmt: skip
    yield Row(op="levels", dials={"black": 0.1, "white": 0.9}, skimage=lambda i: e.rescale_intensity(i.rgb, (26, 230)))
    yield Row(
        op="colour-transfer", dials={"reference": "(an image)", "method": "histogram"},
        skimage=lambda i: e.match_histograms(i.rgb, i.other, channel_axis=2),
    )  # fmt: skip
    yield Row(op="sepia")
    yield Row(
        op="lut", dials={"file": "(33 points)", "method": "trilinear"}, pillow=lambda i: i.pillow.filter(_table())
    )
    yield Row(op="palette", dials={"count": 8}, pillow=lambda i: i.pillow.quantize(8).convert("RGB"), slow=True)


def geometry() -> Iterator[Row]:
    """Resize, rotate, flip."""
    import skimage.transform as t
    from PIL import Image

    for scale, method in ((0.5, Image.Resampling.LANCZOS), (2.0, Image.Resampling.BICUBIC)):
        yield Row(
            op="resize", dials={"scale": scale, "method": method.name.lower()},
            skimage=lambda i, s=scale: t.rescale(i.unit, s, order=3, anti_aliasing=s < 1, channel_axis=2),
            pillow=lambda i, s=scale, m=method: i.pillow.resize(tuple(round(d * s) for d in i.pillow.size), m),
            opencv=lambda i, s=scale: i.cv2.resize(
                i.rgb, None, fx=s, fy=s, interpolation=i.cv2.INTER_AREA if s < 1 else i.cv2.INTER_CUBIC
            ),
        )  # fmt: skip
    yield Row(
        op="rotate", dials={"angle": 12.5, "canvas": "same", "ground": "edge"},
        skimage=lambda i: t.rotate(i.unit, 12.5, order=3, mode="edge"),
        pillow=lambda i: i.pillow.rotate(12.5, Image.Resampling.BICUBIC),
    )  # fmt: skip
    yield Row(op="flip", pillow=lambda i: i.pillow.transpose(Image.Transpose.FLIP_LEFT_RIGHT))


def regions() -> Iterator[Row]:
    """Segmentation, and what the op shows of it: regions in their mean colour."""
    import skimage.filters as f
    import skimage.segmentation as s
    from skimage.color import label2rgb

    def mean(labels: Any, image: Any) -> Any:
        return label2rgb(labels, image, kind="avg", bg_label=-1)

    yield Row(
        op="superpixels", dials={"count": 400},
        skimage=lambda i: mean(s.slic(i.rgb, n_segments=400, compactness=10.0, start_label=0), i.rgb),
    )  # fmt: skip
    yield Row(
        op="regions-by-likeness",
        skimage=lambda i: mean(s.felzenszwalb(i.rgb, scale=100, sigma=0.8, min_size=50), i.rgb),
    )  # fmt: skip
    yield Row(
        op="watershed", dials={"count": 250},
        skimage=lambda i: mean(s.watershed(f.sobel(f.gaussian(i.grey, 1.0)), markers=250) - 1, i.rgb),
    )  # fmt: skip
    yield Row(op="otsu", skimage=lambda i: _grey(i) > f.threshold_otsu(_grey(i)))
    yield Row(op="multi-otsu", skimage=lambda i: np.digitize(_grey(i), f.threshold_multiotsu(_grey(i), 3)))
    yield Row(
        op="adaptive-threshold", dials={"window": 51},
        skimage=lambda i: _grey(i) > f.threshold_local(_grey(i), 51, method="mean"),
        opencv=lambda i: i.cv2.adaptiveThreshold(
            i.cv2.cvtColor(i.rgb, i.cv2.COLOR_RGB2GRAY), 255, i.cv2.ADAPTIVE_THRESH_MEAN_C, i.cv2.THRESH_BINARY, 51, 0
        ),
    )  # fmt: skip


def rows() -> list[Row]:
    """All of them. An op of a new theme adds its rows here."""
    return [row for theme in (filters, prints, colours, geometry, regions) for row in theme()]


def kornia_rows(size: int, image: Any) -> dict[str, Callable[[], Any]]:
    """The same in kornia, by the first words of the row's name; runs in the Python that has kornia."""
    import kornia
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    x = torch.from_numpy(image).permute(2, 0, 1)[None].contiguous()
    k, e, g = kornia.filters, kornia.enhance, kornia.geometry.transform
    turn = torch.tensor([12.5])
    return {
        "gaussian-blur radius=2": lambda: k.gaussian_blur2d(x, (13, 13), (2.0, 2.0)),
        "gaussian-blur radius=20": lambda: k.gaussian_blur2d(x, (121, 121), (20.0, 20.0)),
        "box-blur": lambda: k.box_blur(x, (11, 11)),
        "median radius=1": lambda: k.median_blur(x, (3, 3)),
        "median radius=2": lambda: k.median_blur(x, (5, 5)),
        "bilateral": lambda: k.bilateral_blur(x, (9, 9), 0.1, (2.0, 2.0)),
        "guided": lambda: k.guided_blur(x, x, (17, 17), 0.01),
        "motion-blur": lambda: k.motion_blur(x, 31, 30.0, 0.0),
        "sharpen": lambda: k.unsharp_mask(x, (13, 13), (2.0, 2.0)),
        "posterise": lambda: e.posterize(x, 3),
        "gamma": lambda: e.adjust_gamma(x, 0.8),
        "brightness": lambda: e.adjust_contrast(x, 1.15),
        "contrast": lambda: e.adjust_contrast_with_mean_subtraction(x, 1.2),
        "saturation": lambda: e.adjust_saturation(x, 1.25),
        "hue": lambda: e.adjust_hue(x, 0.5),
        "invert": lambda: e.invert(x),
        "solarise": lambda: e.solarize(x, 0.5),
        "equalise": lambda: e.equalize(x),
        "clahe": lambda: e.equalize_clahe(x),
        "sepia": lambda: kornia.color.sepia(x),
        "resize scale=0.5": lambda: g.resize(x, (size // 2, size // 2), interpolation="bicubic", antialias=True),
        "resize scale=2.0": lambda: g.resize(x, (size * 2, size * 2), interpolation="bicubic"),
        "rotate": lambda: g.rotate(x, turn, mode="bilinear"),
        "flip": lambda: kornia.geometry.hflip(x),
    }


def serve_kornia(size: int) -> None:
    """The other Python's side: a row's name a line comes in, its quickest time goes out."""
    image = np.frombuffer(sys.stdin.buffer.read(size * size * 12), np.float32).reshape(size, size, 3).copy()
    known = kornia_rows(size, image)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin.buffer:
        name = line.decode().strip()
        work = next((work for key, work in known.items() if f"{name} ".startswith(f"{key} ")), None)
        print(json.dumps(None if work is None else timed(work)), flush=True)


class Kornia:
    """kornia in another Python, asked op by op, so that both sides run under the same conditions."""

    def __init__(self, python: str, size: int, image: Any) -> None:
        self.process = subprocess.Popen(
            [python, __file__, "--serve-kornia", "--size", str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._send(np.ascontiguousarray(image).tobytes())
        self._answer()

    def seconds(self, name: str) -> float | None:
        """How long that takes there; None if it has no such thing."""
        self._send(f"{name}\n".encode())
        answer: float | None = self._answer()
        return answer

    def _send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the Python that was named for kornia ended; does it have kornia?")
        return json.loads(line)

    def close(self) -> None:
        """End the other Python."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def timed(work: Callable[[], Any]) -> float:
    """The quickest of several runs; what takes long runs once or twice."""
    best, spent, runs = math.inf, 0.0, 0
    while runs < 2 or (spent < SECONDS and runs < 50):
        begin = time.perf_counter()
        work()
        took = time.perf_counter() - begin
        best, spent, runs = min(best, took), spent + took, runs + 1
        if took > 2:
            break
    return best


def measure(row: Row, inputs: Inputs, kornia: Kornia | None) -> dict[str, float]:
    """Milliseconds by library: the quickest of two turns each, of more where turns are short."""
    from maquette.refining import registry

    op, dials = registry.get(row.op), given(row, inputs)
    part = inputs.quarter() if row.slow else inputs
    sides: dict[str, Callable[[], float | None]] = {"maquette": lambda: timed(lambda: op(inputs.rgb, **dials))}
    if row.skimage is not None:
        work = row.skimage
        sides["scikit-image"] = lambda: timed(lambda: work(part)) * (4 if row.slow else 1)
    if row.pillow is not None and row.pillow(inputs) is not None:
        pillow = row.pillow
        sides["Pillow"] = lambda: timed(lambda: pillow(inputs))
    if row.opencv is not None:
        opencv = row.opencv
        sides["OpenCV"] = lambda: timed(lambda: opencv(inputs))
    if kornia is not None:
        sides["kornia"] = lambda: kornia.seconds(row.name)
    found: dict[str, float] = {}
    began = time.perf_counter()
    for turn in range(TURNS):
        if turn >= 2 and time.perf_counter() - began > ENOUGH:
            break
        for side, run in sides.items():
            if turn and not found.get(side, math.inf) <= 1000:
                continue
            seconds = run()
            if seconds is not None:
                found[side] = min(found.get(side, math.inf), 1000 * seconds)
    return found


def given(row: Row, inputs: Inputs) -> dict[str, Any]:
    """The dials, with images and files in the place of their names."""
    real = {"mask": inputs.mask[..., None], "reference": inputs.other, "file": _cube}
    return {
        key: (real[key]() if callable(real[key]) else real[key]) if key in real else value
        for key, value in row.dials.items()
    }


def _grey(i: Inputs) -> Any:
    from skimage.color import rgb2gray

    return rgb2gray(i.unit)


def _has(module: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(module) is not None


def _eight_colours() -> Any:
    from PIL import Image

    palette = Image.new("P", (1, 1))
    palette.putpalette([255 * (colour >> bit & 1) for colour in range(8) for bit in (2, 1, 0)])
    return palette


def _clahe(i: Inputs) -> Any:
    lab = i.cv2.cvtColor(i.rgb, i.cv2.COLOR_RGB2LAB)
    lab[..., 0] = i.cv2.createCLAHE(2.0, (8, 8)).apply(lab[..., 0])
    return i.cv2.cvtColor(lab, i.cv2.COLOR_LAB2RGB)


def _table() -> Any:
    from PIL import ImageFilter

    return ImageFilter.Color3DLUT.generate(33, lambda r, g, b: (r * r, g, b**0.5))


def _cube() -> str:
    path = Path(tempfile.gettempdir()) / "maquette-benchmark.cube"
    steps = np.linspace(0, 1, 33)
    lines = [f"{r * r:.6f} {g:.6f} {b**0.5:.6f}" for b in steps for g in steps for r in steps]
    path.write_text("\n".join(["LUT_3D_SIZE 33", *lines]) + "\n")
    return str(path)


def report(table: dict[str, dict[str, float]], marked: set[str]) -> bool:
    """Print what was found; whether the promises hold."""
    columns = ("maquette", *PEERS, "OpenCV")
    print(f"\n{'op, ms':52}" + "".join(f"{column:>14}" for column in columns) + f"{'ahead':>8}")
    ahead, gains = [], []
    for name, found in table.items():
        peers = [found[peer] for peer in PEERS if peer in found]
        shares = f"{min(peers) / found['maquette']:8.1f}" if peers else ""
        cells = [
            f"{found[c]:>13.1f}{'*' if c == 'scikit-image' and name in marked else ' '}"
            if c in found
            else f"{'-':>13} "
            for c in columns
        ]
        print(f"{name[:52]:52}" + "".join(cells) + shares)
        if peers:
            fine = found["maquette"] <= min(peers) * GRANTED + MOMENT
            ahead.append((fine, f"{name} ({min(peers) / found['maquette']:.2f})"))
        if "scikit-image" in found:
            gains.append(found["scikit-image"] / found["maquette"])
    behind = [name for fine, name in ahead if not fine]
    mean = math.exp(sum(map(math.log, gains)) / len(gains)) if gains else math.nan
    print(f"\n{len(ahead) - len(behind)} of {len(ahead)} shared ops at least as fast as the fastest of them")
    print(f"{mean:.1f} times scikit-image in the geometric mean of {len(gains)} ops (promised: {PROMISED:g})")
    if behind:
        print(f"slower than the fastest: {', '.join(behind)}")
    return not behind and not mean < PROMISED


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="pixels a side")
    parser.add_argument("--only", default="", help="ops whose names hold one of these words, with commas")
    parser.add_argument("--kornia", metavar="PYTHON", default="", help="the Python that has kornia")
    parser.add_argument("--json", metavar="FILE", default="", help="add the figures to those in this file")
    parser.add_argument("--part", metavar="K/N", default="1/1", help="the rows K, K + N, K + 2 N ... alone")
    parser.add_argument("--serve-kornia", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_kornia:
        serve_kornia(options.size)
        return 0
    from maquette.refining import registry

    inputs = Inputs(options.size)
    words = [word for word in options.only.split(",") if word]
    part, parts = (int(number) for number in options.part.split("/"))
    wanted = [row for row in rows() if not words or any(word in row.op for word in words)][part - 1 :: parts]
    absent = sorted({row.op for row in wanted if row.op not in registry.schemas()})
    python = options.kornia or (sys.executable if _has("kornia") else "")
    kornia = Kornia(python, options.size, inputs.unit) if python else None
    print(f"{platform.machine()}, {os.cpu_count()} processors, OpenCV {inputs.cv2.__version__}, {options.size} px")
    if kornia is None:
        print("left out: kornia (name a Python that has it: --kornia PYTHON)")
    if absent:
        print(f"left out, since there is no such op: {', '.join(absent)}")
    file = Path(options.json) if options.json else None
    table = json.loads(file.read_text()) if file and file.exists() else {}
    marked = {row.name for row in rows() if row.slow}
    for row in wanted:
        if row.op in absent:
            continue
        table[row.name] = measure(row, inputs, kornia)
        print(f"{row.name}: {table[row.name]['maquette']:.1f} ms", file=sys.stderr)
    if kornia is not None:
        kornia.close()
    if file:
        file.write_text(json.dumps(table, indent=1))
    return 0 if report(table, marked) else 1


if __name__ == "__main__":
    sys.exit(main())
