"""The command line, Python and HTTP are three renderings of one table; the server's document is one more."""

import inspect
import json
import subprocess
import sys

import pytest

from maquette.core.settings import schema
from maquette.faces import arguments, python
from maquette.faces.http import openapi, routes, verbs
from maquette.faces.http.values import REFUSED, role
from maquette.operations import operation as table

VERBS = [verb for names in table.grouped().values() for verb in names]


def test_every_verb_is_a_command_a_function_and_a_route():
    posted = {one.path.removeprefix("/api/") for one in routes.table() if one.group == "Verbs"}
    assert posted == set(VERBS) - REFUSED
    assert {name.replace("_", "-") for name in python.verbs()} == set(VERBS)
    assert {verb["verb"] for verb in verbs.verbs.work(None, None)} == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_all_three_take_the_same_settings(verb):
    operation = table.get(verb)
    names = {setting.name for setting in operation.settings}
    signature = inspect.signature(python.function(verb.replace("-", "_")))
    dials = {setting.name for setting in operation.settings if setting.place == "dials"}
    assert names - dials <= set(signature.parameters)
    (told,) = [one for one in verbs.verbs.work(None, None) if one["verb"] == verb]
    assert {setting["name"] for setting in told["settings"]} == names
    assert set(told["schema"]["properties"]) == names == set(schema(operation.request)["properties"])
    json.dumps(told, default=str)
    if verb not in REFUSED:
        document = openapi.made()["paths"][f"/api/{verb}"]["post"]["requestBody"]["content"]["application/json"]
        assert set(document["schema"]["properties"]) == names
    options = [setting for setting in operation.settings if setting.place == "option" and setting.kind != "switch"]
    words = [f"--{setting.option}=1" for setting in options]
    assert set(arguments.parse(operation, words).values) == {setting.name for setting in options}


@pytest.mark.parametrize("verb", sorted(set(VERBS) - REFUSED))
def test_every_setting_has_a_role_and_files_are_never_free_words(verb):
    operation = table.get(verb)
    for setting in operation.settings:
        if setting.place != "dials" and any(word in setting.form for word in ("FILE", "FOLDER", "RUN", "DATASET")):
            assert role(operation, setting) not in ("text", "plain"), (verb, setting.name)


def test_the_document_names_every_route_and_no_other():
    document = openapi.made()
    named = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert named == {(one.method, one.path.replace(":path", "")) for one in routes.table()}
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))
    assert "$defs" not in json.dumps(document) and all(one.summary for one in routes.table())


def test_help_of_the_studio_loads_neither_the_server_nor_torch():
    code = (
        "import sys; from maquette.faces.cli import main; main(['studio', '--help']);"
        "print([name for name in ('torch', 'starlette', 'uvicorn', 'numpy', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().split("\n")[-1] == "[]"
