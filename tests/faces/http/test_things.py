"""Datasets, runs, images and files as resources, and what requests may name."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow

import maquette as mq
from maquette.faces.http.catalogue import image_id
from tests.faces.http.served import tree


def pixels(answer):
    return np.asarray(Pillow.open(io.BytesIO(answer.content)))


def test_a_dataset_with_its_labels_items_and_pictures(studio):
    (entry,) = studio.get("/api/datasets")
    assert (entry["id"], entry["images"], entry["width"]) == ("shapes", 48, 16)
    whole = studio.get("/api/datasets/shapes")
    label = next(one for one in whole["conditions"] if one["name"] == "label")
    assert sum(label["counts"].values()) == whole["in_use"] == 48 and whole["findings"] is None
    first = label["classes"][0]
    found = studio.get(f"/api/datasets/shapes/items?label={first}&limit=3&offset=1")
    assert found["total"] == label["counts"][first] and len(found["items"]) == 3
    assert {item["label"] for item in found["items"]} == {first}
    held = studio.get("/api/datasets/shapes/items?part=held-out&limit=1000")
    assert held["total"] == whole["held_out"] == len(held["items"])
    named = studio.get(f"/api/datasets/shapes/items?find={held['items'][0]['path']}")
    assert held["items"][0]["index"] in [item["index"] for item in named["items"]]
    assert pixels(studio("GET", "/api/datasets/shapes/items/0.png")).shape == (16, 16, 3)
    assert pixels(studio("GET", "/api/datasets/shapes/items/0.png?width=40")).shape == (32, 32, 3)
    for path in ("shapes/items/48.png", "shapes/items/x.png", "none", "none/items"):
        assert studio("GET", f"/api/datasets/{path}").status == 404
    for query in ("limit=0", "limit=1001", "offset=-1", "limit=x", "part=none", "many=1"):
        assert studio("GET", f"/api/datasets/shapes/items?{query}").status == 400


def test_labelling_removing_and_auditing_show_at_once(studio):
    item = studio.get("/api/datasets/shapes/items?limit=1")["items"][0]
    assert studio.job("label", {"dataset": "shapes", "images": [item["path"]], "as": "<b>new</b>"})["state"] == "done"
    again = studio.get("/api/datasets/shapes/items?limit=1")["items"][0]
    assert again["label"] == "<b>new</b>"
    assert studio.job("remove", {"dataset": "shapes", "images": [item["path"]]})["result"]["removed"] == 1
    assert studio.get("/api/datasets/shapes/items?part=aside")["total"] == 1
    home = studio.studio.workspace.home
    mq.audit("shapes", report=home / "reports" / "shapes.html", only="blurred", home=home)
    whole = studio.get("/api/datasets/shapes")
    assert whole["findings_current"] and isinstance(whole["findings"], list)
    report = studio("GET", "/api/reports/shapes.html")
    assert report.status == 200 and "sandbox" in report.headers["content-security-policy"]
    assert "script" not in report.headers["content-security-policy"]
    assert studio.get("/api/reports/shapes.html/facts")["findings"] is not None
    assert len(studio.get("/api/jobs")) == 2


def test_a_run_with_what_it_takes_and_its_sheets(studio):
    (entry,) = studio.get("/api/runs")
    assert (entry["id"], entry["family"], entry["makes"], entry["state"]) == ("first", "oracle", True, "finished")
    run = studio.get("/api/runs/first")
    assert run["form"] == {"width": 16, "height": 16, "mode": "rgb", "tile": ""} and run["lives"]
    assert [one["name"] for one in run["conditions"]] == ["label"]
    assert [dial["name"] for dial in run["dials"]] == ["temperature"]
    sheets = studio.get("/api/runs/first/sheets")
    assert sheets and studio("GET", sheets[-1]["url"]).headers["content-type"] == "image/png"
    log = studio.get("/api/runs/first/log")
    assert studio.get(f"/api/runs/first/log?since={log['next']}")["records"] == []
    assert studio.get("/api/runs/first/decisions") == []
    assert studio("GET", "/api/runs/first/sheets/run.json").status == 404


def test_images_are_found_filtered_shown_verified_and_deleted(studio):
    found = studio.get("/api/images")
    assert found["total"] == 4 + 1  # the sheet of the samples lies beside them, and the index was made from folders
    home = studio.studio.workspace.home
    paths = mq.sample("first", count=2, seed=7, to=home / "images" / "new", home=home).paths
    of_run = studio.get("/api/images?run=first&folder=new")
    assert {one["id"] for one in of_run["images"]} == set(map(image_id, paths))
    assert of_run["facets"]["run"] == [["first", 2]]
    one = studio.get(f"/api/images/{image_id(paths[0])}")
    assert (one["seed"], one["width"], one["report"]["status"]) == (7, 16, "intact")
    file = studio("GET", f"/api/images/{one['id']}/file")
    shown = studio("GET", f"/api/images/{one['id']}.png")
    assert np.array_equal(pixels(file), pixels(shown)) and b"jumdc2pa" in file.content
    kept = studio("GET", f"/api/images/{one['id']}.png?download=1")
    assert kept.content == file.content and kept.headers["content-disposition"].startswith("attachment")
    assert studio("DELETE", f"/api/images/{one['id']}").status == 200
    assert studio("GET", f"/api/images/{one['id']}").status == 404
    assert studio("DELETE", "/api/datasets/shapes").status == 200 and studio.get("/api/datasets") == []


def test_exports_and_other_files_are_handed_out_but_never_run(studio):
    assert [one["id"] for one in studio.get("/api/exports")] == ["one.txt"]
    answer = studio("GET", "/api/exports/one.txt")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")


def test_uploads_are_bounded_named_and_decoded_by_verbs_alone(studio):
    home = studio.studio.workspace.home
    png = (home / "images" / "four" / "seed-00000000.png").read_bytes()
    for name in ("cats/a%20b.png", "cats/line%0Abreak.png", "%3Cimg%20src=x%3E/b.png", "%C3%A9/c.png"):
        made = studio.post(f"/api/uploads?into=new&name={name}", raw=png)
        assert made["bytes"] == len(png) and made["batch"] == "upload:new"
    assert studio.get("/api/uploads/new")["total"] == 4
    job = studio.job("ingest", {"source": ["upload:new"], "size": "16", "to": "mine", "held-out": 0})
    assert job["state"] == "done", job["error"]
    label = studio.get("/api/datasets/mine")["conditions"][0]
    assert set(label["counts"]) == {"cats", "<img src=x>", "é"}
    for query in ("into=new", "name=a.png", "into=../x&name=a.png", "into=new&name=../a.png", "into=new&name=/a.png",
                  "into=new&name=a//b.png", "into=new&name=a%00.png", "into=new&name=" + "x" * 300,
                  "into=new&name=" + "/".join("x" * 20), "into=new&name=a%5Cb.png"):  # fmt: skip
        assert studio("POST", f"/api/uploads?{query}", raw=png).status == 400, query
    answer = studio("POST", "/api/uploads?into=new&name=big.png", raw=b"", headers={"content-length": str(2 << 30)})
    assert answer.status == 413 and "1,024 MB" in answer.json["error"]
    assert studio.get("/api/uploads/new")["total"] == 4
    assert studio("DELETE", "/api/uploads/new").status == 200 and not (home / "uploads" / "new").exists()


PATHS = ("/etc", "/etc/passwd", "../secret", "..", ".", "~", "~/x", "a/b", "a\\b", "C:\\x", "x.mq", "-x", "upload:../b",
         "upload:b/../../runs", "upload:", "upload:b/none.png", "image:../../etc/passwd", "images:..", "images:../runs",
         "item:shapes/-1", "item:../runs/0", "a\0b", "file:///etc/passwd", "http://example.org/a.png")  # fmt: skip


def test_other_machines_are_not_reached_from_here(studio):
    for workers in ("ray", "ray=10.0.0.1:6379", ["ray"]):
        answer = studio("POST", "/api/ingest", {"source": ["upload:b"], "to": "x", "workers": workers})
        assert answer.status == 400 and "workers is a whole number" in answer.json["error"]


def put(value, word):
    """A value with a word in place of every @."""
    if isinstance(value, dict):
        return {key: put(item, word) for key, item in value.items()}
    return [put(item, word) for item in value] if isinstance(value, list) else value.replace("@", word)


@pytest.mark.parametrize("verb", ["ingest", "refine", "verify", "evaluate", "sample", "replay", "train", "keys"])
def test_verbs_take_no_paths(studio, verb):
    before = tree(studio.studio.workspace.home)
    values = {
        "ingest": ({"source": ["@"]}, {"source": ["upload:b"], "to": "@"}, {"source": ["upload:b"], "input": "@"}),
        "refine": ({"source": ["@"], "with": "sharpen", "to": "x"},
                   {"source": ["upload:b"], "with": "sharpen", "to": "@"},
                   {"source": ["upload:b"], "to": "x", "recipe": "@"}),
        "verify": ({"file": ["@"]},), "evaluate": ({"what": "@"}, {"what": "first", "report": "@"},
                                                    {"what": "first", "against": "@"}),
        "sample": ({"run": "@"}, {"run": "first", "to": "@"}, {"run": "first", "image": ["x=@"]},
                   {"run": "first", "refine": "@"}),
        "replay": ({"image": "@", "model": "first"}, {"image": "upload:b/one.png", "model": "@"}),
        "train": ({"dataset": "@"}, {"dataset": "shapes", "to": "@"}, {"dataset": "shapes", "from": "@"}),
        "keys": ({"action": "trust", "value": "@"}, {"action": "export", "to": "@"}),
    }[verb]  # fmt: skip
    for form in values:
        for path in PATHS:
            answer = studio("POST", f"/api/{verb}", put(form, path))
            assert answer.status == 400, (form, path, answer)
    assert tree(studio.studio.workspace.home) == before


def test_recipes_are_kept_checked_and_name_no_files(studio):
    put = studio("PUT", "/api/recipes/mine", {"recipe": 'sharpen amount=0.4, on "upload:b/one.png": exposure stops=1'})
    assert put.status == 200 and len(put.json["steps"]) == 2
    assert [one["id"] for one in studio.get("/api/recipes") if not one["shipped"]] == ["mine"]
    job = studio.job("refine", {"source": ["upload:b/one.png"], "recipe": "mine", "to": "kept"})
    assert job["state"] == "done" and len(job["images"]) == 1, job["error"]
    checked = studio.post("/api/recipes/check", {"recipe": [{"op": "sharpen", "amount": 0.4}, "white-balance"]})
    assert checked["words"] == "sharpen amount=0.4, white-balance"
    for recipe in ("/etc/passwd", "../x.recipe", 'on "/etc/passwd": sharpen', "match-colour reference=/etc/passwd",
                   {"steps": [{"recipe": "/etc/passwd"}]}, "lut file=../x.cube", "nothing-like-it", 7,
                   "restore model=/x"):  # fmt: skip
        assert studio("POST", "/api/recipes/check", {"recipe": recipe}).status == 400, recipe
    for name in ("sharpen", "..%2Fx", "a%2Fb", ".x", "%00"):
        assert studio("PUT", f"/api/recipes/{name}", {"recipe": "sharpen"}).status in (400, 404)
    assert studio("DELETE", "/api/recipes/mine").status == 200
    assert studio("GET", "/api/recipes/mine").status == 404
