"""One base error and a few children. Each is one sentence: where, what, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from os import PathLike, fspath


class MaquetteError(Exception):
    """The work could not be done. Reads as one sentence and ends a command with exit code 1."""

    exit_code = 1

    def __init__(self, what: str, *, where: str | PathLike[str] | None = None, do: str = "") -> None:
        self.what = what
        self.where = "" if where is None else fspath(where)
        self.do = do
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return (f"{text}; {self.do}" if self.do else text).rstrip(".") + "."


class UsageError(MaquetteError):
    """The arguments are wrong. Ends a command with exit code 2."""

    exit_code = 2


class DataError(MaquetteError):
    """A source or a dataset cannot be used."""


class RunError(MaquetteError):
    """A run folder cannot be used or written."""


class ModelFileError(MaquetteError):
    """A model file or checkpoint is damaged, hostile or of another shape than its config says."""


class ConditionError(UsageError):
    """A condition was asked for that the model does not have or cannot honour."""


class TrustError(MaquetteError):
    """A key, certificate or signature cannot be used or made."""


class TrainingError(MaquetteError):
    """Training cannot go on (numbers that are not finite, rolled back too often)."""


MOST_LISTED = 30


def nearest(word: str, choices: Iterable[str], listed: str = "") -> str:
    """What to do about an unknown word: name the nearest choices, then all of them.

    Where they are too many to read, `listed` is the command that shows them.
    """
    choices = sorted(choices)
    close = get_close_matches(word, choices, n=3)
    if len(choices) > MOST_LISTED:
        every = f"all of them: {listed}" if listed else f"there are {len(choices)}, such as {', '.join(choices[:5])}"
    else:
        every = f"there are: {', '.join(choices) if choices else 'none'}"
    return f"did you mean {' or '.join(close)}? {every[:1].upper()}{every[1:]}" if close else every
