"""All that the use `film` makes, one method each, and what it measures of it."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maquette.core.event import Event
from maquette.core.files import write_bytes
from maquette.core.film import FILMS, encode_film
from maquette.core.image import Image, convert, load
from maquette.core.noise import Mix
from maquette.core.page import Page
from maquette.core.settings import from_json
from maquette.data.ingest.ingest import parse_size
from maquette.engine.load import load as load_model
from maquette.engine.sample import software, vouched, wishes
from maquette.engine.table import condition_table
from maquette.operations._uses import Figure, Work
from maquette.store.run import Run
from maquette.uses import _materials, _motion, _surface

if TYPE_CHECKING:
    from maquette.uses.film import Film

PAST = 7
"""Frames that the forecast is given with each that follows, in learning."""
THUMB = (240, 160)
"""Width and height of a picture on the contact sheet."""


class Reel:
    """All that is made for one film, and what was measured of it."""

    def __init__(self, request: Film, work: Work) -> None:
        self.request, self.work = request, work
        self.plate: list[Image] = []
        self.files: list[Path] = []
        self.films: list[Path] = []
        self.figures: list[Figure] = []
        self.not_yet: list[str] = []
        self.facts: dict[str, Any] = {}
        self.loops: list[tuple[str, list[Image]]] = []
        self.seams: dict[str, float] = {}
        self._rows: list[tuple[str, list[Image]]] = []

    # Materials, skies and loops

    def materials(self, sources: Mapping[str, Sequence[str]], share: float) -> Generator[Event, None, None]:
        """Of each material by its name: a tile with its maps, or a wide sky, and a loop."""
        work, request = self.work, self.request
        for name, files in sources.items():
            yield work.step(f"learning {name} from its photographs")
            model = yield from _materials.learned(work, name, files, request.learned, share / len(sources))
            sky = name.lower() in request.skies
            dials = {
                "width": 3 * request.size if sky else request.size,
                "height": request.size,
                "tile": "x" if sky else "xy",
            }
            sampled = yield from work.do(
                "sample", run=model, to=work.at("skies" if sky else "albedo", name), count=1, seed=work.seed,
                sheet=False, dials=dials,
            )  # fmt: skip
            path = Path(sampled.facts["images"][0])
            self.files.append(path)
            if sky:
                self._sky(name, path)
            else:
                self._maps(name, path)
            yield work.step(f"a loop of {name}")
            self._loop(name, model)
        worst = max(self.seams, key=lambda key: self.seams[key])
        self.figures.append(Figure(
            name="seams", value=self.seams[worst], goal="at most 1.3", reached=self.seams[worst] <= 1.3,
            says=f"the step across the edge of a tile, as a multiple of the usual step inside it, in the map where it "
            f"is largest ({worst}); about 1 shows no seam.",
        ))  # fmt: skip
        self.not_yet += [
            "Heights are guessed from lightness: a dark stone is taken for a hole. Paint over what is wrong.",
            "Materials learned for a minute are softer than their photographs, and large forms (whole bricks) come out "
            "in pieces: give more --time.",
        ]

    def _maps(self, name: str, path: Path) -> None:
        albedo = load(path)
        height = _surface.height_of(albedo)
        normals = _surface.normals_of(height, self.request.depth)
        for kind, image in (("height", height), ("normal", normals)):
            step = {"op": f"{kind} of a material", "depth": self.request.depth}
            self.files.append(self.work.write(self.work.to / kind / f"{name}.png", image, step, path))
            self.seams[f"{kind} of {name}"] = _surface.seam(image)
        self.seams[name] = _surface.seam(albedo)
        self._rows.append((name, [np.tile(albedo, (2, 2, 1)), albedo, convert(height, "rgb"), normals]))

    def _sky(self, name: str, path: Path) -> None:
        sky = load(path)
        self.seams[name] = _surface.seam(sky, "x")
        third = sky.shape[1] // 3
        self._rows.append((name, [sky[:, k * third : (k + 1) * third] for k in range(3)]))

    def _loop(self, name: str, learned: str) -> None:
        """A closed walk between seeds, at an even pace."""
        work, side, count = self.work, self.request.loop_size, self.request.frames
        run = Run.open(Path(learned))
        model = load_model(run)
        options: Any = from_json(model.Options, {"width": str(side), "height": str(side), "tile": "xy"})
        form = model.made(options)
        optional = {c.name for c in form.conditions if c not in model.spec.conditions}
        table, stops = condition_table(run, model.spec), max(2, min(4, count // 12))

        def walk(places: Any) -> Any:
            seeds = []
            for place in places:
                leg = int(place * stops) % stops
                seeds.append(Mix.between(work.seed + leg, work.seed + (leg + 1) % stops, place * stops - leg))
            rows = wishes(form.conditions, table, {}, seeds, (form.height, form.width), optional)
            return [each for batch in vouched(model, str(run.facts["model"]), seeds, rows, options) for each in batch]

        places = np.arange(count) / count
        made = walk(places)
        sizes = _motion.steps([each.picture for each in made], closed=True)
        if sizes.max() > 1.25 * max(sizes.min(), 1e-6):
            made = walk(_motion.even_pace(places, sizes, count))
        frames = [each.picture for each in made]
        facts = {"family": "texture", "software": software(model), "batch": model.together, "tile": form.tile}
        for number, each in enumerate(made, 1):
            path = work.to / "loops" / name / f"{number:04d}.png"
            work.press.generated(path, each, facts)
            self.files.append(path)
        self._film(work.to / "loops" / name, frames)
        self.loops.append((name, frames))
        self._rows.append((f"{name}, loop", [frames[round(k * (count - 1) / 4)] for k in range(5)]))

    def compare_loops(self) -> None:
        """Whether loops close, and whether they are as calm as the plate that was filmed."""
        if not self.loops:
            return
        closures = {name: _motion.closure(frames) for name, frames in self.loops}
        worst = max(closures, key=lambda name: closures[name])
        real = _motion.closure(self.plate) if len(self.plate) > 2 else None
        beside = f" The plate, which is no loop, has {real:.3g}." if real is not None else ""
        self.figures.append(Figure(
            name="loop closure", value=closures[worst], goal="at most 1.3", reached=closures[worst] <= 1.3,
            says=f"the step from the last frame to the first as a multiple of the usual step, in the loop where it is "
            f"largest ({worst}); 1 is a loop whose beginning nobody finds.{beside}",
        ))  # fmt: skip
        restless = {name: _motion.flicker(frames, closed=True) for name, frames in self.loops}
        worst = max(restless, key=lambda name: restless[name])
        known = _motion.flicker(self.plate) if len(self.plate) > 2 else None
        self.figures.append(Figure(
            name="loop flicker", value=restless[worst], goal="" if known is None else f"under the plate's {known:.3g}",
            reached=None if known is None else restless[worst] < known,
            says=f"how unlike each step of a pixel is to the one before, in the most restless loop ({worst}): 0 "
            "changes evenly, 1 takes itself back at once.",
        ))  # fmt: skip

    # The plate

    def slow_motion(self) -> None:
        """A frame between every two, and how well such frames fit where the real one is known."""
        plate = self.plate
        known = list(range(1, len(plate) - 1, max(1, (len(plate) - 2) // 16 or 1)))[:16]
        if known:
            made = {k: _motion.between(plate[k - 1], plate[k + 1], 0.5) for k in known}
            mixed = {k: np.rint((plate[k - 1].astype(np.float32) + plate[k + 1]) / 2).astype(np.uint8) for k in known}
            gains = np.array([_motion.psnr(made[k], plate[k]) - _motion.psnr(mixed[k], plate[k]) for k in known])
            mean, error = float(gains.mean()), float(1.645 * gains.std() / max(1, len(gains)) ** 0.5)
            self.figures.append(Figure(
                name="frames between", value=mean, low=mean - error, high=mean + error, goal="more than 0 dB",
                reached=mean > 0,
                says=f"dB by which a frame made between two is nearer to the one that was filmed there than their mean "
                f"is ({np.mean([_motion.psnr(made[k], plate[k]) for k in known]):.3g} against "
                f"{np.mean([_motion.psnr(mixed[k], plate[k]) for k in known]):.3g} dB, {len(known)} frames).",
            ))  # fmt: skip
            worst = known[int(gains.argmax())]
            self._rows.append((
                "between", [plate[worst - 1], made[worst], plate[worst + 1], plate[worst], mixed[worst]]
            ))  # fmt: skip
        slow: list[Image] = []
        for one, other in itertools.pairwise(plate):
            slow += [one, _motion.between(one, other, 0.5)]
        slow.append(plate[-1])
        self._film(self.work.to / "slow-motion", slow)
        self.not_yet.append(
            "Frames between frames follow motion that can be seen: what turns, blinks or crosses quickly smears."
        )

    def next_frames(self, share: float) -> Generator[Event, None, None]:
        """What comes after the plate; and, with its last frames hidden, how good that is."""
        work, ahead = self.work, self.request.ahead
        width, height = parse_size(self.request.forecast)
        small = [self._small(frame, width, height) for frame in self.plate]
        known = small[:-ahead]
        if len(known) < PAST + 1 + 4:
            self.not_yet.append(
                f"The plate was not continued: {len(small)} frames are too few to learn from; give "
                f"{PAST + 5 + ahead} or more."
            )
            return
        before = work.to / "plate" / "known.webp"
        write_bytes(before, encode_film(known, "webp", rate=10))
        # Sequences of a film begin at every fourth frame; begun a frame later each time, every moment begins one.
        for later in range((PAST + 1) // 2):
            write_bytes(work.to / "plate" / "shifted" / f"{later}.webp", encode_film(known[later:], "webp", rate=10))
        yield from work.do(
            "ingest", source=[work.at("plate", "shifted")], to=work.at("plate.mq"), frames="sequences", past=PAST,
            held_out=0.0, size=f"{width}x{height}", mode="rgb", small="enlarge",
        )  # fmt: skip
        yield from work.learn(work.at("plate.mq"), work.at("next"), "forecast", share)
        made = yield from work.do(
            "sample", run=work.at("next"), to=work.at("next-frames"), frames=str(before), count=4, seed=work.seed,
            film=self.request.film, dials={"ahead": ahead, "temperature": 0.5},
        )  # fmt: skip
        self.films += [Path(path) for path in made.facts["films"]]
        self.files += [Path(path) for path in made.facts["images"]]
        futures = np.stack([[load(path) for path in paths] for paths in made.value.paths])  # N T H W 3
        true = small[-ahead:]
        gains = np.array([
            [_motion.psnr(future[k], true[k]) - _motion.psnr(known[-1], true[k]) for k in range(ahead)]
            for future in futures
        ])  # fmt: skip
        self.figures.append(Figure(
            name="next frames", value=float(gains.mean()), low=float(gains.mean(1).min()),
            high=float(gains.mean(1).max()), goal="more than 0 dB", reached=float(gains.mean()) > 0,
            says=f"dB by which the next {ahead} frames, which the model had not seen, are nearer to what was filmed "
            "than a still of the last frame is; the interval is that of the four futures.",
        ))  # fmt: skip
        count = min(5, ahead)
        self._rows.append(("filmed", true[:count]))
        self._rows.append(("made", list(futures[int(gains.mean(1).argmax())][:count])))
        self.not_yet.append("Each further frame is less sure than the one before; more than a second is a guess.")

    @staticmethod
    def _small(frame: Image, width: int, height: int) -> Image:
        """The middle of the frame at this size."""
        share = max(width / frame.shape[1], height / frame.shape[0])
        size = (max(width, round(frame.shape[1] * share)), max(height, round(frame.shape[0] * share)))
        whole = cv2.resize(frame, size, interpolation=cv2.INTER_AREA if share < 1 else cv2.INTER_CUBIC)
        top, left = (size[1] - height) // 2, (size[0] - width) // 2
        return np.ascontiguousarray(whole[top : top + height, left : left + width])

    def look(self) -> Generator[Event, None, None]:
        """The look as a .cube file; refused when it looks at more than each pixel by itself."""
        self.facts["cube"] = self.work.at("look.cube")
        given = {"with": self.request.look}
        yield from self.work.do("cube", to=self.work.at("look.cube"), overwrite=True, **given)

    def graded(self) -> Generator[Event, None, None]:
        """Every frame of the plate with the look and a grain of its own."""

        work = self.work
        plain = work.to / "plate" / "frames"
        for number, frame in enumerate(self.plate, 1):
            self.files.append(work.write(plain / f"{number:04d}.png", frame, {"op": "frame of a plate"}))
        words = self.request.look + (f", grain amount={self.request.grain:g} size=1.4" if self.request.grain else "")
        done = yield from work.do(
            "refine", source=[str(plain)], to=work.at("graded"), seed=work.seed, **{"with": words}
        )
        paths = sorted(Path(path) for path in done.facts["images"])
        graded = [load(path) for path in paths]
        self.files += paths
        self._film(work.to / "graded-plate", graded)
        middle = len(graded) // 2
        self._rows.append(("look", [self.plate[middle], graded[middle]]))

    # What is handed over

    def _film(self, path: Path, frames: Sequence[Image]) -> None:
        format = self.request.film
        file = path.with_suffix(FILMS[format])
        self.work.press.film(file, frames, format, 12.0, {})
        self.films.append(file)
        self.files.append(file)

    def lead(self) -> str:
        """What was made, in a sentence."""
        materials = len(self.loops)
        parts = (
            [f"{materials} material{'s' if materials != 1 else ''} and skies, each with a loop"] if materials else []
        )
        parts += [f"a plate of {len(self.plate)} frames slowed down, continued and graded"] if self.plate else []
        said = "; ".join(parts) + "."
        return said[:1].upper() + said[1:]

    def sheet(self) -> Path:
        """The contact sheet: a row for each thing."""
        tiles, columns = [], max(len(row) for _, row in self._rows)
        blank = np.full((THUMB[1], THUMB[0], 3), 118, np.uint8)
        for _, row in self._rows:
            tiles += [_thumb(image) for image in row] + [blank] * (columns - len(row))
        return self.work.sheet(tiles, columns=columns, names=[name for name, _ in self._rows])

    def sections(self, page: Page) -> None:
        """What the rows of the sheet show."""
        section = page.section("How to read the sheet")
        said = []
        if self.loops:
            said.append(
                "A material: four tiles laid side by side, one tile, its height, its normals. A sky: its thirds."
            )
            said.append("A loop: five of its frames, at even distances.")
        if self.plate:
            said.append("Between: a frame, the one made after it, the next; then the one really filmed, and the mean.")
            said.append("Filmed and made: the last frames of the plate, and what the model made without seeing them.")
            said.append("Look: a frame of the plate without it and with it.")
        section.points(said)
        if self.films:
            page.section("Films", count=len(self.films)).table(
                ("film", "kilobytes"),
                [(str(f.relative_to(self.work.to)), round(f.stat().st_size / 1000)) for f in self.films],
            )


def _thumb(image: Image) -> Image:
    """The image in a frame of one size, nothing cut off."""
    width, height = THUMB
    share = min(width / image.shape[1], height / image.shape[0])
    size = (max(1, round(image.shape[1] * share)), max(1, round(image.shape[0] * share)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if share < 1 else cv2.INTER_NEAREST)
    framed = np.full((height, width, 3), 118, np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    framed[top : top + size[1], left : left + size[0]] = small[..., :3]
    return framed
