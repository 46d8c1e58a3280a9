"""The form of the data, and the schedule of an optimizer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.choices import KINDS, MODES, TILES
from maquette.core.condition import ConditionSpec
from maquette.core.errors import DataError, UsageError
from maquette.core.spec import MAX_SIDE, DataSpec, Optimizer, Phase

sides = st.integers(1, MAX_SIDE // 8).map(lambda n: 8 * n)
specs = st.builds(
    DataSpec,
    height=sides,
    width=sides,
    mode=st.sampled_from(MODES),
    tile=st.sampled_from(TILES),
    conditions=st.lists(
        st.builds(
            ConditionSpec,
            name=st.text(min_size=1),
            kind=st.sampled_from(KINDS),
            classes=st.lists(st.text(min_size=1), min_size=1, unique=True).map(tuple),
            low=st.floats(-10, 0),
            high=st.floats(0, 10),
            length=st.integers(0, 200),
            mode=st.sampled_from(MODES),
        ),
        unique_by=lambda condition: condition.name,
        max_size=3,
    ).map(tuple),
)


@given(specs)
def test_a_spec_survives_the_way_through_json(spec):
    assert DataSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("side", [0, -8, 7, 33, MAX_SIDE + 8])
def test_a_side_that_is_not_possible_is_answered_with_one_that_is(side):
    with pytest.raises(DataError, match=r"a width of .* is not possible; choose a multiple of 8"):
        DataSpec(height=8, width=side)


def test_unknown_words_are_refused():
    with pytest.raises(UsageError, match="no image mode 'cmyk'"):
        DataSpec(height=8, width=8, mode="cmyk")
    with pytest.raises(UsageError, match="give x, y or xy"):
        DataSpec(height=8, width=8, tile="yx")
    with pytest.raises(DataError, match="unknown keys"):
        DataSpec.from_json({"height": 8, "width": 8, "depth": 3})
    twice = (ConditionSpec(name="a", kind="text"), ConditionSpec(name="a", kind="number"))
    with pytest.raises(DataError, match="two conditions have one name"):
        DataSpec(height=8, width=8, conditions=twice)


@pytest.mark.parametrize(("mode", "channels"), [("grey", 1), ("rgb", 3), ("rgba", 4), ("grey16", 1)])
def test_shapes(mode, channels):
    assert DataSpec(height=16, width=24, mode=mode).shape == (channels, 16, 24)


def test_conditions_are_found_by_name():
    text = ConditionSpec(name="caption", kind="text")
    assert DataSpec(height=8, width=8, conditions=(text,)).condition("caption") is text
    with pytest.raises(UsageError, match="no condition 'label'"):
        DataSpec(height=8, width=8, conditions=(text,)).condition("label")


@given(st.floats(0, 1), st.sampled_from(["constant", "linear", "cosine"]), st.floats(0, 0.5), st.floats(0, 1))
def test_a_rate_stays_between_nothing_and_the_full_rate(progress, schedule, warmup, final):
    rate = Optimizer(rate=0.1, schedule=schedule, warmup=warmup, final=final).rate_at(progress)
    assert 0 <= rate <= 0.1 * (1 + final) + 1e-12


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("final", [0.0, 0.1, 1.0])
def test_a_schedule_begins_at_the_full_rate_and_ends_at_what_is_left(schedule, final):
    optimizer = Optimizer(rate=0.1, schedule=schedule, final=final)
    assert optimizer.rate_at(0.0) == pytest.approx(0.1)
    assert optimizer.rate_at(1.0) == pytest.approx(0.1 if schedule == "constant" else 0.1 * final)


def test_a_warm_up_rises_from_nothing():
    optimizer = Optimizer(rate=1.0, warmup=0.1)
    assert [optimizer.rate_at(p) for p in (0.0, 0.05, 0.1)] == pytest.approx([0.0, 0.5, 1.0])


def test_a_rate_that_falls_with_the_images_falls_alike_however_long_the_run():
    optimizer = Optimizer(rate=0.4, half=1000)
    assert [optimizer.rate_at(p, n) for p, n in ((0.0, 0), (0.1, 1000), (0.9, 1000), (0.9, 3000))] == pytest.approx(
        [0.4, 0.2, 0.2, 0.1]
    )
    assert Optimizer(rate=0.4).rate_at(0.5, 10**6) == 0.4


def test_phases_are_due_in_their_span_and_rhythm():
    first = Phase(name="codec", span=(0.0, 0.5))
    second = Phase(name="prior", span=(0.5, 1.0), every=2)
    assert first.due(3, 0.49) and not first.due(3, 0.5)
    assert second.due(4, 0.5) and not second.due(5, 0.5)
    assert second.due(4, 1.0)  # the last span includes the end


def test_a_phase_owns_what_its_prefixes_say():
    phase = Phase(name="critic", trains=("critic",))
    assert phase.owns("critic.weight") and phase.owns("critic")
    assert not phase.owns("critics.weight") and not phase.owns("generator.critic.weight")
    assert Phase(name="fit").owns("anything.at.all")
