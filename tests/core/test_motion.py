"""What is said of a film's motion: steps, evenness, flicker, closure."""

import numpy as np
import pytest

from maquette.core.motion import Watch, apart, looks


def motion(frames):
    watch = Watch()
    for frame in frames:
        watch.see(frame)
    return watch.motion()


def disc(x, y, size=32):
    rows, columns = np.indices((size, size))
    return (255 / (1 + np.exp(np.hypot(columns - x, rows - y) - 6)))[..., None].astype(np.uint8)


def test_a_steady_round_is_even_and_closes():
    turns = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    found = motion([disc(16 + 6 * np.cos(t), 16 + 6 * np.sin(t)) for t in turns])
    assert found.frames == 60 and found.unevenness < 0.1 and found.flicker < 0.35 and 0.8 < found.closure < 1.2


def test_noise_flickers_and_a_straight_way_does_not_close():
    randoms = np.random.default_rng(0)
    noise = motion([randoms.integers(0, 256, (32, 32, 3), np.uint8) for _ in range(20)])
    assert 0.8 < noise.flicker < 0.95
    straight = motion([disc(4 + k, 16) for k in range(24)])
    assert straight.closure > 3 and straight.flicker < noise.flicker / 2


def test_jumps_are_uneven():
    assert motion([disc(4 + k + 8 * (k > 10), 16) for k in range(20)]).unevenness > 0.3


@pytest.mark.parametrize(("channels", "kind"), [(1, np.uint8), (1, np.uint16), (3, np.uint8), (4, np.uint8)])
def test_looks_know_every_mode(channels, kind):
    top = np.iinfo(kind).max
    black, white = (np.full((1, 8, 8, channels), value, kind) for value in (0, top))
    assert apart(looks(black), looks(white))[0] == pytest.approx(1, abs=1e-6)
    if channels == 4:
        hidden = white.copy()
        hidden[..., 3] = 0
        assert apart(looks(hidden), looks(np.zeros_like(white)))[0] == 0


def test_one_frame_has_no_motion():
    assert motion([disc(16, 16)]).step == pytest.approx(0, abs=1e-6)
