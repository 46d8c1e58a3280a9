"""The pages for everybody: small, quick to use by keys, readable for screen readers, plain about what goes wrong."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

expect.set_options(timeout=60_000)
ROOMS = ("data", "train", "make", "refine", "judge", "gallery")
AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text("utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]
PAGES = Path(__file__).parents[3] / "src" / "maquette" / "faces" / "studio"


@pytest.fixture(scope="module")
def made(studio):
    """A dataset, a model of it and images, so that every room has something in it."""
    studio.do("ingest", source=["drawn:shapes"], to="shapes", size="32", count=48)
    studio.do("train", dataset="shapes", family="oracle", images=640, to="first")
    return studio.do("sample", run="first", to="first", count=4)["images"]


def enter(page, room, **query):
    words = "&".join(f"{name}={value}" for name, value in query.items())
    page.goto(f"{page.url.split('#')[0]}#/{room}?{words}")
    page.wait_for_selector(f"#room-{room}")
    page.wait_for_load_state("networkidle") if room == "judge" else page.wait_for_timeout(300)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_people_out(visit, made, scheme):
    visitor = visit(color_scheme=scheme, reduced_motion="reduce")
    page, found = visitor.page, {}
    visitor.expected = ("Content Security Policy",)  # what axe adds to the page to look at colours may be refused
    places = [(room, {}) for room in ROOMS] + [
        ("make", {"open": made[0]}), ("make", {"view": "map"}), ("refine", {"open": made[0]}),
        ("gallery", {"open": made[0]}), ("train", {"open": "new"}),
    ]  # fmt: skip
    for room, query in places:
        enter(page, room, **query)
        page.evaluate(AXE)
        told = page.evaluate("rules => axe.run(document, {resultTypes: ['violations'], runOnly: rules})", RULES)
        for one in told["violations"]:
            if one["impact"] in ("serious", "critical"):
                found[f"{room} {query}: {one['id']}"] = [node["html"][:160] for node in one["nodes"]][:4]
    assert found == {}


def test_a_phone_shows_all_of_it(visit, made):
    page = visit(viewport={"width": 390, "height": 844}).page
    for room in ROOMS:
        enter(page, room)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, f"{room} is {wide} pixels wide"
        for part in (".rail", ".top", ".surface"):
            box = page.locator(part).first.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= 390.5, (room, part, box)


def test_keys_do_what_the_list_says(visit, made):
    page = visit().page
    for number, room in enumerate(ROOMS, 1):
        page.keyboard.press(str(number))
        expect(page.locator("h1")).to_have_text(room.capitalize())
        assert page.evaluate("location.hash").startswith(f"#/{room}")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("1")
    page.get_by_label("Find by name or caption").fill("123456?")  # keys that are typed are letters
    expect(page.locator("h1")).to_have_text("Data")
    page.keyboard.press("3") if page.get_by_label("Find by name or caption").blur() is None else None
    expect(page.locator("h1")).to_have_text("Make")
    first = page.locator(".cell[role=option]").first
    first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(page.get_by_role("slider", name="Divider")).to_be_visible()
    page.get_by_role("slider", name="Divider").press("ArrowLeft")
    expect(page.get_by_role("slider", name="Divider")).to_have_attribute("aria-valuenow", "45")
    page.keyboard.press("Escape")
    expect(page.get_by_role("slider", name="Divider")).to_have_count(0)


def test_the_back_button_and_the_address_know_where_one_was(visit, made):
    page = visit().page
    enter(page, "gallery", open=made[0])
    expect(page.locator(".stage img")).to_be_visible()
    page.keyboard.press("3")
    expect(page.locator("h1")).to_have_text("Make")
    page.go_back()
    expect(page.locator("h1")).to_have_text("Gallery")
    expect(page.locator(".stage img")).to_be_visible()
    page.reload()
    expect(page.locator(".stage img")).to_be_visible()


def test_the_first_page_is_small_and_comes_from_here(browser, studio):
    context = browser.new_context()
    page = context.new_page()
    answers = []
    page.on("response", lambda answer: answers.append(answer))
    page.goto(studio.door)
    page.wait_for_selector("main.room:not(.waiting)")
    page.wait_for_timeout(300)
    sizes = {each.url: len(each.body()) for each in answers if each.status == 200 and "/api/events" not in each.url}
    assert all(url.startswith(studio.url) for url in sizes)
    assert sum(sizes.values()) < 300_000, sorted(sizes.items(), key=lambda item: -item[1])[:8]
    policy = next(each for each in answers if each.url.startswith(studio.url + "/") and each.status == 200).headers
    assert "unsafe" not in policy["content-security-policy"].split("style-src")[0]
    context.close()


def test_what_goes_wrong_is_said_where_it_went_wrong(visit, made):
    visitor = visit()
    page = visitor.page
    visitor.expected = ("status of 507", "status of 429", "status of 404")
    full = {"error": "the disk is full: make room and try again"}
    page.route("**/api/sample*", lambda route: route.fulfill(status=507, json=full))
    enter(page, "make", run="first")
    page.locator(".column").get_by_role("button", name="Make", exact=True).click()
    expect(page.locator(".column .wrong")).to_have_text("The disk is full: make room and try again.")
    enter(page, "gallery", open="no-such-image")
    expect(page.get_by_role("heading", name="It is not there any more")).to_be_visible()


def test_files_that_cannot_be_sent_are_named(visit, photos):
    visitor = visit()
    page = visitor.page
    visitor.expected = ("status of 413",)
    large = {"error": "00.png is larger than 1 GiB: cut it into parts"}
    page.route("**/api/uploads?*00.png*", lambda route: route.fulfill(status=413, json=large))
    enter(page, "data")
    page.locator("input[type=file]:not([webkitdirectory])").first.set_input_files(
        [photos / "red" / "00.png", photos / "blue" / "01.png"]
    )
    expect(page.get_by_text("1 file could not be sent")).to_be_visible()
    page.get_by_text("1 file could not be sent").click()
    expect(page.locator(".unsent li")).to_have_text("00.png: 00.png is larger than 1 GiB: cut it into parts.")


def test_an_old_tab_after_an_update_offers_to_reload(visit):
    page = visit().page
    said = []

    def hello(route):
        said.append(1)
        body = json.dumps({"boot": "x", "version": f"version {min(len(said), 2)}", "jobs": []})
        route.fulfill(content_type="text/event-stream", body=f"retry: 50\nevent: hello\ndata: {body}\n\n")

    page.route("**/api/events", hello)
    page.reload()
    expect(page.locator(".banner")).to_contain_text("Maquette was updated since this page was opened")
    page.unroute("**/api/events")
    page.get_by_role("button", name="Reload", exact=True).click()
    expect(page.locator(".banner")).to_have_count(0)


def test_a_stale_token_is_said_and_nothing_is_lost(visit, made):
    visitor = visit()
    page = visitor.page
    visitor.expected = ("status of 401",)
    enter(page, "make", run="first")
    visitor.context.clear_cookies()
    page.locator(".column").get_by_role("button", name="Make", exact=True).click()
    expect(page.locator(".banner")).to_contain_text("Open the address that maquette studio printed")


def test_words_and_recipes_are_told_right(visit):
    page = visit().page
    words = page.evaluate(
        """async () => {
            const words = await import("/assets/words.js");
            return [5, 89, 95, 400, 5400, 9000, 200000].map(words.span).concat([
                words.unused("a", ["a", "a-2"]), words.named("<b>x</b>/../y", "images"), words.named("...", "images"),
                words.number(0.00012), words.number(1234.5), words.number(0.8249), words.title("held_out"),
                words.sentence("it is full"), words.sentence("Why?"), words.many(1, "image"), words.many(0, "image"),
                words.bytes(1234567)]);
        }"""
    )
    assert words == [
        "5 seconds", "89 seconds", "2 minutes", "7 minutes", "1 hour 30 minutes", "2 hours 30 minutes", "2 days", "a-3",
        "b x b .. y", "images", "1.2e-4", "1,235", "0.825", "Held out", "It is full.", "Why?", "1 image", "0 images",
        "1.2 MB",
    ]  # fmt: skip
    told = page.evaluate(
        """async () => {
            const { toJson, fromJson, step, moved } = await import("/assets/recipe.js");
            const steps = [{ op: "sharpen", amount: 0.4 }, "invert",
                { on: "not sky feather=3", do: { op: "exposure", stops: 1 } },
                { recipe: "print", strength: 0.5 }, { on: "sky or focus", do: ["invert", "blur"] }];
            const where = { where: "painted", painted: "upload:b/mask.png", feather: 0, not: true };
            const painted = { ...step("invert"), ...where };
            return [toJson(fromJson(steps)), toJson([painted, { ...step("blur"), off: true }]), moved([1, 2, 3], 2, 0)];
        }"""
    )
    assert told[0] == [
        {"op": "sharpen", "amount": 0.4}, {"op": "invert"},
        {"on": "not sky feather=3", "do": {"op": "exposure", "stops": 1}}, {"recipe": "print", "strength": 0.5},
        {"on": "sky or focus", "do": ["invert", "blur"]},
    ]  # fmt: skip
    assert told[1] == [{"on": 'not "upload:b/mask.png"', "do": {"op": "invert"}}] and told[2] == [3, 1, 2]


def test_places_on_the_map_are_mixes_of_their_corners(visit, made):
    page = visit().page
    mixes = page.evaluate(
        """async () => {
            const { around } = await import("/assets/rooms/map.js");
            const seeds = Array.from({ length: 16 }, (_, k) => 100 + k);
            return [[0, 0], [3, 3], [1, 2], [0.25, 0], [1.5, 1.5]].map(([x, y]) => around(seeds, x, y));
        }"""
    )
    assert [mix["seeds"] for mix in mixes] == [[100], [115], [109], [100, 101], [105, 106, 109, 110]]
    assert all(sum(mix["weights"]) == pytest.approx(1) for mix in mixes) and mixes[3]["weights"] == [0.75, 0.25]


# What needs no browser


@pytest.mark.parametrize("path", sorted(PAGES.rglob("*.js")), ids=lambda path: path.relative_to(PAGES).as_posix())
def test_no_page_writes_markup_or_asks_elsewhere(path):
    if path.parent.name == "vendor":
        assert (path.parent / "README.md").read_text("utf-8").count(f"`{path.name}`") == 1
        return
    text = path.read_text("utf-8")
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "dangerouslySetInnerHTML",
        "document.write",
        "eval(",
        "https:",
    ):
        assert word not in text
    assert len(text.splitlines()) <= 420


def asks_for_rows(request):
    return request.url.endswith("/api/live") and '"rows"' in (request.post_data or "")


def test_what_arrives_late_does_not_move_the_button_that_is_pressed(visit, made):
    page, held = visit().page, []
    page.route("**/api/live", lambda way: held.append(way) if asks_for_rows(way.request) else way.continue_())
    with page.expect_request(asks_for_rows):
        enter(page, "make", view="mix", open=",".join(made[:2]))
    keep = page.get_by_role("button", name="Keep", exact=True)
    expect(keep).to_be_enabled()
    place = keep.bounding_box()
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.mouse.down()
    with page.expect_response(lambda response: asks_for_rows(response.request)):
        for way in held:
            way.continue_()
    page.wait_for_timeout(500)  # the nine images on the way are drawn
    assert keep.bounding_box() == place
    page.mouse.up()
    expect(page.locator(".toast")).to_contain_text("Kept in the gallery")


@pytest.fixture
def training(studio, made):
    """A training that goes on for as long as the test; it would outlive the server."""
    values = {"dataset": "shapes", "family": "flow", "scale": "nano", "images": 2_000_000, "to": "slow"}
    job = studio.ask("/api/train", values)["job"]
    yield job
    studio.ask(f"/api/jobs/{job['id']}/cancel", {}, "POST")


def test_a_training_is_watched_before_the_list_of_models_is_there(visit, training):
    page, held = visit().page, []
    page.goto(f"{page.url.split('#')[0]}#/train?run=slow")
    late = True
    page.route(re.compile(r"/api/runs(\?|$)"), lambda way: held.append(way) if late else way.continue_())
    with page.expect_response(re.compile(r"/api/datasets(\?|$)")):
        page.reload()
    expect(page.locator(".tray")).to_contain_text("Training slow")
    page.wait_for_timeout(500)  # the room is loaded
    assert held
    late = False
    for way in held:
        way.continue_()
    expect(page.locator(".column").get_by_role("button", name="Stop", exact=True)).to_be_visible()
