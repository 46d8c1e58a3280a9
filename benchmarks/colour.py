"""Colour casts removed, colours transferred, images enhanced: the figures of the guide's page on colour.

    python benchmarks/colour.py            all tables (about two minutes)
    python benchmarks/colour.py --quick    on a fifth of the images

Photographs are those that scikit-image ships, whole and in quarters, which show different things. A cast is a known
change of the light, made in linear light and stored in 8 bits again, where it clips as a camera would. What is left of
it is the angle between each pixel's colour and the original's, its median over the image, in degrees.

The easy set is defined before anything is measured: at least a twentieth of the original is lighter than half and all
but neutral (OKLab chroma below .025), or its mean is within 5 degrees of grey.

Promised: under 2 degrees in the median over the easy set, and less than grey world over all. Exits 1 if not so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import cv2
import numpy as np
import skimage.data

from maquette.refining import registry
from maquette.refining.colour import illuminant
from maquette.refining.colour.space import REC709, from_light, to_lab, to_light

COLOURFUL = ("astronaut", "chelsea", "coffee", "rocket", "retina", "immunohistochemistry", "hubble_deep_field")
CASTS = {
    "lamp": (1.45, 1, 0.55), "candle": (1.8, 1, 0.35), "shade": (0.75, 1, 1.35), "sky": (0.6, 1, 1.6),
    "tube": (0.85, 1.15, 0.8), "magenta": (1.15, 0.85, 1.15), "teal": (0.7, 1.1, 1.1), "warm": (1.15, 1, 0.85),
    "cool": (0.9, 1, 1.12), "none": (1, 1, 1),
}  # fmt: skip
METHODS = ("auto", "white-patch", "grey-edge", "shades-of-grey", "grey-world")


def photographs() -> dict[str, np.ndarray]:
    """Colour photographs, at most 512 pixels a side."""
    found = {name: getattr(skimage.data, name)()[..., :3] for name in COLOURFUL}
    found["motorcycle"] = skimage.data.stereo_motorcycle()[0][..., :3]
    for name, image in found.items():
        scale = min(1.0, 512 / max(image.shape[:2]))
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        found[name] = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
    return found


def scenes() -> Iterator[tuple[str, np.ndarray]]:
    """Each photograph and its quarters."""
    for name, image in photographs().items():
        yield name, image
        tall, wide = image.shape[0] // 2, image.shape[1] // 2
        for place, part in (
            ("top left", image[:tall, :wide]), ("top right", image[:tall, wide:]),
            ("bottom left", image[tall:, :wide]), ("bottom right", image[tall:, wide:]),
        ):  # fmt: skip
            yield f"{name}, {place}", np.ascontiguousarray(part)


def is_easy(image: np.ndarray) -> bool:
    """Whether something neutral is in sight."""
    seen, counts = illuminant.small(image, None)
    lab = to_lab(seen)
    neutral = (np.hypot(lab[..., 1], lab[..., 2]) < 0.025) & (lab[..., 0] > 0.5)
    mean = illuminant.degrees_between(illuminant.grey_world(seen, counts), illuminant.NEUTRAL)
    return bool(neutral.mean() >= 0.05 or mean < 5)


def under(image: np.ndarray, cast: tuple[float, float, float]) -> np.ndarray:
    """The image under another light, as bright as before."""
    gains = np.asarray(cast) / (np.asarray(cast) @ REC709)
    return from_light((to_light(image) * gains).astype(np.float32), image.dtype)


def angle(first: np.ndarray, second: np.ndarray) -> float:
    """The median angle between the colours of two images, in linear light, in degrees."""
    one, other = to_light(first).reshape(-1, 3), to_light(second).reshape(-1, 3)
    seen = (one.max(axis=1) > 0.02) & (other.max(axis=1) > 0.02)
    one, other = one[seen].astype(float), other[seen].astype(float)
    cosine = (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    return float(np.median(np.degrees(np.arccos(np.clip(cosine, -1, 1)))))


def casts(step: int) -> bool:
    """The table of casts; whether the promise is kept."""
    balance = registry.get("white-balance")
    shown = list(scenes())[::step]
    easy = np.array([is_easy(image) for _, image in shown])
    left = {method: np.zeros((len(shown), len(CASTS))) for method in ("nothing done", *METHODS)}
    for row, (_, image) in enumerate(shown):
        for column, cast in enumerate(CASTS.values()):
            seen = under(image, cast)
            left["nothing done"][row, column] = angle(seen, image)
            for method in METHODS:
                left[method][row, column] = angle(balance(seen, method=method), image)
    print(f"\nDegrees left of {len(CASTS)} casts on {len(shown)} scenes, {easy.sum()} of them easy\n")
    print("| method | easy: median | easy: mean | all: median | all: mean | all: worst tenth | no cast: median |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for method, found in left.items():
        figures = (
            np.median(found[easy]), found[easy].mean(), np.median(found), found.mean(), np.quantile(found, 0.9),
            np.median(found[:, list(CASTS).index("none")]),
        )  # fmt: skip
        print(f"| {method} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |")
    print("\n| photograph | " + " | ".join(METHODS) + " |\n|" + " --- |" * (len(METHODS) + 1))
    for name in photographs():
        rows = [row for row, (scene, _) in enumerate(shown) if scene.split(",")[0] == name]
        if rows:
            print(f"| {name} | " + " | ".join(f"{np.median(left[method][rows]):.2f}" for method in METHODS) + " |")
    worse = int((left["auto"].mean(axis=1) > left["grey-world"].mean(axis=1)).sum())
    print(f"\nscenes on which auto leaves more than grey world: {worse} of {len(shown)}")
    return bool(np.median(left["auto"][easy]) < 2 and np.median(left["auto"]) < np.median(left["grey-world"]))


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """Sliced Wasserstein distance between the colours of two images, in OKLab, times 100."""
    directions = np.random.default_rng(0).standard_normal((3, 100)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=0)
    shares = np.linspace(0, 1, 512)
    one, other = (to_lab(to_light(image)).reshape(-1, 3) @ directions for image in (first, second))
    return float(np.abs(np.quantile(one, shares, axis=0) - np.quantile(other, shares, axis=0)).mean() * 100)


def structure(before: np.ndarray, after: np.ndarray) -> float:
    """How alike the edges of lightness are, whatever their contrast: the correlation of gradients, 1 the same."""
    edges = []
    for image in (before, after):
        light = to_lab(to_light(image))[..., 0]
        edges.append(np.concatenate([np.diff(light, axis=0).ravel(), np.diff(light, axis=1).ravel()]))
    return float(np.corrcoef(*edges)[0, 1])


def transfers(step: int) -> None:
    """The table of colours transferred between all pairs of photographs."""
    transfer = registry.get("colour-transfer")
    images = {name: image[::2, ::2].copy() for name, image in photographs().items() if name != "hubble_deep_field"}
    pairs = [(a, b) for a in images for b in images if a != b][:: 4 * step]
    print(f"\nColours transferred between {len(pairs)} pairs of photographs (tone=1), means\n")
    print("| method | distance left of 1 | edges kept of 1 |\n| --- | --- | --- |")
    for method in ("transport", "linear", "reinhard", "histogram"):
        left, kept = [], []
        for a, b in pairs:
            made = transfer(images[a], reference=images[b], method=method, tone=1)
            left.append(distance(made, images[b]) / distance(images[a], images[b]))
            kept.append(structure(images[a], made))
        print(f"| {method} | {np.mean(left):.2f} | {np.mean(kept):.2f} |")


SPOILT = {
    "as it is": lambda image: image,
    "dull (levels of 0.3 to 0.7)": lambda image: registry.get("levels")(image, darkest=0.3, lightest=0.7),
    "two stops too dark": lambda image: registry.get("exposure")(image, stops=-2),
    "under a lamp": lambda image: registry.get("temperature")(image, amount=0.8),
    "in the shade": lambda image: registry.get("temperature")(image, amount=-0.8),
}


def enhancements() -> None:
    """The table of automatic enhancement: good photographs and the same ones spoilt."""
    enhance = registry.get("enhance")
    images = photographs()
    good = {name: images[name] for name in ("astronaut", "coffee", "motorcycle")}
    good["camera"] = skimage.data.camera()[..., None].repeat(3, axis=2)
    print("\nAutomatic enhancement: mean distance to the good photograph in 8-bit levels, before and after\n")
    print("| photograph | " + " | ".join(SPOILT) + " |\n|" + " --- |" * (len(SPOILT) + 1))
    for name, image in good.items():
        cells = []
        for spoil in SPOILT.values():
            spoilt = spoil(image)
            before, after = (np.abs(x.astype(int) - image).mean() for x in (spoilt, enhance(spoilt)))
            cells.append(f"{before:.1f} -> {after:.1f}")
        print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> int:
    """Print all tables; 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    words = parser.parse_args()
    kept = casts(5 if words.quick else 1)
    transfers(9 if words.quick else 1)
    enhancements()
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
