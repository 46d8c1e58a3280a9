"""Recipes on images in memory.

refine(array, "white-balance, sharpen amount=0.4")
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from maquette.core.image import Image
from maquette.refining import masks, named, pixels, registry
from maquette.refining.op import Context
from maquette.refining.recipe import Item, Mask, On, Recipe, Step, parts


def refine(image: Any, recipe: Any, context: Context | None = None) -> NDArray[Any]:
    """The image after the recipe: an array in, an array of the same depth out.

    The recipe is text, JSON values, a file's path or a `Recipe`. An array of height x width stays one where the recipe
    leaves it grey.
    """
    context = context or Context()
    flat = np.asarray(image).ndim == 2
    ready = recipe if isinstance(recipe, Recipe) else named.recipe(recipe, masks=tuple(context.masks))
    result = run(ready, pixels.checked(image), context)
    return result[..., 0] if flat and result.shape[2] == 1 else result


@dataclass(frozen=True)
class Halfway:
    """One image after the first steps of a recipe, and what further steps need to know of those."""

    image: Image
    uses: Counter[str]
    found: Mapping[str, masks.Weights]


class Memory(Protocol):
    """What keeps images halfway, for whoever runs nearly the same recipe on the same image again and again."""

    def recall(self, steps: str) -> Halfway | None:
        """The image after these steps, if it is kept."""

    def keep(self, steps: str, halfway: Halfway) -> None:
        """Keep it, or not."""


def run(recipe: Recipe, image: Image, context: Context, memory: Memory | None = None) -> Image:
    """A recipe that is written out in full, on one image.

    A `memory` belongs to this very image and context; the result is the same with it as without.
    """
    if recipe.seed is not None:
        context = dataclasses.replace(context, seed=(context.seed + recipe.seed) % 2**63)
    work = _Work(context)
    if not recipe.precise or image.dtype == np.float32:
        return work.remembered(recipe, image, memory)
    result = work.remembered(recipe, pixels.to_float(image), memory)
    if image.dtype == np.uint8:
        return pixels.dither(result, context.seed)
    return pixels.to_depth(result, image.dtype)


class _Work:
    """One image on its way through a recipe."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.uses: Counter[str] = Counter()
        self.found: dict[str, masks.Weights] = {}

    def remembered(self, recipe: Recipe, image: Image, memory: Memory | None) -> Image:
        """All steps, from the last that is kept on."""
        if memory is None:
            return self.items(recipe.items, image)
        # Text for each beginning of the recipe; the context's seed has the recipe's in it.
        words = [f"{recipe.precise} {self.context.seed} {recipe.items[:count]!r}" for count in range(len(recipe.items))]
        done = 0
        for count in range(len(recipe.items) - 1, 0, -1):
            halfway = memory.recall(words[count])
            if halfway is not None:
                done, image, self.uses, self.found = count, halfway.image, halfway.uses.copy(), dict(halfway.found)
                break
        for count, item in enumerate(recipe.items[done:], done):
            if count > done:
                memory.keep(words[count], Halfway(image, self.uses.copy(), dict(self.found)))
            image = self.item(item, image)
        return image

    def items(self, items: Sequence[Item], image: Image) -> Image:
        for item in items:
            image = self.item(item, image)
        return image

    def item(self, item: Item, image: Image) -> Image:
        if isinstance(item, On):
            weights = self.mask(item.mask, image)
            return pixels.blend(image, self.item(item.item, image), weights)
        if item.strength == 0:
            return image
        result = self.step(item, image) if isinstance(item, Step) else self.items(parts(item), image)
        return pixels.blend(image, result, item.strength)

    def step(self, step: Step, image: Image) -> Image:
        """An op. The second use of an op in a recipe has another seed than the first: its grain is not the same."""
        context = dataclasses.replace(self.context, seed=(self.context.seed + self.uses[step.op]) % 2**63)
        self.uses[step.op] += 1
        result = registry.get(step.op)(image, context, **step.dials)
        if result.shape[:2] != image.shape[:2]:
            self.found.clear()
        return result

    def mask(self, mask: Mask, image: Image) -> masks.Weights:
        """The mask: found once, on the image as it is then, so that a subject stays the same through the recipe."""
        key = repr(mask)
        if key not in self.found:
            self.found[key] = masks.find(mask, image, self.context)
        return self.found[key]
