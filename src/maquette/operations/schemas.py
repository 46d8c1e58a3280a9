"""What families are and which settings they have, cached in a file, so that help and lists never load torch.

`python -m maquette.operations.schemas` (part of `make fix`) writes the cache from the code, and that of the ops of
`refining`; tests hold them equal.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maquette import families
from maquette.core.files import write_json
from maquette.core.settings import Described, describe

CACHE = Path(families.__file__).with_name("schemas.json")


@dataclass(frozen=True, kw_only=True)
class FamilySchema:
    """A family in words: what it is good for, what it can do, and its settings."""

    name: str
    summary: str
    accepts: tuple[str, ...] = ()
    """The kinds of conditions it understands."""
    powers: tuple[str, ...] = ()
    """What a trained model can do: samples, encodes, scores, predicts, completes, steers."""
    needs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Parts it stands on, and the family that makes each."""
    settings: tuple[Described, ...] = ()
    """For `train --set KEY=VALUE`."""
    dials: tuple[Described, ...] = ()
    """For `sample --KEY VALUE`."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; of a setting only what is worth saying."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        usual = json.loads(json.dumps(dataclasses.asdict(Described(name="", option="", kind="text", help=""))))
        for group in ("settings", "dials"):
            plain[group] = [
                {key: part for key, part in item.items() if key in ("name", "kind") or part != usual[key]}
                for item in plain[group]
            ]
        return plain

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FamilySchema:
        """The inverse of `to_json`."""
        groups = {
            group: tuple(Described(**{**item, "choices": tuple(item.get("choices", ()))}) for item in value[group])
            for group in ("settings", "dials")
        }
        return cls(**{**value, **groups, "accepts": tuple(value["accepts"]), "powers": tuple(value["powers"])})


def own() -> list[str]:
    """The families that are files of this package, without those that other packages add."""
    return [name for name in families.REGISTRY.names() if importlib.util.find_spec(f"maquette.families.{name}")]


def make(name: str) -> FamilySchema:
    """The schema of one family, from its code. Loads torch."""
    from maquette.families import family as contract

    cls = families.REGISTRY.get(name)
    powers = {
        "samples": contract.Samples, "encodes": contract.Encodes,
        "scores": contract.Scores, "predicts": contract.Predicts, "completes": contract.Completes,
        "steers": contract.Steers,
    }  # fmt: skip
    return FamilySchema(
        name=name,
        summary=cls.summary,
        accepts=tuple(sorted(cls.accepts)),
        powers=tuple(power for power, protocol in powers.items() if issubclass(cls, protocol)),
        needs={part: need.default for part, need in cls.needs.items()},
        settings=describe(cls.Config),
        dials=describe(cls.Options),
    )


@functools.cache
def read() -> Mapping[str, FamilySchema]:
    """Every family by name, from the cache. Those that other packages add are there by name alone."""
    cached = {item["name"]: FamilySchema.from_json(item) for item in json.loads(CACHE.read_text("utf-8"))}
    added = {name: FamilySchema(name=name, summary="added by another package") for name in families.REGISTRY.names()}
    return {name: cached.get(name, added[name]) for name in sorted(added)}


def write() -> Path:
    """Write the cache anew."""
    write_json(CACHE, [make(name).to_json() for name in own()])
    return CACHE


if __name__ == "__main__":
    from maquette.refining import registry

    print(write())
    print(registry.write())
