"""The whole journey in a browser: from dropped images to a refined picture whose origin is proved."""

import io
import re

import numpy as np
import pytest
from PIL import Image as Pillow
from playwright.sync_api import expect

expect.set_options(timeout=60_000)


def column(page):
    return page.locator(".column")


def press(page, name, within=None):
    (within or page).get_by_role("button", name=name, exact=True).first.click()


def test_from_images_to_a_verified_refined_picture(visit, studio, photos):
    visitor = visit()
    page = visitor.page

    # Data: what is there to do is said, files arrive, and those that are no images are set aside by name
    expect(page.get_by_role("heading", name="Make an image generator of your own")).to_be_visible()
    assert page.locator(".empty .button.primary").count() == 1
    page.locator("input[type=file][webkitdirectory]").set_input_files(photos)
    expect(page.get_by_role("status").filter(has_text="26 of 26 files")).to_be_visible()
    expect(page.get_by_role("textbox", name="Name")).to_have_value("photos")
    page.get_by_label("Size").select_option("32")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Small").select_option("enlarge")
    press(page, "Make the dataset")
    expect(page.locator(".cell[role=option]")).to_have_count(25)
    expect(page.locator(".toast")).to_contain_text("25 images in photos; 1 file set aside")
    assert page.locator("img[src=x]").count() == 0  # a name is text, whatever stands in it
    expect(page.get_by_role("listbox").get_by_role("option", name=re.compile("<img src=x"))).to_have_count(1)

    # labels over a selection, and back
    press(page, "Select all")
    expect(page.get_by_role("heading", name="25 images selected")).to_be_visible()
    page.get_by_role("combobox", name="Label", exact=True).last.fill("<b>odd</b>")
    press(page, "Write", column(page).locator("form").first)
    expect(page.get_by_label("Label").first).to_contain_text("<b>odd</b> (25)")
    press(page, "Undo", page.locator(".toast"))
    expect(page.get_by_label("Label").first).to_contain_text("red (13)")
    press(page, "Select none")

    # what would hurt a model
    press(page, "Look for problems")
    expect(page.get_by_role("button", name="Look for problems again")).to_be_visible()

    # Train: two questions; the known answer learns in a moment
    press(page, "Train a model on it")
    expect(page.get_by_role("heading", name="What kind of images?")).to_be_visible()
    page.get_by_text("Models that look, and one for checking").click()
    page.get_by_role("radio", name=re.compile("^The known answer")).check()
    page.get_by_role("textbox", name="Or so long").fill("1s")
    press(page, "Train", column(page))
    expect(page.get_by_role("heading", name="photos-oracle")).to_be_visible()
    expect(page.locator(".sheets img")).to_be_visible()
    press(page, "Make images")

    # Make: the model's own conditions; another seed by a key; what was made is on the wall
    page.get_by_label("Label", exact=True).select_option("red")
    page.get_by_label("How many in digits").fill("3")
    page.get_by_label("How many in digits").blur()
    press(page, "Make", column(page))
    expect(page.locator(".cell[role=option]")).to_have_count(3)
    page.get_by_label("Label", exact=True).select_option("blue")
    press(page, "Make", column(page))  # the same seeds, asked for otherwise
    expect(page.locator(".cell[role=option]")).to_have_count(6)
    page.locator(".cell[role=option]").first.focus()
    page.keyboard.press("r")
    expect(page.locator(".cell[role=option]")).to_have_count(9)
    cells = page.locator(".cell[role=option]")
    cells.nth(0).focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")  # two under one divider
    expect(page.locator(".divided img")).to_have_count(2)
    page.keyboard.press("Escape")
    cells.nth(4).click(modifiers=["Control"])  # beside the one that is chosen still
    press(page, "Mix")
    page.get_by_label("From one to the other in digits").fill("0.4")
    page.get_by_label("From one to the other in digits").blur()
    press(page, "Keep")
    expect(page.locator(".toast")).to_contain_text("Kept in the gallery")
    press(page, "Wall")
    expect(cells).to_have_count(10)
    page.get_by_text("Take the model elsewhere").click()  # as a file
    press(page, "As a page")
    expect(page.get_by_role("link", name=re.compile("^Save .* MB$"))).to_be_visible(timeout=120_000)
    cells.nth(1).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(".stage img")).to_be_visible()
    press(page, "Refine", page.locator(".strip.under"))

    # Refine: steps in a list, moved by keys, seen at once, applied
    expect(page.locator(".divided")).to_be_visible()
    for words in ("Sharpen", "Invert"):
        press(page, "Add a step")
        page.get_by_label("Search steps").fill(words)
        page.locator(".adding-list button", has_text=re.compile(f"^{words}")).first.click()
    names = page.locator(".step-name")
    expect(names).to_have_text(["Sharpen", "Invert"])
    before = page.get_by_alt_text("before").get_attribute("src")
    expect(page.get_by_alt_text("after")).not_to_have_attribute("src", before)
    names.nth(1).press("Alt+ArrowUp")
    expect(names).to_have_text(["Invert", "Sharpen"])
    press(page, "Apply", column(page))
    press(page, "Open it in the gallery")

    # Gallery: its history and its marks
    expect(page.get_by_text("Signed, and whole")).to_be_visible()
    expect(column(page)).to_contain_text("present")
    press(page, "Back to the gallery")
    expect(page.locator(".cell[role=option]")).to_have_count(11)

    # any file is looked at where it is dropped
    page.locator(".zone input[type=file]").set_input_files([photos / "red" / "00.png", photos / "blue" / "broken.png"])
    expect(page.locator(".verdicts")).to_contain_text("Not signed")
    expect(page.locator(".verdicts")).to_contain_text("Cannot be read")
    press(page, "Back to the gallery", page.locator(".surface"))

    # deleted, and taken back
    page.locator(".cell[role=option]").first.focus()
    page.keyboard.press("Space")
    press(page, "Delete", column(page))
    press(page, "Undo", page.locator(".toast"))
    assert studio.ask("/api/images")["total"] == 11


def test_a_step_works_where_one_paints(visit, studio, tmp_path):
    page = visit().page
    Pillow.new("RGB", (48, 48), (30, 30, 30)).save(tmp_path / "dark.png")
    page.goto(f"{studio.url}/#/refine")
    page.locator("main input[type=file]").set_input_files(tmp_path / "dark.png")
    press(page, "Add a step")
    page.get_by_label("Search steps").fill("Invert")
    page.locator(".adding-list button", has_text=re.compile("^Invert")).first.click()
    page.get_by_label("Where").select_option("painted")
    box = page.locator(".painted").bounding_box()
    page.mouse.move(box["x"] + 10, box["y"] + box["height"] / 4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 10, box["y"] + box["height"] / 4, steps=4)
    page.mouse.up()
    press(page, "Use this mask")
    expect(page.locator(".step-name")).to_contain_text("on painted")
    page.wait_for_function(
        """() => {
            const image = document.querySelector("img[alt=after]");
            if (!image?.complete || !image.naturalWidth) return false;
            const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
            const pen = canvas.getContext("2d", { willReadFrequently: true });
            pen.drawImage(image, 0, 0);
            const tone = (y) => pen.getImageData(canvas.width / 2, y * canvas.height, 1, 1).data[0];
            return tone(0.25) > 200 && tone(0.8) === 30;
        }"""
    )


def test_what_is_dropped_anywhere_is_taken(visit):
    page = visit().page
    page.goto(page.url.split("#")[0] + "#/train")
    page.wait_for_selector("#room-train")
    held = io.BytesIO()
    Pillow.new("RGB", (32, 32), (200, 30, 90)).save(held, "PNG")
    page.evaluate(
        """(bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
            for (const kind of ["dragenter", "dragover", "drop"]) {
                const options = { dataTransfer: data, bubbles: true, cancelable: true };
                document.body.dispatchEvent(new DragEvent(kind, options));
            }
        }""",
        list(held.getvalue()),
    )
    expect(page.get_by_role("heading", name="A new dataset")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="1 of 1 file")).to_be_visible()
    press(page, "Put the files away")


@pytest.mark.slow
def test_a_training_outlives_its_page_its_tab_and_its_server(visit, studio):
    visitor = visit()
    visitor.expected = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET")
    studio.do("ingest", source=["drawn:shapes"], to="shapes", size="32", count=64)
    studio.ask("/api/train", {"dataset": "shapes", "family": "flow", "scale": "nano", "images": 2000000, "to": "long"})
    first, second = visitor.page, visitor.tab()
    for page in (first, second):
        page.goto(f"{studio.url}/#/train?run=long")
        expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
        expect(page.locator(".tray")).to_contain_text("Training long")
    first.reload()
    expect(first.locator(".tray")).to_contain_text("Training long")
    expect(first.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    studio.kill()
    expect(first.locator(".banner")).to_contain_text("does not answer")
    studio.start()
    expect(first.locator(".banner")).to_have_count(0)
    expect(second.locator(".banner")).to_have_count(0)
    expect(first.locator(".tray")).to_contain_text("Training long")
    expect(first.locator(".tray")).to_contain_text("left", timeout=120_000)  # the machine is measured, it learns
    second.get_by_role("button", name="Pause", exact=True).click()
    expect(first.locator(".tray")).to_have_count(0)  # what one tab does, the other shows
    expect(first.get_by_role("button", name="Continue", exact=True)).to_be_visible()
    assert next(run for run in studio.ask("/api/runs") if run["name"] == "long")["state"] == "paused"
    assert "2,000,000 images" in studio.ask("/api/runs/long")["promise"]

    # what it learned until then completes a picture where one paints
    first.goto(f"{studio.url}/#/make?run=long&view=complete&open=item:shapes/3")
    box = first.locator(".painted").bounding_box()
    first.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.8)
    first.mouse.down()
    first.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.8, steps=4)
    first.mouse.up()
    press(first, "Complete", first.locator(".canvas-side"))
    expect(first.locator(".variations img")).to_have_count(4)
    first.locator(".variations button").first.click()
    paths = ("/api/datasets/shapes/items/3.png", f"/api/images/{first.url.split('open=')[1]}.png")
    given, found = (np.asarray(Pillow.open(io.BytesIO(studio.fetch(path)))) for path in paths)
    assert np.array_equal(given[:16], found[:16]) and not np.array_equal(given[22:], found[22:])
