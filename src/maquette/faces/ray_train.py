"""Training under Ray Train: the same loop and the same run, in processes that Ray starts, watches and starts again.

    from maquette.faces.ray_train import trainer

    trainer("photos.mq", to="/shared/first", processes=8, family="flow", time="1h").fit()

Ray finds the machines and brings the processes together; from there on it is the work of `maquette train` under
torchrun. Checkpoints lie in the run, so with `failures` Ray begins again and the run goes on where it was.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maquette.core.errors import UsageError
from maquette.core.event import Result
from maquette.operations import operation as table
from maquette.store.workspace import Workspace


def trainer(
    dataset: str | os.PathLike[str],
    *,
    to: str | os.PathLike[str],
    processes: int = 2,
    gpus: bool = False,
    failures: int = 0,
    home: str | os.PathLike[str] | None = None,
    scaling: Any = None,
    **values: Any,
) -> Any:
    """A `ray.train.torch.TorchTrainer` that trains a run; its `fit()` begins or goes on with it.

    Dataset and run lie where all machines see them. `values` are those of `maquette train`; `failures` is how often Ray
    begins again after a process was lost; `scaling` takes the place of `processes` and `gpus` (a `ScalingConfig`).
    """
    try:
        train, torch = importlib.import_module("ray.train"), importlib.import_module("ray.train.torch")
    except ImportError as error:
        raise UsageError(f"Ray Train is not here ({error})", do="pip install 'maquette[ray]' 'ray[train]'") from None
    request = {"dataset": str(Path(dataset).absolute()), "to": str(Path(to).absolute()), **values}
    request.setdefault("device", "auto" if gpus else "cpu")
    table.get("train").read(request)  # what is wrong with it is said here, not by a worker
    config = {"home": str(Workspace(home).home.absolute()), "request": request}
    return torch.TorchTrainer(
        work, train_loop_config=config,
        scaling_config=scaling or train.ScalingConfig(num_workers=processes, use_gpu=gpus),
        run_config=train.RunConfig(failure_config=train.FailureConfig(max_failures=failures)),
    )  # fmt: skip


def work(config: Mapping[str, Any]) -> None:
    """In a worker: be one process of the training, and report what came of it."""
    train: Any = importlib.import_module("ray.train")
    facts: Mapping[str, Any] = {}
    for event in table.run("train", Workspace(config["home"]), config["request"]):
        facts = event.facts if isinstance(event, Result) else facts
    train.report({name: facts.get(name) for name in ("run", "images_seen", "seconds", "stopped")})
