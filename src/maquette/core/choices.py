"""The few words that settings choose among. Loads nothing, so that help is quick."""

from __future__ import annotations

from typing import Literal, get_args

Mode = Literal["grey", "rgb", "rgba", "grey16"]
MODES: tuple[Mode, ...] = get_args(Mode)
Kind = Literal["label", "text", "number", "image", "map", "frames"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Tile = Literal["", "x", "y", "xy"]
TILES: tuple[Tile, ...] = get_args(Tile)
Scale = Literal["nano", "micro", "small", "base"]
SCALES: tuple[Scale, ...] = get_args(Scale)
Format = Literal["png", "jpeg", "webp", "avif", "tiff"]
FORMATS: tuple[Format, ...] = get_args(Format)
Position = Literal["centre", "salient"]
POSITIONS: tuple[Position, ...] = get_args(Position)
Frames = Literal["auto", "first", "all", "scenes", "sequences"]
FRAMES: tuple[Frames, ...] = get_args(Frames)
