"""Random recipes on random images (`chance.py` has the recipes, and runs as many as one likes)."""

import pytest
from chance import broken, case, outcome


@pytest.mark.parametrize("start", range(0, 200, 20))
def test_any_recipe_on_any_image_keeps_what_is_promised_or_is_refused(start):
    """No crash, the image given stays as it is, values in range, alpha unharmed, the same twice, text and back."""
    for number in range(start, start + 20):
        said = broken(case(number))
        assert not said, f"python tests/refining/chance.py 1 --start {number}: {said}"


def test_most_random_recipes_can_be_done():
    """Else the test above would try little but refusals."""
    assert sum(outcome(case(number)) == "done" for number in range(60)) > 40
