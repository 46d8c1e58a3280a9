"""Recipes as short text.

white-balance, sharpen amount=0.4                     steps, one after the other; a new line is as good as a comma
gaussian-blur radius=6 strength=0.5                   dials; strength is there for every op
on not foreground grow=3 feather=2: gaussian-blur     one step where a mask is
on foreground and "sky.png": (exposure, sharpen)      several steps, masks put together, a mask from a file
portrait strength=0.7, ./mine.recipe                  other recipes, by name or file
precise, seed=7, exposure stops=0.3                   float32 throughout, and another seed
# what stands behind this sign is a comment; the first comment says what the recipe is for
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from maquette.core.errors import UsageError
from maquette.refining import recipe as recipes
from maquette.refining.recipe import FEATHER, GROW, SEED, Group, Item, Mask, Nested, On, Recipe, Step
from maquette.refining.schema import STRENGTH

_DEEPEST = 32
_NAME = re.compile(r"[^\s,()=:\"#]+")
_VALUE = re.compile(r"[^\s,()\"]+")
_BARE = re.compile(r"[^\s,()\":\\][^\s,()\"\\]*(?<!:)")
_MASK_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif")
T = TypeVar("T")


def parse(text: str, *, masks: Collection[str] = ()) -> Recipe:
    """The recipe that the text is; `masks` are names that masks are handed over with."""
    return _Parser(text, masks).recipe()


def parse_mask(text: str, *, masks: Collection[str] = ()) -> Mask:
    """The mask that the text is."""
    return _Parser(text, masks).mask_alone()


class _Parser:
    def __init__(self, text: str, masks: Collection[str]) -> None:
        self.text, self.masks, self.at, self.depth = text, masks, 0, 0
        self.about: list[str] = []
        self.begun = False
        self.spots: dict[str, int] = {}
        """Where the dials of the last step stand."""
        self.settings: dict[str, Any] = {}

    # What is seen

    def recipe(self) -> Recipe:
        items = self.items(end="")
        if not items:
            raise self.error("the recipe is empty", "name an op, for example sharpen amount=0.4")
        return Recipe(items=tuple(items), about=" ".join(self.about), **self.settings)

    def items(self, end: str) -> list[Item]:
        items: list[Item] = []
        self.gap()
        while self.at < len(self.text) and self.peek() != end:
            self.begun = True
            if end or not self.setting():
                items.append(self.item())
            if not self.separator() and self.at < len(self.text) and self.peek() != end:
                raise self.unexpected()
        return items

    def setting(self) -> bool:
        """Read `precise` or `seed=N`, which are no steps, where one stands here."""
        found = re.compile(r"precise(?=\s*(?:[,\n]|$))|seed\s*=\s*([^\s,]*)").match(self.text, self.at)
        if found is None:
            return False
        if found[1] is None:
            self.settings["precise"] = True
        else:
            self.settings["seed"] = self.at_place(self.at, lambda: SEED.read(found[1]))
        self.at = found.end()
        return True

    def item(self) -> Item:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.error(f"more than {_DEEPEST} steps in one another are not possible")
        try:
            return self.item_here()
        finally:
            self.depth -= 1

    def item_here(self) -> Item:
        began = self.at
        if self.peek() == "(":
            self.at += 1
            items = self.items(end=")")
            self.expect(")")
            if not items:
                raise self.error("there is nothing in the parentheses", at=began)
            values = self.values({"strength": STRENGTH})
            return Group(items=tuple(items), strength=float(values.get("strength", 1.0)))
        quoted = self.peek() == '"'
        word = self.word("an op")
        if word == "on" and not quoted:
            mask = self.mask()
            self.expect(":")
            self.gap()
            return On(mask=mask, item=self.item())
        if quoted:
            values = self.values({"strength": STRENGTH})
            return Nested(recipe=word, strength=float(values.get("strength", 1.0)))
        dials = self.dials()
        return self.at_dial(began, lambda: recipes.item_of(word, dials))

    # Masks

    def mask_alone(self) -> Mask:
        mask = self.mask()
        self.gap()
        if self.at < len(self.text):
            raise self.unexpected()
        return mask

    def mask(self) -> Mask:
        return self.joined("or", lambda: self.joined("and", self.negated))

    def joined(self, word: str, part: Callable[[], Mask]) -> Mask:
        parts = [part()]
        while self.keyword(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Mask(kind="or" if word == "or" else "and", parts=tuple(parts))

    def negated(self) -> Mask:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.error(f"more than {_DEEPEST} masks in one another are not possible")
        try:
            return Mask(kind="not", parts=(self.negated(),)) if self.keyword("not") else self.one_mask()
        finally:
            self.depth -= 1

    def one_mask(self) -> Mask:
        self.gap()
        began, edge = self.at, {"grow": GROW, "feather": FEATHER}
        if self.peek() == "(":
            self.at += 1
            inner = self.mask()
            self.gap()
            self.expect(")")
            values = self.values(edge)
            if values and (inner.grow or inner.feather):
                inner = Mask(kind="and", parts=(inner,))  # each edge is made after the other
            return dataclasses.replace(
                inner, grow=values.get("grow", inner.grow), feather=values.get("feather", inner.feather)
            )
        quoted = self.peek() == '"'
        word = self.word("a mask")
        if quoted or "/" in word or "\\" in word or word.lower().endswith(_MASK_ENDINGS):
            values = self.values(edge)
            return Mask(kind="file", name=word, grow=values.get("grow", 0.0), feather=values.get("feather", 0.0))
        dials = self.dials()
        return self.at_dial(began, lambda: recipes.select(word, dials, self.masks))

    def keyword(self, word: str) -> bool:
        self.gap()
        found = re.compile(rf"{word}(?=[\s(\"])").match(self.text, self.at)
        if found:
            self.at = found.end()
        return found is not None

    # Words and values

    def values(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Dials that are known here, checked."""
        began, given = self.at, self.dials()
        for name in given:
            if name not in known:
                options = " and ".join(known)
                raise self.error(f"{name!r} cannot be given here", f"only {options} can", at=began)
        return self.at_place(began, lambda: {name: known[name].read(value) for name, value in given.items()})

    def dials(self) -> dict[str, str]:
        dials: dict[str, str] = {}
        self.spots = {}
        while True:
            self.spaces()
            began, name = self.at, _NAME.match(self.text, self.at)
            if name is None or self.text[name.end() : name.end() + 1] != "=":
                return dials
            if name[0] in dials:
                raise self.error(f"{name[0]} is given twice", at=began)
            self.at = name.end() + 1
            self.spots[name[0]] = began
            dials[name[0]] = self.value(name[0])

    def value(self, name: str) -> str:
        if self.peek() == '"':
            return self.quoted()
        found = _VALUE.match(self.text, self.at)
        value = found[0] if found else ""
        if value.endswith(":"):
            value = value[:-1]  # it ends a mask
        if not value:
            raise self.error(f"{name} needs a value", f"write {name}=VALUE")
        self.at += len(value)
        return value

    def word(self, what: str) -> str:
        if self.peek() == '"':
            return self.quoted()
        found = _NAME.match(self.text, self.at)
        if found is None:
            raise self.error(f"here should be {what}" + (f", not {self.peek()!r}" if self.peek() else ""))
        self.at = found.end()
        return found[0]

    def quoted(self) -> str:
        found = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL).match(self.text, self.at)
        if found is None or not found[1]:
            raise self.error("the quotation is empty or has no end")
        self.at = found.end()
        return re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL)

    # Places

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def spaces(self) -> None:
        while self.peek() and self.peek() in " \t\r":
            self.at += 1

    def gap(self) -> None:
        """Go over spaces, ends of lines and comments."""
        while self.peek() and (self.peek().isspace() or self.peek() == "#"):
            if self.peek() == "#":
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                if not self.begun:
                    self.about += self.text[self.at + 1 : end].split()
                self.at = end
            else:
                self.at += 1

    def separator(self) -> bool:
        """Go over what stands between two steps: a comma, the end of a line, or both."""
        began = self.at
        self.gap()
        lines = "\n" in self.text[began : self.at]
        if self.peek() == ",":
            self.at += 1
            self.gap()
            if self.peek() == ",":
                raise self.error("there is nothing between two commas")
            return True
        return lines

    def expect(self, sign: str) -> None:
        self.gap()
        if self.peek() != sign:
            raise self.error(f"here should be {sign!r}" + (f", not {self.peek()!r}" if self.peek() else ""))
        self.at += 1

    def unexpected(self) -> UsageError:
        found = _NAME.match(self.text, self.at)
        if found and re.match(r"\s*=", self.text[found.end() :]):
            return self.error("spaces around = are not possible", f"write {found[0]}=VALUE")
        do = "write a comma between steps, and = between a dial and its value"
        return self.error(f"{found[0] if found else self.peek()!r} is not expected here", do)

    def error(self, what: str, do: str = "", at: int | None = None) -> UsageError:
        return UsageError(what, where=self.place(self.at if at is None else at), do=do)

    def place(self, at: int) -> str:
        before = self.text[:at]
        line, column = before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1
        snippet = self.text[at : at + 24].split("\n")[0]
        lines = f"line {line}, " if "\n" in self.text.strip() else ""
        shown = f" ({snippet}{'...' if len(snippet) == 24 else ''})" if snippet else ""
        return f"the recipe, {lines}character {column}{shown}"

    def at_place(self, at: int, work: Callable[[], T]) -> T:
        """Do it; where it fails, say at which place."""
        try:
            return work()
        except UsageError as error:
            raise UsageError(error.what, where=self.place(at), do=error.do) from None

    def at_dial(self, at: int, work: Callable[[], T]) -> T:
        """Do it; where it fails for a dial, say at which one."""
        try:
            return work()
        except UsageError as error:
            told = [
                spot
                for name, spot in self.spots.items()
                if f"dial {name!r}" in error.what or f"{name} = " in error.what
            ]
            raise UsageError(error.what, where=self.place(told[0] if told else at), do=error.do) from None


# Writing


def written(recipe: Recipe) -> str:
    """The recipe as text that is read as the same recipe."""
    lines = [f"# {recipe.about}"] if recipe.about else []
    items = ["precise"] if recipe.precise else []
    if recipe.seed is not None:
        items.append(f"seed={recipe.seed}")
    items += [item_text(item) for item in recipe.items]
    return "\n".join([*lines, ", ".join(items)])


def item_text(item: Item) -> str:
    """One item as text that is read as the same item."""
    if isinstance(item, On):
        return f"on {mask_text(item.mask)}: {item_text(item.item)}"
    strength = "" if item.strength == 1 else f" strength={_value(item.strength)}"
    if isinstance(item, Step):
        dials = "".join(f" {name.replace('_', '-')}={_value(value)}" for name, value in item.dials.items())
        return item.op + dials + strength
    if isinstance(item, Nested):
        bare = _NAME.fullmatch(item.recipe) and recipes.is_recipe(item.recipe)
        return (item.recipe if bare else _quoted(item.recipe)) + strength
    return f"({', '.join(item_text(part) for part in item.items)}){strength}"


def mask_text(mask: Mask) -> str:
    """The mask as text that is read as the same mask."""
    edge = "".join(f" {name}={_value(value)}" for name in ("grow", "feather") if (value := getattr(mask, name)))
    if mask.kind in ("select", "given"):
        dials = "".join(f" {name.replace('_', '-')}={_value(value)}" for name, value in mask.dials.items())
        return mask.name + dials + edge
    if mask.kind == "file":
        return _quoted(mask.name) + edge
    if mask.kind == "not":
        inner = mask_text(mask.parts[0])
        text = f"not {inner if mask.parts[0].kind not in ('and', 'or') or _edged(mask.parts[0]) else f'({inner})'}"
    else:
        text = f" {mask.kind} ".join(_part(part, mask.kind) for part in mask.parts)
    return f"({text}){edge}" if edge else text


def _part(part: Mask, within: str) -> str:
    loose = part.kind == "or" or part.kind == within
    return f"({mask_text(part)})" if loose and not _edged(part) else mask_text(part)


def _edged(mask: Mask) -> bool:
    return bool(mask.grow or mask.feather)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple):
        return ":".join(_value(part) for part in value)
    if isinstance(value, str):
        return value if _BARE.fullmatch(value) else _quoted(value)
    raise UsageError("a recipe that holds arrays or callables cannot be written", do="name files and runs in it")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
