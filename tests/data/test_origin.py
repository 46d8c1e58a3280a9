"""What a dataset remembers of the file behind each image."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from maquette.core.errors import DataError
from maquette.core.event import Result
from maquette.data.dataset import Dataset
from maquette.data.ingest.ingest import Settings, ingest
from maquette.data.origin import ORIGIN, Trait, jpeg_quality


def run(source: Path, to: Path, **settings: object) -> Dataset:
    """Ingest at 16 px."""
    chosen = Settings(**{"width": 16, "height": 16, "workers": 1, "mode": "rgb", **settings})  # type: ignore[arg-type]
    last = list(ingest([source], to, settings=chosen))[-1]
    assert isinstance(last, Result) and isinstance(last.value, Dataset)
    return last.value


def test_every_image_has_its_origin(tmp_path: Path) -> None:
    """Upright size, length, format, quality and traits of each file, in the order of the images."""
    folder = tmp_path / "in"
    folder.mkdir()
    noise = Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8))
    exif = Pillow.Exif()
    exif[0x0112] = 6
    noise.save(folder / "a.jpg", quality=40, exif=exif)
    noise.convert("RGBA").save(folder / "b.png")
    noise.convert("L").save(folder / "c.png")
    noise.convert("CMYK").save(folder / "d.tif")
    noise.resize((12, 20)).save(folder / "e.webp", lossless=True)
    data = run(folder, tmp_path / "out.mq", small="enlarge")
    origins = data.origins()
    assert origins.dtype == ORIGIN and len(origins) == len(data) == 5
    assert origins["width"].tolist() == [30, 40, 40, 40, 12] and origins["height"].tolist() == [40, 30, 30, 30, 20]
    assert origins["format"].tolist() == [b"JPEG", b"PNG", b"PNG", b"TIFF", b"WEBP"]
    assert origins["bytes"].tolist() == [file.stat().st_size for file in sorted(folder.iterdir())]
    assert origins["quality"].tolist() == [40, 0, 0, 0, 0] and not origins["source"].any()
    traits = [Trait(int(t)) for t in origins["traits"]]
    assert traits[0] == Trait.TURNED | Trait.LOSSY and traits[1] == Trait.ALPHA and traits[2] == Trait.GREY
    assert traits[3] == Trait.PROFILE and traits[4] == Trait.ENLARGED
    data.verify()


@pytest.mark.parametrize("quality", [10, 30, 50, 60, 75, 85, 90, 95, 98, 100])
def test_jpeg_quality(quality: int) -> None:
    """The quality that Pillow's encoder was asked for is found again."""
    stream = io.BytesIO()
    Pillow.new("RGB", (16, 16)).save(stream, "JPEG", quality=quality)
    with Pillow.open(io.BytesIO(stream.getvalue())) as picture:
        assert abs(jpeg_quality(picture.quantization) - quality) <= 1
    assert jpeg_quality(None) == 0


def test_origins_do_not_change_what_a_dataset_is(tmp_path: Path) -> None:
    """The same pixels from other files have the same digest; damaged origins are noticed; old datasets have none."""
    for format in ("png", "bmp"):
        (tmp_path / format).mkdir()
        for k in range(3):
            Pillow.new("RGB", (16, 16), (k, 9, 9)).save(tmp_path / format / f"{k}.{format}")
    first, second = (run(tmp_path / format, tmp_path / f"{format}.mq") for format in ("png", "bmp"))
    assert first.digest == second.digest and first.origins()["format"][0] != second.origins()["format"][0]
    file = first.path / "origins.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 255
    file.write_bytes(content)
    with pytest.raises(DataError, match="content has changed"):
        Dataset.open(first.path).verify()
    file.unlink()
    with pytest.raises(DataError, match="damaged"):
        Dataset.open(first.path)
    description = json.loads((first.path / "dataset.json").read_text())
    del description["records"]["origins.npy"]
    (first.path / "dataset.json").write_text(json.dumps(description))
    assert not Dataset.open(first.path).origins()["width"].any()
