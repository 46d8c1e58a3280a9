"""Which of several processes this is, as torchrun and programs like it say in the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """One of several processes that do one work together."""

    rank: int
    world: int
    local: int
    """Which one of this machine; its GPU has the same number."""


def place() -> Place | None:
    """What the environment says, or None where there is one process."""
    try:
        found = Place(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    except (KeyError, ValueError):
        return None
    return found if found.world > 1 and "MASTER_ADDR" in os.environ else None
