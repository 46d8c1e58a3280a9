"""Several processes that train one model: how they find each other, check that they agree, and what the first one says.

The first process runs the training loop as it always is (`maquette.engine.train`). The others follow it: they hold the
same model, compute their rows of every batch when they are told to, and take over a state when the first one restores
one. So every decision (schedule, going back, saving, stopping) is made in one place, and only the first one writes.

They are started by torchrun, on one machine or many, or by `--processes` on one machine (`engine.team.helpers`).
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

import maquette
from maquette.core.errors import MaquetteError, TrainingError, UsageError
from maquette.engine.team.near import Near
from maquette.store.shelf import State

PATIENCE = 1800.0
"""Seconds to wait for another process, such as for the first one while it judges, before it counts as lost."""
STEP, TAKE, BUILD, END, TELL = range(5)
"""What the first process says: compute a step, take over a state, build a trainer, we are done, tell your averages."""
_WORDS = 4
_AGAIN = "run the same command again: it goes on from the last checkpoint"


class Lost(TrainingError):
    """Another process of this training is gone, or does not answer."""


class Team:
    """The processes of one training, all of which call the same methods in the same order."""

    def __init__(self, rank: int, world: int, *, ours: bool = True) -> None:
        self.rank, self.world, self.ours = rank, world, ours
        self.why: Callable[[], str] = str
        """Says what is known about a process that is lost."""
        self._inside = False
        self._near = Near(self, PATIENCE)
        self._rooms: dict[tuple[int, str], Tensor] = {}

    def add_up(self, values: Tensor) -> None:
        """Replace the values by their sum over all processes."""
        with self._reached():
            if not self._near.add_up(values):
                self.send_up(values)

    def send_up(self, values: Tensor) -> None:
        """The same by messages, wherever the processes are."""
        with self._reached():
            dist.all_reduce(values)

    def summed(self, count: int, device: torch.device, fill: Callable[[Tensor], None]) -> Tensor:
        """The sum over all processes of so many numbers that `fill` writes; it stays until the next one of as many."""
        if device.type == "cpu":
            with self._reached():
                near = self._near.summed(count, fill)
            if near is not None:
                return near
        key = count, str(device)
        values = self._rooms.setdefault(key, torch.empty(count, device=device))
        fill(values)
        self.add_up(values)
        return values

    # What the first one says and the others hear

    @contextlib.contextmanager
    def telling(self, order: int, *words: float) -> Iterator[None]:
        """Tell all others what comes next; at the end they are ready to hear again."""
        self._inside = True
        self.add_up(torch.tensor([float(order), *words, *[0.0] * (_WORDS - 1 - len(words))], dtype=torch.float64))
        yield
        self._inside = False

    def hear(self) -> tuple[int, list[float]]:
        """What the first one says next."""
        said = torch.zeros(_WORDS, dtype=torch.float64)
        self.add_up(said)  # to which only the first one adds
        order, *words = said.tolist()
        return int(order), words

    def share_json(self, value: Any = None) -> Any:
        """The first one's value, in all processes."""
        content = json.dumps(value).encode() if self.rank == 0 else b""
        size = int(self._all_have(torch.tensor([len(content)])).item())
        held = torch.frombuffer(bytearray(content or bytes(size)), dtype=torch.uint8)
        return json.loads(self._all_have(held).numpy().tobytes())

    def share_arrays(self, arrays: Mapping[str, np.ndarray[Any, Any]] | None = None) -> dict[str, np.ndarray[Any, Any]]:
        """The first one's arrays, in all processes."""
        own = {name: np.array(array, order="C") for name, array in (arrays or {}).items()}
        forms = self.share_json({name: [str(array.dtype), list(array.shape)] for name, array in own.items()})
        for name, (kind, shape) in forms.items():
            array = own.get(name, np.empty(shape, kind)) if self.rank == 0 else np.empty(shape, kind)
            own[name] = array
            if array.size:
                self._all_have(torch.from_numpy(array.reshape(-1).view(np.uint8)))
        return own

    def share_tensors(self, tensors: Sequence[Tensor], source: int) -> None:
        """Replace these tensors, of the same shapes in all processes, by those of one of them."""
        if tensors:
            flat = self._all_have(torch.cat([tensor.reshape(-1) for tensor in tensors]), source)
            pieces = flat.split([tensor.numel() for tensor in tensors])
            for tensor, piece in zip(tensors, pieces, strict=True):
                tensor.copy_(piece.reshape(tensor.shape))

    def _all_have(self, values: Tensor, source: int = 0) -> Tensor:
        with self._reached():
            dist.broadcast(values, source)
        return values

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except MaquetteError:
            raise
        except RuntimeError as error:
            known = self.why() or " ".join(str(error).split())[:160]
            raise Lost(f"a process of this training is lost ({known})", do=_AGAIN) from None

    def leave(self) -> None:
        """Let nobody wait for this process any more."""
        self._near.leave()

    # The beginning and the end

    def check(self, **facts: str) -> None:
        """Refuse to go on unless all processes say the same of each of these."""
        digests = [hashlib.blake2b(fact.encode(), digest_size=7).digest() for fact in facts.values()]
        table = torch.zeros(self.world, len(facts), dtype=torch.int64)
        table[self.rank] = torch.tensor([int.from_bytes(digest, "little") for digest in digests])
        self.add_up(table)
        for column, fact in enumerate(facts):
            other = (table[:, column] != table[0, column]).nonzero().flatten().tolist()
            if other:
                raise UsageError(
                    f"process {other[0]} of {self.world} has another {fact.replace('_', ' ')} than process 0",
                    do="give all processes the same command, data and programs",
                )  # fmt: skip

    def end(self) -> None:
        """Let the others go, unless they are in the middle of something: then they notice that this one has gone."""
        if self.rank == 0 and not self._inside:
            with contextlib.suppress(Lost), self.telling(END):
                pass
        self.leave()
        if self.ours:
            with contextlib.suppress(RuntimeError):
                dist.destroy_process_group()


def join(rank: int, world: int, *, local: int, device: str, store: Any = None) -> Team:
    """Become one process of a team; returns when all are there."""
    on_gpu = device in ("auto", "cuda") and torch.cuda.is_available()
    if on_gpu:
        if local >= torch.cuda.device_count():
            raise UsageError(
                f"there are {torch.cuda.device_count()} GPUs here, and each process needs one",
                do="ask for fewer processes, or give --device cpu",
            )
        torch.cuda.set_device(local)
    if dist.is_initialized():  # whoever started this process has brought them together, and will let them go
        return Team(rank, world, ours=False)
    limits: dict[str, Any] = {} if store is None else {"store": store, "rank": rank, "world_size": world}
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=datetime.timedelta(seconds=PATIENCE), **limits
        )
    except RuntimeError as error:
        raise TrainingError(
            f"the processes do not find each other ({' '.join(str(error).split())[:160]})",
            do="check the addresses that torchrun was given",
        ) from None
    return Team(rank, world)


def share_state(team: Team, state: State) -> None:
    """Let all others take over the first one's state."""
    with team.telling(TAKE):
        team.share_json(dict(state.facts))
        team.share_arrays(state.tensors)


def programs() -> str:
    """What computes: processes in which it differs would drift apart."""
    source = hashlib.blake2b()
    home = Path(maquette.__file__).parent
    for folder in ("core", "data", "nn", "families", "engine"):
        for file in sorted((home / folder).rglob("*.py")):
            source.update(file.relative_to(home).as_posix().encode() + b"\0" + file.read_bytes())
    said = [maquette.__version__, torch.__version__, np.__version__, sys.byteorder, platform.python_version()]
    return json.dumps([*map(str, said), source.hexdigest()])
