"""The family `forecast`: what it is given and what it makes; what every family must do is in tests/test_families.py."""

import dataclasses

import numpy as np
import pytest
import torch

from maquette.core.condition import ConditionSpec
from maquette.core.errors import UsageError
from maquette.core.noise import Noise
from maquette.core.spec import Batch, DataSpec
from maquette.families.family import Continues
from maquette.families.forecast import Forecast


@pytest.fixture(autouse=True)
def seeded():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def spec_of(length=9, mode="grey", frames="grey", side=16, conditions=()):
    films = (ConditionSpec(name="before", kind="frames", length=length, mode=frames),) if length else ()
    return DataSpec(height=side, width=side, mode=mode, conditions=(*films, *conditions))


def make(spec, **changes):
    """A model whose noise already matters."""
    family = Forecast(dataclasses.replace(Forecast.variant("nano", spec), **changes), spec).eval()
    for parameter in family.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return family


def film(family, seeds, frames, **dials):
    """N T C H W."""
    options = family.Options(**dials)
    with torch.inference_mode():
        return torch.stack(list(family.sample(Noise(seeds), {"before": frames}, options)), dim=1)


@pytest.mark.parametrize(
    ("length", "changes", "settled"),
    [
        (19, {}, (10, 10, 2)), (4, {}, (2, 3, 2)), (1, {}, (1, 1, 2)), (19, {"given": 15}, (15, 5, 2)),
        (9, {"given": 3, "ahead": 4, "reach": 5}, (3, 4, 5)), (9, {"given": 9}, (9, 1, 2)),
    ],
)  # fmt: skip
def test_numbers_that_are_left_open_follow_from_the_films(length, changes, settled):
    family = make(spec_of(length), **changes)
    config = family.config
    assert (config.given, config.ahead, config.reach) == settled
    assert family.spec.condition("before").length == config.given  # what is asked for when the model is used
    again = Forecast(config, family.spec)  # as it is built from its file
    assert again.config == config and again.spec == family.spec


@pytest.mark.parametrize("given", [1, 2, 4])
def test_a_frame_is_the_same_however_many_follow(given):
    family = make(spec_of(), given=given, ahead=5)
    frames = torch.rand(2, given, 1, 16, 16)
    long = film(family, [3, 4], frames, ahead=7)
    assert isinstance(family, Continues) and long.shape == (2, 7, 1, 16, 16)
    for count in (1, 2, 5):
        options = family.until(family.Options(), count)
        assert family.frames(options) == count
        assert torch.equal(film(family, [3, 4], frames, ahead=count), long[:, :count])
    assert film(family, [3, 4], frames).shape[1] == 5


def test_futures_differ_by_seed_as_far_as_the_temperature_lets_them():
    family = make(spec_of())
    frames = torch.rand(1, 5, 1, 16, 16).expand(3, -1, -1, -1, -1)
    several = film(family, [0, 1, 0], frames)
    assert torch.equal(several[0], several[2]) and not torch.equal(several[0], several[1])
    cold = film(family, [0, 1, 0], frames, temperature=0.0)
    assert torch.equal(cold[0], cold[1])
    apart = [float((film(family, [0, 1, 0], frames, temperature=t)[:2].diff(dim=0)).abs().mean()) for t in (0.3, 1.0)]
    assert 0 < apart[0] < apart[1]


def test_every_known_frame_counts_and_none_that_is_to_come():
    family = make(spec_of(9), given=5)
    frames = torch.rand(1, 9, 1, 16, 16)
    before = film(family, [0], frames)
    for place in range(9):
        changed = frames.clone()
        changed[:, place] = 1 - changed[:, place]
        assert torch.equal(film(family, [0], changed), before) == (place >= 5)


@pytest.mark.parametrize("frames", ["grey", "rgb", "rgba"])
@pytest.mark.parametrize("mode", ["grey", "rgb", "rgba"])
def test_frames_of_any_mode_become_films_of_any_mode(mode, frames):
    spec = spec_of(4, mode, frames)
    family = make(spec)
    channels = {"grey": 1, "rgb": 3, "rgba": 4}
    known = torch.rand(2, 4, channels[frames], 16, 16)
    assert film(family, [0, 1], known).shape == (2, 3, channels[mode], 16, 16)
    batch = Batch(torch.rand(2, channels[mode], 16, 16), {"before": known}, torch.Generator())
    assert family.loss(batch, "fit").total.isfinite()


def test_grey_frames_of_a_colour_film_are_its_luminance():
    spec = spec_of(1, "grey", "rgb")
    family = make(spec)
    colour = torch.tensor([0.2, -0.4, 0.9])[None, None, :, None, None].expand(1, 1, 3, 16, 16)
    light = torch.full((1, 1, 1, 16, 16), 0.2126 * 0.2 - 0.7152 * 0.4 + 0.0722 * 0.9)
    plain = make(spec_of(1))
    plain.load_state_dict(family.state_dict())
    assert torch.allclose(film(family, [0], colour), film(plain, [0], light), atol=1e-5)


def test_numbers_alone_make_an_image():
    number = ConditionSpec(name="warmth", kind="number")
    family = make(spec_of(0, conditions=(number,)))
    *_, image = family.sample(Noise([0, 1]), {"warmth": torch.tensor([0.5, 0.5])}, family.Options())
    assert image.shape == (2, 1, 16, 16) and family.frames(family.Options()) == 1
    assert not hasattr(family, "memory")
    with pytest.raises(UsageError, match="makes one image of what it is given, not a film"):
        next(family.sample(Noise([0]), {"warmth": torch.tensor([0.5])}, family.Options(ahead=3)))


def test_films_that_are_too_short_and_too_many_films_are_said():
    with pytest.raises(UsageError, match="12 frames cannot be given: the films have 9 before the last"):
        make(spec_of(9), given=12)
    other = ConditionSpec(name="aside", kind="frames", length=3, mode="grey")
    with pytest.raises(UsageError, match="goes on with one film, not 2"):
        make(spec_of(9, conditions=(other,)))
    family = make(spec_of(9), given=5, ahead=20)
    batch = Batch(torch.rand(2, 1, 16, 16), {"before": torch.rand(2, 9, 1, 16, 16)}, torch.Generator())
    with pytest.raises(UsageError, match="goes on for 5 frames after the 5 that are given, and 20 are asked for"):
        family.loss(batch, "fit")


@pytest.mark.slow
def test_it_learns_where_a_thing_moves_and_that_it_may_go_either_way():
    """A bar moves to the right, or in half of the films turns back once the known frames are over."""
    spec = spec_of(5)
    family = Forecast(dataclasses.replace(Forecast.variant("nano", spec), given=3, ahead=3, rate=3e-3), spec)
    randoms = np.random.default_rng(0)

    def films(count):
        turns = randoms.integers(0, 2, count)
        found = -np.ones((count, 6, 1, 16, 16), np.float32)
        for row in range(count):
            for moment in range(6):
                ahead = moment if moment < 3 or not turns[row] else 4 - moment
                found[row, moment, 0, 4:12, 3 + 2 * ahead : 6 + 2 * ahead] = 1
        return torch.from_numpy(found)

    optimizer, generator = torch.optim.Adam(family.parameters(), 3e-3), torch.Generator().manual_seed(0)
    for step in range(200):
        batch = films(16)
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - 0.9 * step / 200)
        loss = family.loss(Batch(batch[:, 5], {"before": batch[:, :5]}, generator), "fit")
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    known = films(1)[:, :5].expand(32, -1, -1, -1, -1)
    made = film(family.eval(), list(range(32)), known)[:, -1, 0]
    right, left = made[:, 4:12, 12:].mean(dim=(1, 2)), made[:, 4:12, :5].mean(dim=(1, 2))
    went_right, went_left = right > left + 0.4, left > right + 0.4
    # One blurred mean would be neither; one future that is always the same would be one of the two alone.
    assert min(int(went_right.sum()), int(went_left.sum())) >= 4
    assert int((went_right | went_left).sum()) >= 12


@pytest.mark.slow
def test_what_it_has_never_seen_keeps_its_looks_as_it_moves():
    """Clouds that drift two pixels a frame; then one that is striped."""
    spec = spec_of(5)
    family = Forecast(dataclasses.replace(Forecast.variant("nano", spec), given=3, ahead=3), spec)
    randoms = torch.Generator().manual_seed(0)

    def drift(pictures, ways):
        return torch.stack(
            [
                torch.stack([picture.roll((0, 2 * way * moment), dims=(1, 2)) for moment in range(6)])
                for picture, way in zip(pictures, ways, strict=True)
            ]
        )

    optimizer = torch.optim.Adam(family.parameters(), 2e-3)
    for _ in range(150):
        clouds = torch.nn.functional.avg_pool2d(torch.randn(16, 1, 18, 18, generator=randoms), 3, stride=1).clamp(-1, 1)
        film_ = drift(clouds, (2 * torch.randint(0, 2, (16,), generator=randoms) - 1).tolist())
        loss = family.loss(Batch(film_[:, 5], {"before": film_[:, :5]}, randoms), "next")
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    stripes = torch.linspace(0, 6.28 * 2, 17)[:16].sin().expand(1, 16, 16)
    came = drift([stripes, stripes], [1, -1])
    made = film(family.eval(), [0, 0], came[:, :3], temperature=0.0)[:, 0]
    away = (came[:, 2] - came[:, 3]).square().mean(dim=(1, 2, 3))
    assert ((made - came[:, 3]).square().mean(dim=(1, 2, 3)) < 0.25 * away).all()
