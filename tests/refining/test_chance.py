"""Random recipes on random images (`chance.py` has the recipes, and runs as many as one likes)."""

import json

import numpy as np
import pytest
from chance import broken, case, outcome

from maquette.core.errors import MaquetteError
from maquette.refining import named, pixels
from maquette.refining.run import run


@pytest.mark.parametrize("start", range(0, 200, 20))
def test_any_recipe_on_any_image_keeps_what_is_promised_or_is_refused(start):
    """No crash, the image given stays as it is, values in range, alpha unharmed, the same twice, text and back."""
    for number in range(start, start + 20):
        said = broken(case(number))
        assert not said, f"python tests/refining/chance.py 1 --start {number}: {said}"


def test_most_random_recipes_can_be_done():
    """Else the test above would try little but refusals."""
    assert sum(outcome(case(number)) == "done" for number in range(60)) > 40


class Kept:
    """A memory that keeps everything, and counts what it was asked for and had."""

    def __init__(self):
        self.all, self.had = {}, 0

    def recall(self, steps):
        self.had += steps in self.all
        return self.all.get(steps)

    def keep(self, steps, halfway):
        self.all[steps] = halfway


def test_what_is_remembered_of_earlier_steps_changes_nothing():
    """A recipe whose last step or seed is changed is begun where it is the same as before."""
    had = 0
    for number in range(16):
        one = case(number)
        plain = json.dumps(one.recipe["steps"])
        longer = {**one.recipe, "steps": [*json.loads(plain), {"op": "invert", "strength": 0.5}]}
        memory, image = Kept(), pixels.checked(one.image)
        for given in (one.recipe, longer, {**longer, "seed": 7}, one.recipe):
            try:
                ready = named.recipe(given, masks=tuple(one.context.masks))
                expected = run(ready, image, one.context)
            except MaquetteError:
                continue
            for _ in range(2):
                assert np.array_equal(run(ready, image, one.context, memory), expected), number
        had += memory.had
    assert had > 16
