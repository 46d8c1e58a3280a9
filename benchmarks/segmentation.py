"""How well subjects are cut out of pictures whose true matte is known.

    python benchmarks/segmentation.py --quick          24 pictures of each kind
    python benchmarks/segmentation.py                  60 of each kind
    python benchmarks/segmentation.py --pairs FOLDER   write image/mask pairs for the family `segment`, and measure none
    python benchmarks/segmentation.py --run RUN        also measure a model of the family `segment` on held-out pictures

Subjects are drawn shapes, the horse that scikit-image ships, bodies filled with the texture of a photograph, and fuzzy
ones whose edge is hair; each is laid over a photograph, so that the matte is known exactly. Pictures are `clear` where
the colours of the subject and of what surrounds it overlap by less than 0.35 (histogram intersection of 8 x 8 x 8
colours) and `hard` where they overlap more. All numbers follow from the seed.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

KINDS = ("drawn", "horse", "textured", "fuzzy")
GROUNDS = (
    "grass",
    "gravel",
    "brick",
    "ihc",
    "coffee",
    "chelsea",
    "rocket",
    "astronaut",
    "camera",
    "motorcycle",
    "moon",
)
BUSY = ("coffee", "chelsea", "rocket", "astronaut", "camera", "motorcycle")
TEXTURES = ("grass", "gravel", "brick", "ihc", "retina", "chelsea", "astronaut", "coffee", "hubble")
CLEAR = 0.35


@dataclass
class Picture:
    """One composite: 8-bit image H W 3, true alpha H W and subject's colours H W 3 in [0, 1]."""

    kind: str
    image: np.ndarray
    alpha: np.ndarray
    colour: np.ndarray
    overlap: float
    ground: str
    busy: bool

    @property
    def clear(self) -> bool:
        """Whether a person would see one subject at once: other colours, and nothing else in focus behind it."""
        return self.overlap < CLEAR and not self.busy

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the subject with a margin of a thirtieth of the image, as a person draws it."""
        rows, columns = np.where(self.alpha > 0.5)
        height, width = self.alpha.shape
        margin = max(height, width) // 30
        return (
            max(0, int(columns.min()) - margin), max(0, int(rows.min()) - margin),
            min(width, int(columns.max()) + 1 + margin), min(height, int(rows.max()) + 1 + margin),
        )  # fmt: skip


_PHOTOGRAPHS: dict[str, np.ndarray] = {}


def photograph(name: str) -> np.ndarray:
    """A shipped photograph as H W 3 in [0, 1]."""
    if name not in _PHOTOGRAPHS:
        import skimage.data

        if name == "motorcycle":
            array = skimage.data.stereo_motorcycle()[0]
        else:
            array = getattr(
                skimage.data, {"hubble": "hubble_deep_field", "ihc": "immunohistochemistry"}.get(name, name)
            )()
        array = np.asarray(array, np.float32)[..., :3] / 255 if array.ndim == 3 else np.asarray(array, np.float32) / 255
        _PHOTOGRAPHS[name] = np.repeat(array[..., None], 3, 2) if array.ndim == 2 else array
    return _PHOTOGRAPHS[name]


def patch(name: str, size: int, dice: np.random.Generator, least: float = 0.45) -> np.ndarray:
    """A random square of a photograph, turned and tinted, size x size x 3."""
    import cv2

    whole = photograph(name)
    side = int(min(whole.shape[:2]) * dice.uniform(least, 0.95))
    top, left = (int(dice.integers(0, extent - side + 1)) for extent in whole.shape[:2])
    cut = np.ascontiguousarray(np.rot90(whole[top : top + side, left : left + side], int(dice.integers(0, 2)) * 2))
    cut = cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC)
    return np.clip(cut, 0, 1)


def outline(size: int, dice: np.random.Generator, rough: float) -> np.ndarray:
    """A closed body with waves on its outline, as a hard mask drawn four times larger."""
    import cv2

    over = 4
    angle = np.linspace(0, 2 * math.pi, 400, endpoint=False)
    radius = np.ones_like(angle)
    for wave in range(2, 7):
        radius += rough * dice.normal() / wave * np.cos(wave * angle + dice.uniform(0, 2 * math.pi))
    radius = np.clip(radius, 0.3, 2) / radius.mean()
    reach = size * dice.uniform(0.2, 0.33)
    stretch = dice.uniform(0.75, 1.3)
    centre = size * (0.5 + dice.uniform(-0.12, 0.12, 2))
    points = np.stack(
        [centre[0] + reach * stretch * radius * np.cos(angle), centre[1] + reach / stretch * radius * np.sin(angle)], 1
    )
    mask = np.zeros((size * over, size * over), np.uint8)
    cv2.fillPoly(mask, [np.rint(points * over).astype(np.int32)], 255)
    return mask


def polygon(size: int, dice: np.random.Generator) -> np.ndarray:
    """A star or a polygon with straight sides, drawn four times larger."""
    import cv2

    over, corners = 4, int(dice.integers(4, 9))
    inner = 1.0 if dice.random() < 0.5 else dice.uniform(0.45, 0.7)
    angle = np.linspace(0, 2 * math.pi, 2 * corners, endpoint=False) + dice.uniform(0, 2 * math.pi)
    radius = size * dice.uniform(0.24, 0.38) * np.where(np.arange(2 * corners) % 2, inner, 1.0)
    centre = size * (0.5 + dice.uniform(-0.1, 0.1, 2))
    points = np.stack([centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)], 1)
    mask = np.zeros((size * over, size * over), np.uint8)
    cv2.fillPoly(mask, [np.rint(points * over).astype(np.int32)], 255)
    return mask


def horse(size: int, dice: np.random.Generator) -> np.ndarray:
    """The shipped silhouette, placed and sometimes mirrored, drawn four times larger."""
    import cv2
    import skimage.data

    body = (~skimage.data.horse()).astype(np.uint8) * 255
    body = body[:, ::-1] if dice.random() < 0.5 else body
    wide = size * 4 * dice.uniform(0.6, 0.85)
    scale = wide / body.shape[1]
    left = (size * 4 - wide) / 2 + size * 4 * dice.uniform(-0.06, 0.06)
    top = (size * 4 - body.shape[0] * scale) / 2 + size * 4 * dice.uniform(-0.06, 0.06)
    move = np.array([[scale, 0, left], [0, scale, top]], np.float32)
    return cv2.warpAffine(np.ascontiguousarray(body), move, (size * 4, size * 4), flags=cv2.INTER_LINEAR)


def hairs(mask: np.ndarray, size: int, dice: np.random.Generator) -> np.ndarray:
    """Fine strands that leave the outline, drawn into the mask (four times larger)."""
    import cv2

    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    edge = max(contours, key=len)[:, 0, :].astype(np.float32)
    smooth = np.stack(
        [np.convolve(np.r_[edge[-60:, k], edge[:, k], edge[:60, k]], np.ones(121) / 121, "valid") for k in (0, 1)], 1
    )
    middle = edge.mean(0)
    for start in range(0, len(edge), max(2, size // 64)):
        along = smooth[(start + 40) % len(edge)] - smooth[start - 40]
        normal = np.array([along[1], -along[0]]) / (np.linalg.norm(along) + 1e-6)
        if normal @ (edge[start] - middle) < 0:
            normal = -normal
        length = size * 4 * dice.uniform(0.008, 0.03)
        lean = normal + dice.uniform(-0.6, 0.6, 2)
        bend = dice.uniform(-0.4, 0.4, 2)
        steps = np.linspace(0, 1, 8)[:, None]
        strand = edge[start] + length * (steps * lean + steps**2 * bend)
        cv2.polylines(mask, [np.rint(strand).astype(np.int32)], False, 255, 2, cv2.LINE_AA)
    return mask


def fill(kind: str, size: int, dice: np.random.Generator) -> np.ndarray:
    """The subject's own colours."""
    if kind in ("drawn", "horse") and dice.random() < 0.6:
        first, second = dice.uniform(0, 1, 3), dice.uniform(0, 1, 3)
        if kind == "drawn" and dice.random() < 0.5:
            second = first
        angle = dice.uniform(0, 2 * math.pi)
        rows, columns = np.indices((size, size)) / size
        share = np.clip(0.5 + (columns - 0.5) * math.cos(angle) + (rows - 0.5) * math.sin(angle), 0, 1)[..., None]
        flat = first * (1 - share) + second * share
        return np.clip(flat + dice.normal(0, 0.01, (size, size, 1)), 0, 1).astype(np.float32)
    texture = patch(str(dice.choice(TEXTURES)), size, dice, 0.25)
    tint = dice.uniform(0.4, 1.3, 3)
    return np.clip(texture * tint, 0, 1).astype(np.float32)


def picture(kind: str, seed: int, size: int = 320) -> Picture:
    """One composite that depends on its kind and seed alone."""
    import cv2

    dice = np.random.default_rng([KINDS.index(kind), seed])
    name = str(dice.choice(GROUNDS))
    ground = patch(name, size, dice)
    blurred = dice.random() < 0.4
    if blurred:  # a lens out of focus behind the subject
        ground = cv2.GaussianBlur(ground, (0, 0), size * dice.uniform(0.005, 0.02))
    if kind == "horse":
        mask = horse(size, dice)
    elif kind == "drawn" and dice.random() < 0.6:
        mask = polygon(size, dice)
    else:
        mask = outline(size, dice, 0.5)
    if kind == "fuzzy":
        mask = hairs(mask, size, dice)
    alpha = cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    soft = {"drawn": 0.4, "horse": 0.5, "textured": 0.6, "fuzzy": 0.8}[kind] * size / 320
    alpha = cv2.GaussianBlur(alpha, (0, 0), soft)
    colour = fill(kind, size, dice)
    mixed = alpha[..., None] * colour + (1 - alpha[..., None]) * ground
    noisy = mixed + dice.normal(0, 0.008, mixed.shape)
    image = np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8)
    return Picture(kind, image, alpha, colour, overlap(image, alpha), name, name in BUSY and not blurred)


def overlap(image: np.ndarray, alpha: np.ndarray) -> float:
    """How much the colours of the subject and of the rest have in common, 0 to 1."""
    cells = (image.reshape(-1, 3) // 32).astype(np.int64) @ np.array([64, 8, 1])
    inside = alpha.reshape(-1) > 0.5
    one = np.bincount(cells[inside], minlength=512) / max(1, inside.sum())
    other = np.bincount(cells[~inside], minlength=512) / max(1, (~inside).sum())
    return float(np.minimum(one, other).sum())


# What is measured


def agreement(found: np.ndarray, alpha: np.ndarray) -> float:
    """Intersection over union at one half."""
    one, other = found > 0.5, alpha > 0.5
    return float((one & other).sum() / max(1, (one | other).sum()))


def measured(found: np.ndarray, shown: Picture, cut: np.ndarray | None = None) -> dict[str, float]:
    """Agreement, the error of the matte, and how far the cut-out on three new grounds is from the true one at edges."""
    edge = (shown.alpha > 0.02) & (shown.alpha < 0.98)
    facts = {
        "iou": agreement(found, shown.alpha), "matte": float(np.abs(found - shown.alpha).mean()),
        "edge": float(np.abs(found - shown.alpha)[edge].mean()),
    }  # fmt: skip
    if cut is not None:
        errors = []
        for ground in (0.0, 1.0, np.array([1.0, 0.0, 1.0])):
            true = shown.alpha[..., None] * shown.colour + (1 - shown.alpha[..., None]) * ground
            made = cut[..., 3:] * cut[..., :3] + (1 - cut[..., 3:]) * ground
            errors.append(np.abs(made - true)[edge].mean())
        facts["rim"] = float(np.mean(errors))
    return facts


def cut_out(shown: Picture, **dials: object) -> dict[str, float]:
    """What `remove-background` makes of it; where it refuses, nothing was found."""
    from maquette.core.errors import DataError
    from maquette.refining import registry

    began = time.process_time()
    try:
        cut = registry.get("remove-background")(shown.image, **dials).astype(np.float32) / 255
    except DataError:
        cut = np.zeros((*shown.alpha.shape, 4), np.float32)
    seconds = time.process_time() - began
    return {**measured(cut[..., 3], shown, cut), "seconds": seconds}


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """The mean of every number, and the 95 % interval of the agreement by resampling."""
    facts = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    values = np.array([row["iou"] for row in rows])
    draws = np.random.default_rng(0).choice(values, (2000, len(values))).mean(axis=1)
    facts["low"], facts["high"] = (float(v) for v in np.quantile(draws, (0.025, 0.975)))
    return facts


def report(name: str, shown: list[Picture], rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Print and hand over the means: of what is clear, of what is not, and of every kind."""
    groups = {"clear": [row for p, row in zip(shown, rows, strict=True) if p.clear]}
    groups["not clear"] = [row for p, row in zip(shown, rows, strict=True) if not p.clear]
    groups |= {kind: [row for p, row in zip(shown, rows, strict=True) if p.kind == kind] for kind in KINDS}
    found = {group: mean(members) for group, members in groups.items() if members}
    for group, facts in found.items():
        interval = f"[{facts['low']:.3f}, {facts['high']:.3f}]"
        rest = "  ".join(f"{key} {facts[key]:.3f}" for key in ("matte", "edge", "rim", "seconds") if key in facts)
        print(
            f"{name:10s} {group:9s} {len(groups[group]):4d} pictures  IoU {facts['iou']:.3f} {interval}  {rest}",
            flush=True,
        )
    return found


def pairs(to: Path, count: int, start: int, size: int) -> None:
    """Image and mask files, and the metadata.csv that joins them: what a person would give the family `segment`."""
    from PIL import Image as Pillow

    (to / "masks").mkdir(parents=True, exist_ok=True)
    lines = ["file_name,mask"]
    for at in range(count):
        shown = picture(KINDS[at % len(KINDS)], start + at // len(KINDS), size)
        Pillow.fromarray(shown.image).save(to / f"{at:04d}.png")
        Pillow.fromarray(np.rint(shown.alpha * 255).astype(np.uint8)).save(to / "masks" / f"{at:04d}.png")
        lines.append(f"{at:04d}.png,masks/{at:04d}.png")
    (to / "metadata.csv").write_text("\n".join(lines) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="24 pictures of each kind instead of 60")
    parser.add_argument("--start", type=int, default=100, help="the first seed; those below 24 chose the settings")
    parser.add_argument("--pairs", type=Path, help="write 200 image/mask pairs into this folder, and end")
    parser.add_argument("--run", type=Path, help="a model of the family segment, trained on other pictures")
    parser.add_argument("--to", type=Path, help="write the numbers as JSON")
    chosen = parser.parse_args()
    if chosen.pairs:
        pairs(chosen.pairs, 200, 10_000, 256)
        return
    each = 24 if chosen.quick else 60
    shown = [picture(kind, seed) for kind in KINDS for seed in range(chosen.start, chosen.start + each)]
    found = {}
    if chosen.run:
        from maquette.engine.files.hand import callable_of

        model = callable_of(chosen.run)
        found["model"] = report("model", shown, [measured(model(p.image)[..., 0], p) for p in shown])
        found["refined"] = report("refined", shown, [cut_out(p, model=model) for p in shown])
    else:
        found["automatic"] = report("automatic", shown, [cut_out(p) for p in shown])
        found["box"] = report("box", shown, [cut_out(p, box=p.box) for p in shown])
    if chosen.to:
        chosen.to.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
