"""The verb `keys`, as a person uses it."""

import contextlib
import json
import sys
import traceback
from pathlib import Path

import pytest

from maquette.core.errors import TrustError, UsageError
from maquette.core.event import to_line
from maquette.engine import start as starting
from maquette.engine.probe import Choice
from maquette.operations import operation as table
from maquette.store.workspace import Workspace
from maquette.trust.keys import Keys

sys.path.insert(0, str(Path(__file__).parents[1] / "trust"))

import attacks  # what people do to signed images


@pytest.fixture
def keys(tmp_path):
    def keys(action="show", value="", home="home", **values):
        request = {"action": action, "value": value, **values}
        return list(table.run("keys", Workspace(tmp_path / home), request))

    return keys


def test_showing_makes_nothing(keys, tmp_path):
    result = keys()[-1]
    assert result.facts["certificates"] == [] and "no keys yet" in result.summary
    assert not (tmp_path / "home" / "keys").exists()


def test_the_life_of_a_key(keys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Keys(tmp_path / "home").signer()
    keys("name", "Anna")
    first = keys()[-1].facts
    assert first["maker"] == "Anna" and [one["state"] for one in first["certificates"]] == ["signs"]
    keys("rotate")
    keys("revoke", first["certificates"][0]["serial"])
    states = [one["state"] for one in keys()[-1].facts["certificates"]]
    assert states == ["signs", "revoked"]
    keys("export", to="mine.pem")
    with pytest.raises(UsageError, match="a file already"):
        keys("export", to="mine.pem")
    assert keys("trust", "mine.pem", home="other", name="anna")[-1].facts["trusted"][0]["name"] == "anna"
    assert keys("forget", "anna", home="other")[-1].facts["trusted"] == []
    assert keys("time-stamping", "http://tsa.example/x")[-1].facts["time_stamping"] == "http://tsa.example/x"
    assert keys("time-stamping", "off")[-1].facts["time_stamping"] == "off"


def test_no_event_holds_a_byte_of_a_key(keys, tmp_path):
    Keys(tmp_path / "home").signer()
    secret = [
        line
        for path in (tmp_path / "home" / "keys").glob("*.pem")
        for line in path.read_text().split("PRIVATE KEY-----")[1].split()[:-2]
    ]
    said = "".join(to_line(event) for action in ("show", "rotate", "show") for event in keys(action))
    said += keys("export", to=str(tmp_path / "x.pem"))[-1].summary + (tmp_path / "x.pem").read_text()
    assert secret and not any(line in said for line in secret)
    json.dumps(keys()[-1].facts)


def test_nothing_that_a_session_writes_or_says_holds_a_byte_of_a_key(tmp_path, monkeypatch):
    """From making a dataset to errors about damaged keys: files, events, errors, logs, the index and checkpoints."""
    home, place = tmp_path / "home", tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("MAQUETTE_DEBUG", "1")
    monkeypatch.setattr(starting, "remembered", lambda *args: (Choice(rate=800.0, plain=800.0), False))
    space, said, secrets = Workspace(home), [], []

    def do(verb, **values):
        try:
            said.extend(to_line(event) for event in table.run(verb, space, values))
        except Exception as error:
            said.extend(traceback.format_exception(error))
            said.append(repr(vars(error)))
        with contextlib.suppress(ValueError):  # the keys are damaged
            secrets.extend(attacks.secrets_of(home))

    do("ingest", source=["drawn:numbers"], to="s.mq", size="64", count=40)
    do("mark", of="s.mq")
    do("train", dataset="s.mq", to="run", family="oracle", images=64)
    for format in ("png", "jpeg", "webp", "avif", "tiff"):
        do("sample", run="run", to=format, count=2, format=format)
    do("refine", source=["png"], to="refined", **{"with": "sharpen"})
    do("verify", file=["png", "refined"])
    do("replay", image="png/seed-00000000.png", model="run")
    do("card", of="run")
    do("list")
    for action in ("show", "export", "rotate", "revoke", "show"):
        do("keys", action=action)
    do("keys", action="name", value="Anna")
    path = home / "keys" / "signing.pem"
    whole = path.read_bytes()
    key = whole.index(b"-----BEGIN PRIVATE")
    other_key = whole[:key] + whole[key:].replace(b"G", b"H")
    for damaged in (whole[:-200], other_key, whole.replace(b"A", b"B"), b"", whole[::-1], whole.lower()):
        path.write_bytes(damaged)
        do("sample", run="run", to="broken", count=1)
        do("keys", action="import", certificate=str(path), key=str(path))
    path.write_bytes(whole)
    (place / "said.txt").write_text("\n".join(said))
    assert sum("Traceback" in line for line in said) == 12 and (place / "refined").is_dir()
    assert len(set(secrets)) > 30
    assert attacks.key_bytes_found(home, [tmp_path], secrets) == []
    files = [one for one in tmp_path.rglob("*") if one.is_file()]
    assert len(files) > 40 and any(one.suffix == ".safetensors" for one in files)


@pytest.mark.parametrize(
    ("action", "value", "words"),
    [
        ("dance", "", "no action"), ("name", "", "something is missing"), ("trust", "", "something is missing"),
        ("revoke", "not hex", "not a serial"), ("import", "", "something is missing"),
        ("time-stamping", "", "something is missing"), ("protect", "", "passphrase is missing"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(keys, action, value, words):
    with pytest.raises(UsageError, match=words):
        keys(action, value)


def test_nothing_can_be_exported_or_revoked_before_there_are_keys(keys, tmp_path):
    for action in ("export", "revoke"):
        with pytest.raises(TrustError, match="no keys here yet"):
            keys(action, to=str(tmp_path / "x.pem"))


def test_a_file_that_is_no_certificate_is_not_trusted(keys, tmp_path):
    (tmp_path / "x.pem").write_text("hello")
    with pytest.raises(TrustError, match="no certificate"):
        keys("trust", str(tmp_path / "x.pem"))
    with pytest.raises(TrustError, match="cannot be read"):
        keys("trust", str(tmp_path / "nothing.pem"))


def test_a_passphrase_is_changed_by_the_environment(keys, tmp_path, monkeypatch):
    monkeypatch.setenv("MAQUETTE_NEW_PASSPHRASE", "new")
    keys("protect")
    with pytest.raises(TrustError, match="protected by a passphrase"):
        Keys(tmp_path / "home").signer()
    monkeypatch.setenv("MAQUETTE_PASSPHRASE", "new")
    assert Keys(tmp_path / "home").signer()
