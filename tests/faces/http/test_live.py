"""Images at once: the pixels of `sample`, whoever asks beside; quick ones between seeds; previews; OpenAI's routes."""

import base64
import http.client
import io
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image as Pillow

import maquette as mq
from maquette.core.noise import Mix
from tests.faces.http.served import TOKEN, opened


def pixels(content):
    return np.asarray(Pillow.open(io.BytesIO(content)))


def decoded(answer):
    return [pixels(base64.b64decode(one["b64_json"])) for one in answer["data"]]


@pytest.fixture(scope="module")
def warm(furnished, tmp_path_factory):
    """One studio for all of these: they change nothing but the folder of images."""
    import shutil

    home = tmp_path_factory.mktemp("warm") / "home"
    shutil.copytree(furnished, home, ignore=shutil.ignore_patterns("index.sqlite*"))
    with opened(home) as client:
        yield client


def test_generated_images_are_those_of_sample_alone_and_batched(warm, tmp_path):
    paths = mq.sample(
        str(warm.studio.workspace.runs / "first"), count=6, seed=40, to=tmp_path / "out", home=tmp_path
    ).paths
    expected = [pixels(path.read_bytes()) for path in paths]
    together = warm.post("/v1/images/generations", {"prompt": "", "n": 6, "seed": 40, "response_format": "b64_json"})
    assert [one["seed"] for one in together["data"]] == list(range(40, 46))
    assert all(np.array_equal(*pair) for pair in zip(decoded(together), expected, strict=True))

    def one(seed):
        body = {"prompt": "", "seed": seed, "response_format": "b64_json", "n": 1}
        return decoded(warm.post("/v1/images/generations", body))[0]

    with ThreadPoolExecutor(6) as pool:
        apart = list(pool.map(one, range(40, 46)))
    assert all(np.array_equal(*pair) for pair in zip(apart, expected, strict=True))


def test_generated_images_are_signed_kept_and_say_how_they_came(warm):
    answer = warm.post("/v1/images/generations", {"prompt": "", "seed": 7, "n": 1})
    (one,) = answer["data"]
    file = warm("GET", one["url"].partition(warm.host)[2])
    assert file.content == base64.b64decode(one["b64_json"]) and file.headers["content-type"] == "image/png"
    whole = warm.get(f"/api/images/{one['url'].split('/')[-2]}")
    assert (whole["seed"], whole["run"], whole["report"]["status"]) == (7, "first", "intact")
    assert whole["report"]["manifest"]["kind"] == "sampled"


def test_prompts_become_labels_and_sizes_become_edits(warm):
    classes = warm.get("/api/runs/first")["conditions"][0]["classes"]
    named = warm.post("/v1/images/generations", {"prompt": f"A fine {classes[1]}, in oil", "seed": 3, "n": 1})
    (one,) = named["data"]
    assert one["revised_prompt"] == classes[1]
    image = warm.get(f"/api/images/{one['url'].split('/')[-2]}")
    assert image["conditions"] == {} or image["conditions"]["label"] == classes[1]
    assert image["report"]["manifest"]["conditions"]["label"] == classes[1]
    large = warm.post(
        "/v1/images/generations", {"prompt": "", "seed": 3, "size": "40x24", "response_format": "b64_json"}
    )
    assert decoded(large)[0].shape[:2] == (24, 40) and large["size"] == "40x24"
    assert warm.post("/v1/images/generations", {"prompt": "", "quality": "hd", "user": "me", "style": "vivid"})["data"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"n": 0}, "n = 0"), ({"n": 1000}, "n = 1000"), ({"n": 9, "size": "4096x4096"}, "too many at once"),
        ({"size": "9999x1"}, "size"), ({"size": 7}, "size"),
        ({"seed": -1}, "seed"), ({"seed": 2**63}, "seed"), ({"response_format": "file"}, "response_format"),
        ({"prompt": 7}, "prompt"), ({"label": "none"}, "none"), ({"text": "a"}, "not trained with a text"),
        ({"dials": {"temperature": 9}}, "temperature"), ({"dials": {"none": 1}}, "none"), ({"number": {"x": 1}}, "x"),
        ({"dials": 7}, "dials"), ({"label": 7}, "label"),
    ],
)  # fmt: skip
def test_impossible_wishes_are_refused_in_words(warm, body, said):
    answer = warm("POST", "/v1/images/generations", {"prompt": "", **body})
    assert answer.status == 400 and said in answer.json["error"]["message"]


def test_models_are_listed_and_others_are_not_there(warm):
    assert [one["id"] for one in warm.get("/v1/models")["data"]] == ["first"]
    assert warm.get("/v1/models/first")["object"] == "model"
    assert warm("GET", "/v1/models/other").status == 404
    assert warm("POST", "/v1/images/generations", {"prompt": "", "model": "other"}).status == 404
    assert warm.post("/v1/images/generations", {"prompt": "", "model": "gpt-image-1"})["data"]


def test_streams_show_images_as_they_form(warm):
    body = {"prompt": "", "seed": 5, "stream": True, "partial_images": 2}
    answer = warm("POST", "/v1/images/generations", body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = warm.get("/openapi.json")["paths"]["/v1/images/generations"]["post"]["responses"]["200"]["content"]
    assert set(told) == {"application/json", "text/event-stream"}
    events = [json.loads(part.split("data: ")[1]) for part in answer.content.decode().split("\n\n")[:-1]]
    assert events[-1]["type"] == "image_generation.completed" and events[-1]["seed"] == 5
    plain = warm.post("/v1/images/generations", {"prompt": "", "seed": 5, "response_format": "b64_json"})
    assert np.array_equal(pixels(base64.b64decode(events[-1]["b64_json"])), decoded(plain)[0])


def test_the_openai_package_makes_images_unchanged(warm):
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"http://{warm.host}/v1", api_key=TOKEN, max_retries=0) as client:
        made = client.images.generate(prompt="anything", n=2, size="auto", response_format="b64_json")
        assert [pixels(base64.b64decode(one.b64_json)).shape for one in made.data] == [(16, 16, 3)] * 2
        assert "first" in [model.id for model in client.models.list()]
        stream = client.images.generate(prompt="", stream=True, partial_images=1, extra_body={"seed": 3})
        assert [event.type for event in stream][-1] == "image_generation.completed"
        upload = (warm.studio.workspace.home / "uploads" / "b" / "one.png").read_bytes()
        edited = client.images.edit(image=("a.png", upload), prompt="sharpen amount=0.4, invert", model="first")
        assert pixels(base64.b64decode(edited.data[0].b64_json)).shape == (16, 16, 3)
        with pytest.raises(openai.BadRequestError, match="n = 100"):
            client.images.generate(prompt="", n=100)
    assert not list((warm.studio.workspace.home / "uploads").glob("api-*"))


def test_live_images_follow_seeds_and_lie_between_them(warm):
    def live(**body):
        answer = warm("POST", "/api/live", {"run": "first", **body})
        assert answer.status == 200, answer.content
        assert float(answer.headers["x-seconds"]) >= 0
        return pixels(answer.content).astype(int)

    one, two = live(seeds=[1]), live(seeds=[2])
    whole = decoded(warm.post("/v1/images/generations", {"prompt": "", "seed": 1, "response_format": "b64_json"}))[0]
    assert np.abs(one - whole).max() <= 2, "nearly the pixels of sample"
    half = live(seeds=[1, 2], weights=[0.5, 0.5])
    assert np.abs(half - one).mean() > 0 and np.abs(half - two).mean() > 0
    assert np.array_equal(live(seeds=[1, 2], weights=[1, 0]), one)
    strip = live(rows=[{"seeds": [1]}, {"seeds": [1, 2], "weights": [0.5, 0.5]}, {"seeds": [2]}], width=32)
    assert strip.shape == (32, 96, 3)
    label = warm.get("/api/runs/first")["conditions"][0]["classes"][0]
    assert live(seeds=[1], label=label, dials={"temperature": 0}).shape == (16, 16, 3)
    assert Mix((1, 2), (1, 0)).seeds == (1,)
    for body in ({}, {"run": "none", "seeds": [1]}, {"run": "first"}, {"run": "first", "seeds": [-1]},
                 {"run": "first", "seeds": [1], "weights": [0]}, {"run": "first", "seeds": [1], "width": 1},
                 {"run": "first", "seeds": [1], "format": "svg"}, {"run": "first", "seeds": [1], "what": 1},
                 {"run": "first", "rows": [{"seeds": [1]}] * 64, "width": 2048},
                 {"run": "first", "rows": []}, {"run": "first", "rows": [{"seeds": [1]}] * 65}, {"run": ["first"]},
                 {"run": "../first", "seeds": [1]}):  # fmt: skip
        assert warm("POST", "/api/live", body).status == 400, body


def test_previews_show_recipes_at_the_size_of_the_screen(warm):
    def preview(**body):
        return warm("POST", "/api/preview", {"image": "upload:b/one.png", **body})

    plain, dark = preview(width=16), preview(recipe="exposure stops=-2", width=16)
    assert pixels(dark.content).mean() < pixels(plain.content).mean() * 0.8
    assert pixels(preview(width=64).content).shape == (64, 64, 3) or pixels(preview(width=64).content).shape[1] == 16
    small = preview(width=8)
    assert pixels(small.content).shape[:2] == (8, 8) and small.headers["x-scale"] == "0.5000"
    item = warm("POST", "/api/preview", {"image": "item:shapes/3", "recipe": "invert"})
    assert item.status == 200 and item.headers["content-type"] == "image/png"
    masked = preview(recipe='on "upload:b/one.png": invert', width=8)
    assert masked.status == 200
    for body in ({"recipe": "none"}, {"width": 5}, {"image": "upload:b"}, {"image": "/etc/passwd"}, {"image": 7},
                 {"recipe": 'on "/etc/passwd": invert'}, {"seed": -1}, {"masks": {}}):  # fmt: skip
        assert preview(**body).status in (400, 409), body


def test_previews_begin_where_the_recipe_is_the_same_and_see_that_a_mask_was_painted_anew(workspace):
    def mask(side):
        half = np.zeros((16, 16), np.uint8)
        half[:, :8] = 255 * (side == "left")
        half[:, 8:] = 255 * (side == "right")
        stream = io.BytesIO()
        Pillow.fromarray(half).save(stream, "PNG")
        return stream.getvalue()

    with opened(workspace) as client:

        def preview(stops, side):
            client("DELETE", "/api/uploads/m")
            assert client("POST", "/api/uploads?into=m&name=mask.png", raw=mask(side)).status == 201
            recipe = f'on "upload:m/mask.png": invert, exposure stops={stops}'
            answer = client("POST", "/api/preview", {"image": "upload:b/one.png", "recipe": recipe, "width": 16})
            assert answer.status == 200, answer.content
            return pixels(answer.content).astype(int)

        left, brighter, right = preview(0, "left"), preview(1, "left"), preview(0, "right")
        assert np.array_equal(left, preview(0, "left")) and np.array_equal(right, preview(0, "right"))
        assert (brighter >= left).all() and brighter.mean() > left.mean()
        assert np.array_equal(left[:, :8], 255 - right[:, :8]) and np.array_equal(left[:, 8:], 255 - right[:, 8:])


def test_a_model_that_goes_while_it_is_used_is_said_to_be_gone(workspace):
    with opened(workspace) as client:
        assert client.post("/v1/images/generations", {"prompt": ""})["data"]
        assert client("DELETE", "/api/runs/first").status == 200
        gone = client("POST", "/v1/images/generations", {"prompt": "", "model": "first"})
        assert gone.status == 404 and "no model" in gone.json["error"]["message"]
        assert client("POST", "/api/live", {"run": "first", "seeds": [1]}).status == 400


def test_a_full_queue_refuses_and_those_who_leave_free_their_place(workspace):
    with opened(workspace, queue=2) as client:
        client.post("/v1/images/generations", {"prompt": ""})
        warm = client.studio.warm
        hold, real = threading.Event(), warm._make
        warm._make = lambda batch: (hold.wait(20), real(batch))[1]
        body = json.dumps({"prompt": "", "response_format": "b64_json"})
        waiting = []
        for _ in range(3):
            connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
            connection.request("POST", "/v1/images/generations", body, {"authorization": f"Bearer {TOKEN}"})
            waiting.append(connection)
            time.sleep(0.2)
        statuses = []
        answer = client("POST", "/v1/images/generations", {"prompt": ""})
        statuses.append(answer.status)
        assert answer.status == 429 and int(answer.headers["retry-after"]) >= 1
        for connection in waiting[:2]:
            connection.close()
        end = time.monotonic() + 10
        while sum(wish.left > 0 for wish in warm._wishes) > 1:
            assert time.monotonic() < end
            time.sleep(0.02)
        hold.set()
        refused = waiting[2].getresponse()
        assert refused.status in (200, 429)
        refused.read()
        waiting[2].close()
        warm._make = real
        assert client.post("/v1/images/generations", {"prompt": ""})["data"]


def test_what_was_taken_is_answered_when_the_server_ends(workspace):
    with opened(workspace) as client:
        client.post("/v1/images/generations", {"prompt": ""})
        warm = client.studio.warm
        real = warm._make
        warm._make = lambda batch: (time.sleep(0.3), real(batch))[1]
        with ThreadPoolExecutor(8) as pool:
            body = {"prompt": "", "response_format": "b64_json", "n": 20}
            asked = [pool.submit(client.post, "/v1/images/generations", body) for _ in range(8)]
            end = time.monotonic() + 10
            while warm.waiting < 6:
                assert time.monotonic() < end
                time.sleep(0.01)
            client.stop()
            assert [len(one.result()["data"]) for one in asked] == [20] * 8
