"""The pair: what the critic is shown, how it follows the number of images, and what serves both networks."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from maquette.core.condition import ConditionSpec
from maquette.core.noise import Noise
from maquette.core.spec import Batch, DataSpec
from maquette.families.gan import FEW, WIDER, Dials, Gan, Settings
from maquette.nn.augment import MOST

PLAIN = DataSpec(height=16, width=16)
LABELLED = dataclasses.replace(PLAIN, conditions=(ConditionSpec(name="kind", kind="label", classes=("a", "b")),))


def small(spec=PLAIN, **changes) -> Gan:
    torch.manual_seed(0)
    return Gan(Settings(width=8, latent=8, embedding=8, batch=8, **changes), spec)


def batch_of(spec=PLAIN, count=8, known=0, seed=0) -> Batch:
    drawn = torch.Generator().manual_seed(seed)
    images = torch.rand(count, *spec.shape, generator=drawn) * 2 - 1
    given = {"kind": torch.arange(count) % 2} if spec.conditions else {}
    return Batch(images, given, torch.Generator().manual_seed(seed), known=known)


def watched(family, sure, known, steps=400):
    """The strength of changes after so many steps in which the critic is that sure."""
    family.loss(batch_of(known=known), "critic")
    for _ in range(steps):
        family.observe({"sure": sure})
    return float(family.augmentation.strength)


def test_a_few_images_are_always_shown_changed():
    assert watched(small(), 0.0, known=FEW - 1) == pytest.approx(MOST)
    assert watched(small(augment="always"), 0.0, known=50_000) == pytest.approx(MOST)


def test_more_images_are_changed_only_when_the_critic_knows_them():
    assert watched(small(), 0.1, known=2_000) == 0 < watched(small(), 0.4, known=2_000)
    assert watched(small(), 0.95, known=2_000) > 0.1
    assert watched(small(), 0.95, known=1_000) > watched(small(), 0.95, known=5_000)
    assert watched(small(augment="never"), 0.95, known=10) == 0


def test_the_critic_says_how_sure_it_is_of_real_images():
    family = small()
    with torch.no_grad():
        family.critic.judge.weight.zero_()
        for bias, sure in ((3.0, 1.0), (-3.0, -1.0)):
            family.critic.judge.bias.fill_(bias)
            assert float(family.loss(batch_of(), "critic").statistics["sure"]) == sure


def test_what_was_asked_is_read_once_for_both_networks():
    family = small(LABELLED)
    calls = []
    family.embed.register_forward_hook(lambda *_: calls.append(1))
    batch = batch_of(LABELLED)
    family.loss(batch, "critic")
    family.loss(batch, "generator")
    assert len(calls) == 1


def test_a_condition_changes_the_image_and_its_fit():
    family = small(LABELLED).eval()
    with torch.no_grad():
        for level in family.generator.levels:
            level.steer.weight.normal_()
    made = [list(family.sample(Noise([1]), {"kind": torch.tensor([k])}, Dials()))[-1] for k in (0, 1)]
    assert not torch.allclose(made[0], made[1], atol=1e-3)


def test_truncation_zero_leaves_only_the_grain():
    family = small(grain=0.0).eval()
    images = list(family.sample(Noise([1, 2]), {}, Dials(truncation=0.0)))[-1]
    assert torch.equal(images[0], images[1])


@pytest.mark.parametrize("tile", ["x", "xy"])
def test_what_tiles_starts_alike_everywhere(tile):
    """With the same noise at every place, rolling the noise rolls the image."""
    family = small(dataclasses.replace(PLAIN, tile=tile)).eval()
    generator = family.generator
    z = torch.randn(1, 8)
    field = torch.randn(1, 16, *generator.sizes[0])
    noises = [torch.randn(1, 1, *size) for size in generator.sizes]
    whole = generator(z, field, noises, None)
    rolled = generator(z, field.roll(1, 3), [n.roll(2**level, 3) for level, n in enumerate(noises)], None)
    torch.testing.assert_close(rolled, whole.roll(2 ** len(noises), 3), atol=1e-5, rtol=0)


CAPTIONED = dataclasses.replace(PLAIN, conditions=(ConditionSpec(name="text", kind="text", length=8),))


def test_with_captions_every_place_is_compared_with_the_words():
    """Every place of the last grid, 4 x 4; with labels their mean."""
    for spec, places in ((CAPTIONED, 1), (LABELLED, 16)):
        critic = small(spec).critic.eval()
        (_, features), *_ = critic(batch_of().images)
        assert features.shape[2] * places == critic.judge.in_features == critic.fits[0].out_features * places


@pytest.mark.parametrize("phase", ["critic", "generator"])
def test_captions_add_to_both_losses(phase):
    texts = torch.randint(97, 123, (8, 8), generator=torch.Generator().manual_seed(1))
    totals = []
    for words in (0.0, 0.5):
        family, batch = small(CAPTIONED, words=words), batch_of()
        batch.condition = {"text": texts}
        totals.append(family.loss(batch, phase).total.item())
    assert totals[1] > totals[0]
    assert not any("captions" in name for name in small(LABELLED).loss(batch_of(LABELLED), phase).statistics)


@pytest.mark.parametrize("spec", [PLAIN, LABELLED], ids=["nothing asked", "a label asked"])
def test_the_random_numbers_speak_at_every_level(spec):
    """Not only at the start: images of one label would all look alike."""
    family = small(spec).eval()
    generator = family.generator
    with torch.no_grad():
        generator.start.weight[:, : family.config.latent] = 0  # the start hears the wish alone
        wish = family.embed({"kind": torch.zeros(4, dtype=torch.long)}) if spec.conditions else None
        one = torch.zeros(4, family.config.field, *generator.sizes[0])
        noises = [torch.zeros(4, 1, *size) for size in generator.sizes]
        images = generator(torch.randn(4, family.config.latent), one, noises, wish)
        assert images.std(dim=0).mean() > 1e-3
        for level in generator.levels:
            level.steer.weight[:, : family.config.latent] = 0
        still = generator(torch.randn(4, family.config.latent), one, noises, wish)
        torch.testing.assert_close(still, still[:1].expand_as(still))


@pytest.mark.parametrize("spec", [PLAIN, LABELLED], ids=["nothing asked", "a label asked"])
def test_a_variant_makes_what_wider_random_numbers_make(spec):
    family = small(spec).eval()
    given = {"kind": torch.zeros(4, dtype=torch.long)} if spec.conditions else {}
    noise = Noise(range(4))
    before = {name: value.clone() for name, value in family.state_dict().items()}
    variants = family.variants()
    with torch.no_grad():
        for times, (name, model) in zip(WIDER, variants.items(), strict=True):
            expected = list(family.sample(noise, given, Dials(truncation=times)))[-1]
            found = list(model.sample(noise, given, Dials()))[-1]
            torch.testing.assert_close(found, expected)
            assert f"{times:g}" in name and model.state_dict().keys() == before.keys()
            assert not torch.equal(found, list(family.sample(noise, given, Dials()))[-1])
    for name, value in family.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_critic_sees_when_the_images_of_a_batch_are_alike():
    """Normalised by their own batch, images half as far apart look the same but for what is told of the crowd."""
    told, untold = small(crowd=True).critic.train(), small().critic.train()
    with torch.no_grad():
        told.crowd.weight.fill_(0.1)
        images = batch_of().images
        near = images.mean(dim=0) + (images - images.mean(dim=0)) * 0.25
        one, other = (told(part)[0][0].mean() for part in (images, near))
        assert one - other > 1.0
        one, other = (untold(part)[0][0].mean() for part in (images, near))
        assert abs(one - other) < 0.3


def test_new_models_are_told_and_old_ones_stay_as_they_are():
    assert Gan.variant("micro", PLAIN).crowd and not Settings().crowd
    assert not any(name.startswith("critic.crowd") for name in Gan(Settings(width=8), PLAIN).state_dict())


def test_the_rate_falls_with_the_images_but_for_captions():
    words = ConditionSpec(name="text", kind="text", length=8)
    for spec, falls in ((PLAIN, True), (LABELLED, True), (dataclasses.replace(PLAIN, conditions=(words,)), False)):
        family = Gan(dataclasses.replace(Gan.variant("nano", spec), width=8), spec)
        for phase in family.phases:
            assert (phase.optimizer.rate_at(0.5, 10**6) < phase.optimizer.rate_at(0.5, 0)) == falls
