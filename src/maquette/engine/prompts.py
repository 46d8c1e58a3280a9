"""How far a prompt is from the captions that a model learned from."""

from __future__ import annotations

from collections.abc import Iterable

PIECE = 3
"""Characters that are compared at once."""
WORDS = 6
"""So many words are named at most."""


def unlike(prompt: str, captions: Iterable[str]) -> str:
    """A sentence where words of the prompt are in none of the captions, else nothing."""
    texts = sorted({caption for caption in captions if caption})
    known = {word for text in texts for word in _words(text)}
    strange = [word for word in dict.fromkeys(_words(prompt)) if word not in known]
    if not strange or not texts:
        return ""
    near = max(texts, key=lambda text: (_likeness(prompt, text), -len(text)))
    named = ", ".join(strange[:WORDS]) + (", ..." if len(strange) > WORDS else "")
    return (
        f"no caption of the {len(texts):,} kept with the run has: {named}; expect little of that. "
        f'The nearest caption is "{near}" ({_likeness(prompt, near):.0%} alike)'
    )


def _words(text: str) -> list[str]:
    return ["".join(c for c in word if c.isalnum()) or word for word in text.casefold().split()]


def _likeness(one: str, other: str) -> float:
    """The share of short pieces that both have, from 0 to 1."""
    first, second = (_pieces(text) for text in (one, other))
    return len(first & second) / max(1, len(first | second))


def _pieces(text: str) -> set[str]:
    padded = f" {' '.join(text.casefold().split())} "
    return {padded[at : at + PIECE] for at in range(max(1, len(padded) - PIECE + 1))}
