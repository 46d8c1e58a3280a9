"""What can be proved of an image, quickly: one worker that stays, and answers that are kept while the file stays."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.faces.http.looks import Store

if TYPE_CHECKING:
    from maquette.store.workspace import Workspace
    from maquette.trust.examine import Examiner


class Proofs:
    """Asks as the verb `verify` does."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._examiner: Examiner | None = None
        self._trusted = -1
        self._lock = threading.Lock()
        self._kept = Store(16 << 20)

    def of(self, path: Path) -> dict[str, Any]:
        """The report on one file."""
        found = os.stat(path)
        key = (os.fspath(path), found.st_mtime_ns, found.st_size, self._keys())
        return self._kept.get(key, lambda: self._asked(path), lambda report: len(repr(report)))  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            if self._examiner is not None:
                self._examiner.close()
                self._examiner = None

    def _keys(self) -> int:
        """What changes when other signatures are believed."""
        from maquette.trust.keys import Keys

        folder = Keys(self._workspace.home).folder
        try:
            return max((one.stat().st_mtime_ns for one in (folder, *folder.rglob("*"))), default=0)
        except OSError:
            return 0

    def _asked(self, path: Path) -> dict[str, Any]:
        from maquette.operations import operation as table
        from maquette.trust.examine import Examiner
        from maquette.trust.keys import Keys

        with self._lock:
            trusted = self._keys()
            if self._examiner is None or trusted != self._trusted:
                if self._examiner is not None:
                    self._examiner.close()
                self._examiner, self._trusted = Examiner(Keys(self._workspace.home).anchors(), workers=1), trusted
            report = {"path": os.fspath(path), **self._examiner.ask(os.fspath(path))}
        if report["status"] == "intact":
            return report
        # What lost its signature is looked up among all images of the workspace, which the verb knows how to do.
        *_, result = table.run("verify", self._workspace, {"file": [str(path)], "workers": 1})
        found: dict[str, Any] = result.to_json()["images"][0]
        return found
