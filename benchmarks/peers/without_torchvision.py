"""Peers import torchvision for what is not measured here; where its build does not fit torch's, a stand-in serves."""

from __future__ import annotations

import importlib.machinery
import sys
import types


class Nothing:
    """Takes anything, does nothing."""

    def __init__(self, *_: object, **__: object) -> None: ...


def _of(name: str) -> type[Nothing]:
    if name.startswith("_"):
        raise AttributeError(name)
    return Nothing


def stand_in() -> None:
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        for name in ("", ".transforms", ".utils", ".datasets", ".models", ".models.inception"):
            module = types.ModuleType(f"torchvision{name}")
            module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
            module.__getattr__ = _of  # type: ignore[method-assign]
            sys.modules[module.__name__] = module
        for name in ("transforms", "utils", "datasets", "models"):
            setattr(sys.modules["torchvision"], name, sys.modules[f"torchvision.{name}"])
