"""Make an AI image generator of your own, from a folder of your images, on the computer you have.

    import maquette as mq
    data = mq.ingest("photos", to="photos.mq", size=64)
    run = mq.train(data, family="gan", to="run", time="10m")
    images = mq.sample(run, count=64, seed=0)

Every verb of the command line is a function here; `help(mq.train)` says what it takes.
"""

import importlib as _importlib
from typing import Any as _Any

__version__ = "0.1.0"

_PLACES = {
    "Dataset": "maquette.data.dataset",
    "MaquetteError": "maquette.core.errors",
    "Run": "maquette.store.run",
}


def _public() -> list[str]:
    verbs: list[str] = _importlib.import_module("maquette.faces.python").verbs()
    return sorted([*_PLACES, *verbs, "__version__"])


def __getattr__(name: str) -> _Any:
    """Load what is asked for when it is asked for (PEP 562)."""
    if name == "__all__":
        return _public()
    if name in _PLACES:
        return getattr(_importlib.import_module(_PLACES[name]), name)
    if not name.startswith("_") and name in _public():
        return _importlib.import_module("maquette.faces.python").function(name)
    raise AttributeError(f"module 'maquette' has no attribute {name!r}")


def __dir__() -> list[str]:
    return _public()
