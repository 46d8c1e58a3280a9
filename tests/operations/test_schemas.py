"""The cache of families' settings says what the code says."""

import json

import pytest

from maquette import families
from maquette.operations import schemas


@pytest.mark.parametrize("name", schemas.own())
def test_the_cache_is_true(name):
    assert schemas.read()[name] == schemas.make(name), "the cache is old: run make fix"


def test_the_cache_holds_every_family_and_no_other():
    assert [item["name"] for item in json.loads(schemas.CACHE.read_text("utf-8"))] == schemas.own()
    assert set(schemas.own()) <= set(families.REGISTRY.names())


@pytest.mark.parametrize("name", schemas.own())
def test_a_schema_survives_the_way_through_json_and_says_what_people_need(name):
    schema = schemas.read()[name]
    assert schemas.FamilySchema.from_json(json.loads(json.dumps(schema.to_json()))) == schema
    assert schema.summary
    for setting in (*schema.settings, *schema.dials):
        assert setting.help, f"{name}: {setting.name} has no help"


def test_families_of_other_packages_are_there_by_name(monkeypatch):
    names = families.REGISTRY.names()
    monkeypatch.setattr(families.REGISTRY, "names", lambda: [*names, "zebra"])
    schemas.read.cache_clear()
    try:
        assert schemas.read()["zebra"].summary == "added by another package"
    finally:
        schemas.read.cache_clear()
