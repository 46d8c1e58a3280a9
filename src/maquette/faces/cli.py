"""The command line: one table of verbs, rendered for a terminal.

Events go to people on standard error, and with `--json` to programs on standard output. Exit 0: done; 1: the work
could not be done; 2: the arguments are wrong; 130 and 143: stopped from outside.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

from maquette.core.errors import MaquetteError, UsageError, nearest
from maquette.core.event import to_line
from maquette.faces import arguments, trouble
from maquette.faces.arguments import Command

STOPPED, TERMINATED = 130, 143


class _Terminated(KeyboardInterrupt):
    """The system asked the command to end."""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    given = list(sys.argv[1:] if words is None else words)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show never ends the work
    try:
        code = _guarded(given)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone, as in `maquette list | head`. Keep Python from failing again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _guarded(words: list[str]) -> int:
    """Run, and turn every failure into one sentence and an exit code."""
    as_json = "--json" in words
    try:
        with _terminable():
            return _run(words)
    except BrokenPipeError:
        raise
    except MaquetteError as error:
        _fail(str(error), as_json)
        if isinstance(error, UsageError):
            _hint(words)
        return error.exit_code
    except _Terminated:
        _fail("stopped: the system asked to end", as_json)
        return TERMINATED
    except KeyboardInterrupt:
        _fail("stopped", as_json)
        return STOPPED
    except Exception as error:
        _debug()
        said = trouble.circumstance(error) or trouble.fault(error, f"maquette {' '.join(words)}", _fault_folders(words))
        _fail(said, as_json)
        return 1


def _run(words: list[str]) -> int:
    verb, rest = arguments.verb_of(words)
    if verb is None or (verb == "help" and not rest):
        return _without_verb(words if verb is None else [])
    from maquette.operations import operation as table

    if verb == "help":
        verb, rest = rest[0], ["--help"]
    names = [name for names in table.grouped().values() for name in names]
    if verb not in names and verb in (several := arguments.families_of_verbs()):
        if not rest or rest[0] in ("--help", "-h"):
            from maquette.faces import help

            _print(help.of_verbs(verb, several[verb]))
            return 0
        raise UsageError(f"{verb} does several things", do=f"say which: {', '.join(_second(several[verb]))}")
    if verb not in names:
        raise UsageError(f"there is no verb {verb!r}", do=nearest(verb, names))
    operation = table.get(verb)
    if "--help" in rest or "-h" in rest:
        from maquette.faces import help

        _print(help.of_verb(operation, _family(rest), rest))
        return 0
    command = arguments.parse(operation, rest)
    return _work(operation, command)


def _second(verbs: Sequence[str]) -> list[str]:
    return [name.partition("-")[2] for name in verbs]


def _without_verb(words: list[str]) -> int:
    if "--version" in words:
        import maquette

        _print(f"maquette {maquette.__version__}\n")
        return 0
    arguments.parse_common(words)
    from maquette.faces import help

    _print(help.overview())
    return 0


def _work(operation: Any, command: Command) -> int:
    """Do the verb's work and show its events."""
    from maquette.core.place import place
    from maquette.faces.progress import people

    request = operation.read(command.all_values())
    from maquette.store.workspace import Workspace

    here = place()
    silent = here is not None and here.rank > 0  # of several processes the first one speaks
    display = people(sys.stderr, sys.stdout, quiet=command.quiet, tables=not command.json)
    # Closing the work runs its own tidying up, also when it is stopped in the middle.
    with display, contextlib.closing(operation(request, Workspace(command.home))) as events:
        for event in events:
            if silent:
                continue
            if command.json:
                _print(to_line(event) + "\n")
            display.show(event)
    return 0


def _family(words: list[str]) -> str | None:
    """The family that is named beside `--help`, if one is."""
    for position, word in enumerate(words):
        if word.startswith("--family="):
            return word.partition("=")[2]
        if word == "--family" and position + 1 < len(words):
            return words[position + 1]
    return None


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _fail(sentence: str, as_json: bool) -> None:
    if as_json:
        import json

        _print(json.dumps({"event": "error", "message": sentence}) + "\n")
    print(f"maquette: {sentence}", file=sys.stderr, flush=True)


def _hint(words: list[str]) -> None:
    """Where the right arguments are listed."""
    from maquette.operations import operation as table

    verb, _ = arguments.verb_of(words)
    known = [name for names in table.grouped().values() for name in names]
    command = f"maquette {verb} --help" if verb in known else "maquette --help"
    print(f"See: {command}", file=sys.stderr, flush=True)


def _debug() -> None:
    if os.environ.get("MAQUETTE_DEBUG"):
        traceback.print_exc()


def _fault_folders(words: list[str]) -> Iterator[str]:
    """Where a trace is written: the workspace."""
    from maquette.store.workspace import Workspace

    home = words[words.index("--home") + 1] if "--home" in words[:-1] else None
    with contextlib.suppress(Exception):  # the fault may be the workspace's own
        yield os.path.join(Workspace(home).home, "faults")


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the work the way Ctrl-C does, so that nothing half-written is left. Verbs may take it over."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
