"""From the values of a request to those of a command: names become places of the workspace, paths are refused.

What a word may be follows from what its setting is for. A setting that nobody described is taken for one that names
files, so a verb that is added tomorrow is safe before anybody has thought of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from maquette.core.errors import UsageError
from maquette.core.settings import Described
from maquette.faces.http.catalogue import Catalogue, is_reference
from maquette.faces.http.recipes import safe_recipe
from maquette.operations.operation import Operation

Role = Literal[
    "plain", "text", "word", "thing", "dataset", "run", "new dataset", "new run", "folder", "file", "report", "recipe"
]  # fmt: skip
TEXTS = frozenset({
    "label", "text", "number", "maker", "about", "licence", "consent", "uses", "not_for", "contact", "because", "as_",
    "rename", "watermark", "title", "words", "caption", "prompt",
})  # fmt: skip
"""Settings that are free words wherever they stand: no verb opens a file by them."""
ITEMS = frozenset({("label", "images"), ("remove", "images")})
"""Names of images inside a dataset, which hold slashes and are looked up in its list."""
RUNS = frozenset({"run", "model", "on", "from_"})
RECIPES = frozenset({"with_", "recipe", "refine"})
REFUSED = frozenset({"studio"})
"""Verbs that a request cannot do: a server starts no servers."""
_HIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')


def role(operation: Operation, setting: Described) -> Role:
    """What a setting is for."""
    name = setting.name
    if setting.kind in ("integer", "number", "switch") or setting.choices:
        return "plain"
    if (operation.name, name) in ITEMS:
        return "text"
    if name == "to":
        return {"train": "new run", "ingest": "new dataset"}.get(operation.name) or (  # type: ignore[return-value]
            "file" if "FILE" in setting.form else "folder"
        )
    if "|" in setting.form and {"RUN", "DATASET"} & set(setting.form.split("|")):
        return "thing"
    if setting.form == "RUN" or (name in RUNS and setting.form in ("", "RUN")):
        return "run"
    if setting.form == "DATASET" or name in ("dataset", "against"):
        return "dataset"
    if name == "report":
        return "report"
    if name in RECIPES:
        return "recipe"
    if name in TEXTS and "FILE" not in setting.form and "FOLDER" not in setting.form:
        return "text"
    return "word"


class Reader:
    """Reads the values of requests."""

    def __init__(self, catalogue: Catalogue, *, paths: bool) -> None:
        self.catalogue, self.paths = catalogue, paths

    def read(self, operation: Operation, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values that the command is given, checked as it checks them itself."""
        if operation.name in REFUSED:
            raise UsageError(f"{operation.name} cannot be asked for here", do="type it as a command")
        known = {setting.option: setting for setting in operation.settings}
        known |= {setting.name: setting for setting in operation.settings}
        ready: dict[str, Any] = {}
        for key, value in values.items():
            setting = known.get(key)
            if value is None:
                continue
            if setting is None or setting.place == "dials":
                ready[key] = self._dial(key, value)
            else:
                # A recipe by its name may be one that is kept here, so it is handed over written out.
                name = "with_" if setting.name == "recipe" and "with_" in known else setting.name
                if name in ready:
                    raise UsageError("with and recipe say two things", do="give one of them")
                ready[name] = self._value(role(operation, setting), setting, value)
        operation.read(ready)
        return ready

    def _dial(self, key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: self._dial(str(name), item) for name, item in value.items()}
        if isinstance(value, str):
            return self._word(key, value)
        if isinstance(value, list):
            return [self._dial(key, item) for item in value]
        return value

    def _value(self, kind: Role, setting: Described, value: Any) -> Any:
        if setting.name == "workers" and not (isinstance(value, int) or (isinstance(value, str) and value.isdecimal())):
            raise UsageError("workers is a whole number here", do="other machines are reached by the command line")
        if kind == "plain":
            return value
        if isinstance(value, list):
            return [self._value(kind, setting, item) for item in value]
        if not isinstance(value, str):
            if kind == "recipe":
                return self._recipe(value)
            return value
        if kind == "text" or value == "":
            return value
        return self._one(kind, setting, value)

    def _one(self, kind: Role, setting: Described, word: str) -> Any:
        if kind == "recipe":
            return self._recipe(word)
        if self.paths and _is_path(word) and not is_reference(word):
            return word
        if kind in ("dataset", "run"):
            return str(self.catalogue.named(kind, word).path)
        if kind == "thing":
            return self._thing(setting, word)
        if kind == "new run" or kind == "new dataset":
            return self._new(kind, word)
        if kind in ("folder", "file", "report"):
            return self._output(kind, setting, word)
        return self._word(setting.option, word)

    def _thing(self, setting: Described, word: str) -> str:
        """A run or a dataset by its id, else what a word may be."""
        for form in setting.form.split("|"):
            found = self.catalogue.all(form.lower()).get(word) if form in ("RUN", "DATASET") else None
            if found is not None:
                return str(found.path)
        return self._word(setting.option, word)

    def _recipe(self, value: Any) -> str:
        return safe_recipe(value, self.catalogue, paths=self.paths)

    def _new(self, kind: str, word: str) -> str:
        """A place for a dataset or a run: one that is there, wherever it lies, or a new one in the workspace."""
        what = kind.removeprefix("new ")
        if word in self.catalogue.all(what):
            return str(self.catalogue.all(what)[word].path)
        workspace = self.catalogue.workspace
        _refuse_path(what, word)
        folder = workspace.runs if what == "run" else workspace.datasets
        made = workspace.run_path(word) if what == "run" else workspace.dataset_path(word)
        if made.parent != folder:
            raise _no_path(what, word)
        return str(made)

    def _output(self, kind: str, setting: Described, word: str) -> str:
        """A place to write to: images, reports and other files each have a folder of the workspace."""
        workspace = self.catalogue.workspace
        _refuse_path(setting.option, word)
        if _HIDDEN.search(word) or len(word.encode()) > 100 or word != word.strip() or word.endswith("."):
            raise UsageError(f"{setting.option} = {word[:40]!r} is not possible", do="give a plain name")
        if kind == "folder":
            return str(workspace.images / word)
        folder = workspace.home / ("reports" if kind == "report" else "exports")
        return str(folder / word)

    def _word(self, name: str, word: str) -> str:
        """A word that may name a file: a reference, or something that is no path at all."""
        head, sign, rest = word.partition("=")
        if sign and is_reference(rest):
            return f"{head}={self.catalogue.path_of(rest)}"
        if is_reference(word):
            return str(self.catalogue.path_of(word))
        if self.paths:
            return word
        for part in (word, rest) if sign else (word,):
            if _is_path(part):
                raise _no_path(name, word)
        return word


def _is_path(word: str) -> bool:
    """Whether a word could lead to a place of its own."""
    return (
        "/" in word
        or "\\" in word
        or "\0" in word
        or word[:1] in (".", "~", "-")
        or word.endswith(".mq")
        or bool(re.match(r"[A-Za-z]:", word))
    )


def _refuse_path(name: str, word: str) -> None:
    if _is_path(word):
        raise _no_path(name, word)


def _no_path(name: str, word: str) -> UsageError:
    return UsageError(
        f"{name} = {word[:60]!r} is a path, and requests name things of the workspace",
        do="upload files and write upload:BATCH/NAME, or name an image, a dataset or a run",
    )
