"""Recipes: what is to be done with an image, as values. Text (`text.py`) and JSON are two ways to write the same.

white-balance, sharpen amount=0.4
{"steps": ["white-balance", {"op": "sharpen", "amount": 0.4}]}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, TypeAlias

from maquette.core.errors import UsageError, nearest
from maquette.refining import registry
from maquette.refining.schema import STRENGTH, DialSchema

MOST_STEPS = 1000
LIST = "maquette refine --list"
ENDINGS = (".recipe", ".json")
_DEEPEST = 32
GROW = DialSchema(
    name="grow", kind="number", default=0.0, bounds={"ge": -500, "le": 500}, pixels=True,
    help="how many pixels the mask grows, or shrinks where negative",
)  # fmt: skip
FEATHER = DialSchema(
    name="feather", kind="number", default=0.0, bounds={"ge": 0, "le": 500}, pixels=True,
    help="how soft the mask's edge becomes",
)  # fmt: skip
SEED = DialSchema(
    name="seed", kind="integer", default=0, bounds={"ge": 0, "lt": 2**63}, help="another seed, other grain"
)


@dataclass(frozen=True, kw_only=True)
class Mask:
    """Where: an op that finds something, a file, a mask that is handed over by name, or masks put together."""

    kind: Literal["select", "file", "given", "not", "and", "or"]
    name: str = ""
    """The op, the file's path, or the name."""
    dials: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[Mask, ...] = ()
    grow: float = 0.0
    feather: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Step:
    """One op with the dials that were given."""

    op: str
    dials: Mapping[str, Any] = field(default_factory=dict)
    strength: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Group:
    """Several items as one; with a name, what a recipe of that name is."""

    items: tuple[Item, ...]
    strength: float = 1.0
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Nested:
    """Another recipe, by its name or file."""

    recipe: str
    strength: float = 1.0


@dataclass(frozen=True, kw_only=True)
class On:
    """One item, laid on where the mask is."""

    mask: Mask
    item: Item


Item: TypeAlias = Step | Group | Nested | On


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe, as it was written: other recipes in it are still names."""

    items: tuple[Item, ...]
    about: str = ""
    precise: bool = False
    """All steps in float32, and noise of one step at the end where it becomes 8 bits again."""
    seed: int | None = None

    def __str__(self) -> str:
        from maquette.refining.text import written

        return written(self)


# From JSON and back


def step(name: str, values: Mapping[str, Any]) -> Step:
    """A step with its dials checked."""
    schema = registry.schema(name)
    read = schema.read(values)
    strength = read.pop("strength", 1.0)
    if strength not in (0, 1) and schema.shape == "changes":
        raise UsageError(f"{name} changes the size, so it is done or not", do="give strength 0 or 1")
    schema.check_needs(read | {dial.parameter: dial.default for dial in schema.dials if dial.parameter not in read})
    return Step(op=name, dials=read, strength=strength)


def select(name: str, values: Mapping[str, Any], known: Collection[str] = ()) -> Mask:
    """A mask by the name of an op that finds one, or by the name it is handed over with."""
    grow, feather = (float(dial.read(values.get(dial.name, 0.0))) for dial in (GROW, FEATHER))
    left = {key: value for key, value in values.items() if key not in ("grow", "feather")}
    if name in known:
        if left:
            raise UsageError(f"the mask {name} has no dial {next(iter(left))!r}", do="it has grow and feather")
        return Mask(kind="given", name=name, grow=grow, feather=feather)
    finders = [schema.name for schema in registry.schemas().values() if schema.kind == "select"]
    if name not in finders:
        schema = registry.schema(name) if name in registry.schemas() else None
        what = f"{name} changes images and finds no mask" if schema else f"there is no mask {name!r}"
        raise UsageError(what, do=nearest(name, [*finders, *known]))
    return Mask(kind="select", name=name, dials=registry.schema(name).read(left), grow=grow, feather=feather)


def to_json(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain JSON."""
    plain: dict[str, Any] = {"about": recipe.about} if recipe.about else {}
    if recipe.precise:
        plain["precise"] = True
    if recipe.seed is not None:
        plain["seed"] = recipe.seed
    return {**plain, "steps": [_item_to_json(item) for item in recipe.items]}


def _item_to_json(item: Item) -> Any:
    from maquette.refining.text import mask_text

    extra = {} if isinstance(item, On) or item.strength == 1 else {"strength": item.strength}
    if isinstance(item, Step):
        dials = {name.replace("_", "-"): _plain(value) for name, value in item.dials.items()}
        return {"op": item.op, **dials, **extra} if dials or extra else item.op
    if isinstance(item, Nested):
        return {"recipe": item.recipe, **extra}
    if isinstance(item, Group):
        name = {"name": item.name} if item.name else {}
        return {**name, "steps": [_item_to_json(part) for part in item.items], **extra}
    return {"on": mask_text(item.mask), "do": _item_to_json(item.item)}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if not isinstance(value, (str, int, float, bool)):
        raise UsageError("a recipe that holds arrays or callables cannot be written", do="name files and runs in it")
    return value


def from_json(value: Any, *, masks: Collection[str] = ()) -> Recipe:
    """A recipe from JSON: an object with `steps`, or the list of steps alone."""
    if isinstance(value, (list, tuple)):
        value = {"steps": value}
    if not isinstance(value, Mapping):
        raise UsageError("a recipe in JSON is a list of steps, or an object with steps")
    if isinstance(value.get("steps"), (str, Mapping)):
        value = {**value, "steps": [value["steps"]]}
    for key in value:
        if key not in ("about", "precise", "seed", "steps"):
            raise UsageError(
                f"recipe: there is no {key!r}", do=nearest(str(key), ["about", "precise", "seed", "steps"])
            )
    if not isinstance(value.get("precise", False), bool) or not isinstance(value.get("about", ""), str):
        raise UsageError("recipe: precise is true or false, and about is text")
    seed = value.get("seed")
    items = _items_from_json(value.get("steps"), masks, "step", 0)
    return Recipe(
        items=items, about=" ".join(value.get("about", "").split()), precise=value.get("precise", False),
        seed=None if seed is None else SEED.read(seed),
    )  # fmt: skip


def _items_from_json(value: Any, masks: Collection[str], where: str, depth: int) -> tuple[Item, ...]:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)) or not value:
        raise UsageError(f"recipe: {where}s must be a list of at least one")
    if depth > _DEEPEST or len(value) > MOST_STEPS:
        raise UsageError(f"recipe: more than {MOST_STEPS} steps, or {_DEEPEST} in one another, are not possible")
    return tuple(_item_from_json(item, masks, f"{where} {at + 1}", depth + 1) for at, item in enumerate(value))


def _item_from_json(value: Any, masks: Collection[str], where: str, depth: int) -> Item:
    if isinstance(value, str):
        return item_of(value, {})
    if not isinstance(value, Mapping):
        _unknown(where, value)
    try:
        if "op" in value:
            return step(str(value["op"]), {key: part for key, part in value.items() if key != "op"})
        strength = float(STRENGTH.read(value.get("strength", 1.0)))
        if set(value) <= {"recipe", "strength"} and isinstance(value.get("recipe"), str):
            return Nested(recipe=value["recipe"], strength=strength)
    except UsageError as error:
        raise UsageError(f"{where}: {error.what}", where=error.where or None, do=error.do) from None
    if set(value) <= {"steps", "strength", "name"} and "steps" in value:
        items = _items_from_json(value["steps"], masks, f"{where}, step", depth)
        return Group(items=items, strength=strength, name=str(value.get("name", "")))
    if set(value) == {"on", "do"} and isinstance(value["on"], str):
        from maquette.refining.text import parse_mask

        found = value["do"]
        many = isinstance(found, (list, tuple))
        inner = _items_from_json(found if many else [found], masks, f"{where}, step", depth)
        item = Group(items=inner) if many else inner[0]
        return On(mask=parse_mask(value["on"], masks=masks), item=item)
    _unknown(where, value)


def _unknown(where: str, value: Any) -> NoReturn:
    keys = f" with {', '.join(map(str, value))}" if isinstance(value, Mapping) else ""
    raise UsageError(
        f"recipe: {where} is no step ({type(value).__name__}{keys})",
        do="write the name of an op, or an object with op, recipe, steps, or on and do",
    )


def item_of(word: str, values: Mapping[str, Any]) -> Item:
    """What a name stands for: an op, or a recipe."""
    if is_recipe(word):
        extra = [key for key in values if key != "strength"]
        if extra:
            raise UsageError(f"the recipe {word} has no dial {extra[0]!r}", do="it has strength")
        return Nested(recipe=word, strength=float(STRENGTH.read(values.get("strength", 1.0))))
    try:
        return step(word, values)
    except UsageError as error:
        if error.what == f"there is no op {word!r}":
            known = [*registry.schemas(), *_recipes()]
            raise UsageError(f"there is no op or recipe {word!r}", do=nearest(word, known, LIST)) from None
        raise


def is_recipe(word: str) -> bool:
    """Whether a word in a recipe names another recipe: one that is shipped, or a file."""
    return is_file(word) or (word not in registry.schemas() and word in _recipes())


def is_file(word: str) -> bool:
    """Whether a word names a recipe's file."""
    return word.endswith(ENDINGS) or "/" in word or "\\" in word


def _recipes() -> tuple[str, ...]:
    from maquette.refining import named

    return named.names()


# Recipes in recipes

Loader: TypeAlias = Callable[[str, str], tuple[str, Recipe]]
"""The recipe of a name or path, as seen from the recipe whose key is given; and its own key."""


def resolve(recipe: Recipe, load: Loader, key: str = "") -> Recipe:
    """The recipe with every other recipe in it written out; refused where one leads back to itself."""
    return _Resolver(load).recipe(recipe, key, (key,) if key else ())


class _Resolver:
    def __init__(self, load: Loader) -> None:
        self.load = load
        self.steps = 0
        self.precise = False

    def recipe(self, recipe: Recipe, key: str, path: tuple[str, ...]) -> Recipe:
        items = tuple(self.item(item, key, path) for item in recipe.items)
        return dataclasses.replace(recipe, items=items, precise=recipe.precise or self.precise)

    def item(self, item: Item, key: str, path: tuple[str, ...]) -> Item:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise UsageError(f"the recipe has more than {MOST_STEPS} steps with those of the recipes in it")
        if isinstance(item, On):
            return _whole(dataclasses.replace(item, item=self.item(item.item, key, path)))
        if isinstance(item, Group):
            items = tuple(self.item(part, key, path) for part in item.items)
            return _whole(dataclasses.replace(item, items=items))
        if isinstance(item, Step):
            return item
        found, inner = self.load(item.recipe, key)
        if found in path or len(path) > _DEEPEST:
            raise UsageError(f"the recipe loops: {' -> '.join([*path, found])}", do="take one of them out of the other")
        self.precise = self.precise or inner.precise
        items = tuple(self.item(part, found, (*path, found)) for part in inner.items)
        return _whole(Group(items=items, strength=item.strength, name=item.recipe))


def _whole(item: On | Group) -> On | Group:
    """The item, if it can be done: what changes the size is done to all of an image or not at all."""
    if isinstance(item, On) or item.strength not in (0, 1):
        for step in steps(parts(item)):
            if registry.schema(step.op).shape == "changes":
                raise UsageError(
                    f"{step.op} changes the size, so it cannot be done in part", do="take it out of the mask or group"
                )
    return item


def parts(item: Item) -> tuple[Item, ...]:
    """What an item is made of."""
    return (item.item,) if isinstance(item, On) else item.items if isinstance(item, Group) else ()


def shrunk(recipe: Recipe, share: float) -> Recipe:
    """The recipe for an image that is shown at a share of its size: lengths in pixels are so much shorter."""
    return dataclasses.replace(recipe, items=tuple(_shrunk(item, share) for item in recipe.items))


def _shrunk(item: Item, share: float) -> Item:
    if isinstance(item, Step):
        return dataclasses.replace(item, dials=_shorter(item.op, item.dials, share))
    if isinstance(item, Group):
        return dataclasses.replace(item, items=tuple(_shrunk(one, share) for one in item.items))
    if isinstance(item, On):
        return dataclasses.replace(item, mask=_narrower(item.mask, share), item=_shrunk(item.item, share))
    return item


def _narrower(mask: Mask, share: float) -> Mask:
    return dataclasses.replace(
        mask, dials=_shorter(mask.name, mask.dials, share) if mask.kind == "select" else mask.dials,
        parts=tuple(_narrower(part, share) for part in mask.parts), grow=mask.grow * share,
        feather=mask.feather * share,
    )  # fmt: skip


def _shorter(op: str, given: Mapping[str, Any], share: float) -> dict[str, Any]:
    lengths = {
        dial.parameter: dial.shrunk(given.get(dial.parameter, dial.default), share)
        for dial in registry.schema(op).dials if dial.pixels
    }  # fmt: skip
    return {**given, **lengths}


def steps(items: Sequence[Item]) -> Iterator[Step]:
    """All steps, in their order."""
    for item in items:
        if isinstance(item, Step):
            yield item
        else:
            yield from steps(parts(item))
