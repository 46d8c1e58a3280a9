"""Keys that are made once, and a way to write signed images."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from vouching import SOFTWARE, picture, vouched

from maquette.trust.keys import Keys
from maquette.trust.press import Press


@pytest.fixture(scope="session")
def maker(tmp_path_factory):
    """A workspace with keys."""
    home = tmp_path_factory.mktemp("maker")
    Keys(home).signer("Anna")
    return home


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    """Another workspace with other keys."""
    home = tmp_path_factory.mktemp("stranger")
    Keys(home).signer("Bob")
    return home


@pytest.fixture
def write(maker, tmp_path):
    """Write a signed image and hand back its path."""

    def write(name="a", format="png", seed=0, home=None, image=None, **facts):
        press = Press(home or maker, format=format)
        path = tmp_path / f"{name}.{format}"
        made = vouched(picture(seed) if image is None else image, seed)
        press.generated(path, made, {"software": SOFTWARE, "family": "oracle", **facts})
        return path

    return write
