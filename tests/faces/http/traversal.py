"""Trials of words that try to lead out: every path parameter, every query word and every setting of every verb."""

import re
import urllib.parse

from maquette.faces.http import routes
from maquette.faces.http.values import REFUSED, role
from maquette.operations import operation as table
from tests.faces.http.payloads import payloads
from tests.faces.http.served import TOKEN, Direct, tree

SECRET = b"nobody-may-read-this-4f1c"
HEADERS = [("host", "127.0.0.1:8737"), ("authorization", f"Bearer {TOKEN}"), ("content-length", "0")]


def secret_beside(folder):
    """A file outside of the workspace that must be neither read nor changed."""
    place = folder / "outside"
    place.mkdir()
    for name in ("secret.txt", "secret.png", "run.json", "dataset.json"):
        (place / name).write_bytes(SECRET)
    return place / "secret.txt"


def parameters():
    """Every route with each of its path parameters."""
    return [(one, name) for one in routes.table() for name in re.findall(r"{(\w+)(?::path)?}", one.path)]


async def paths(home, secret, count):
    """Every path parameter with every word, plain and quoted. What was wrong, in words."""
    direct, before, wrong, tried = Direct(home), _outside(secret), [], 0
    words = payloads(count, secret)
    for one, name in parameters():
        for word in words:
            # Once as a client would send it, once with the slashes left as they are.
            for quoted in {urllib.parse.quote(word, safe=""), urllib.parse.quote(word, safe="/\\:?#")}:
                path = re.sub(r"{(\w+)(?::path)?}", lambda f, q=quoted, n=name: q if f[1] == n else "first", one.path)
                answer = await direct(one.method, path.partition("?")[0], HEADERS, b"")
                tried += 1
                if answer.status >= 500 or SECRET in answer.content or b"root:" in answer.content:
                    wrong.append((one.method, path[:200], answer.status, answer.content[:200]))
    return tried, [*wrong, *_changes(before, secret)]


async def words(home, secret, count, **more):
    """Every word of a query, and every setting of every verb, checked as it would be before a job is taken."""
    from maquette.core.errors import MaquetteError
    from maquette.faces.http.endpoint import Refusal

    direct, before, wrong, tried = Direct(home, **more), _outside(secret), [], 0
    reader, inside = direct.studio.reader, str(home)
    for word in payloads(count, secret, seed=1):
        for one in routes.table():
            for name, parameter in one.query.items():
                if parameter.kind != "text" or one.raw or one.media == "text/event-stream":
                    continue
                path = re.sub(r"{(\w+)(?::path)?}", "first", one.path)
                answer = await direct(one.method, f"{path}?{name}={urllib.parse.quote(word, safe='')}", HEADERS)
                tried += 1
                if answer.status >= 500 or SECRET in answer.content:
                    wrong.append((path, name, word, answer.status, answer.content[:200]))
        query = urllib.parse.urlencode({"into": "t", "name": word})
        answer = await direct("POST", f"/api/uploads?{query}", HEADERS[:2], b"x")
        tried += 1
        if answer.status >= 500:
            wrong.append(("upload", word, answer.status, answer.content[:200]))
        for verb in [verb for verbs in table.grouped().values() for verb in verbs if verb not in REFUSED]:
            operation = table.get(verb)
            for setting in operation.settings:
                tried += 1
                try:
                    if setting.place == "dials":
                        ready = reader._dial(setting.name, {"dial": word})
                    else:
                        value = [word] if setting.kind == "list" else word
                        ready = reader._value(role(operation, setting), setting, value)
                except (MaquetteError, Refusal):
                    continue
                except Exception as error:
                    wrong.append((verb, setting.name, word, repr(error)[:300]))
                    continue
                wrong += [
                    (verb, setting.name, word, found)
                    for found in _paths_in(ready)
                    if not found.startswith(inside + "/") and not _is_free(operation, setting)
                ]
    return tried, [*wrong, *_changes(before, secret)]


def _is_free(operation, setting):
    return role(operation, setting) in ("text", "plain")


def _paths_in(value):
    """Words in the values of a command that could lead somewhere by themselves."""
    if isinstance(value, dict):
        return [found for item in value.values() for found in _paths_in(item)]
    if isinstance(value, (list, tuple)):
        return [found for item in value for found in _paths_in(item)]
    return [value] if isinstance(value, str) and re.search(r"^[~/.\\-]|\.\.[/\\]|^[A-Za-z]:|\0", value) else []


def _outside(secret):
    return tree(secret.parent)


def _changes(before, secret):
    return [] if _outside(secret) == before else [("the folder outside has changed",)]
