"""Ways through a model: they reach every stop, close, and take steps that look equally long."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.errors import UsageError
from maquette.engine.latent.walk import Circle, Curve, places


@given(st.integers(2, 8), st.booleans())
def test_a_curve_reaches_every_stop_and_weights_add_up(stops, closed):
    curve = Curve(stops, closed=closed)
    for stop in range(stops):
        assert np.allclose(curve.weights(stop), np.eye(stops)[stop], atol=1e-9)
    for place in np.linspace(0, curve.length, 23):
        assert sum(curve.weights(place)) == pytest.approx(1)
    if closed:
        assert np.allclose(curve.weights(curve.length), curve.weights(0))


def test_a_curve_has_no_corners():
    curve = Curve(5, closed=True)
    for stop in range(1, 6):
        before, at, after = (np.array(curve.weights((stop + d) % 5)) for d in (-1e-4, 0, 1e-4))
        assert np.allclose(at - before, after - at, atol=1e-6)


def test_a_circle_closes_and_keeps_its_distance():
    circle = Circle(0.3)
    weights = np.array([circle.weights(place) for place in np.linspace(0, circle.length, 33)])
    assert np.allclose(weights[0], weights[-1]) and np.allclose((weights**2).sum(axis=1), 1)
    assert np.allclose(weights[:, 0], np.cos(0.15 * np.pi))


def bright(places_):
    """Pictures whose brightness changes slowly at first and then fast."""
    return np.stack([np.full((8, 8, 1), round(65535 * (place / 2) ** 3), np.uint16) for place in places_])


@pytest.mark.parametrize("count", [2, 9, 50, 200])
def test_steps_look_equally_long(count):
    along = places(Curve(3, closed=False), count, smooth=False, look=bright)
    steps = np.diff([float(bright([place]).mean()) for place in along])
    assert along[0] == 0 and along[-1] == 2
    assert steps.std() < 0.08 * steps.mean()


def test_a_smooth_walk_slows_down_at_every_stop():
    along = places(Curve(3, closed=False), 101, smooth=True, look=None)
    steps = np.diff(along)
    assert steps[0] < 0.2 * steps.max() and steps[49:51].max() < 0.2 * steps.max() and steps[25] > 0.9 * steps.max()


def test_a_closed_walk_does_not_show_its_beginning_twice():
    along = places(Curve(3, closed=True), 30, smooth=False, look=None)
    assert along[0] == 0 and along[-1] == pytest.approx(2.9)


@pytest.mark.parametrize("count", [0, 1, 10**9])
def test_too_few_and_too_many_frames_are_refused(count):
    with pytest.raises(UsageError, match="frames is not possible"):
        places(Curve(2, closed=False), count, smooth=False, look=None)
    with pytest.raises(UsageError, match="two stops"):
        Curve(1, closed=False)
