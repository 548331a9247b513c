"""The arguments of Lightning's trainer that a fit does not have, and what to use in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from svl.errors import SettingError

_DATA = "the strategy of data, which decides the examples of each step"
_PROCESSES = (
    "trainer.devices: svl shares replicas, or the examples of a batch, between processes by a strategy of its own"
)

INSTEAD: dict[str, str] = {
    "strategy": _PROCESSES,
    "num_nodes": "trainer.devices: a fit runs on one node; an array job or svl sweep uses several",
    "precision": "model.precision",
    "fast_dev_run": "trainer.max_steps: 1",
    "max_epochs": "trainer.max_steps, the number of optimisation steps: fresh data have no epochs",
    "min_epochs": "trainer.max_steps, the number of optimisation steps: fresh data have no epochs",
    "min_steps": "trainer.max_steps; EarlyStopping's patience keeps a fit from stopping too soon",
    "limit_train_batches": "trainer.max_steps",
    "limit_val_batches": "data.test_size",
    "limit_test_batches": "data.test_size",
    "limit_predict_batches": "data.test_size; svl has no predict",
    "overfit_batches": f"{_DATA}: Subset repeats a small set",
    "val_check_interval": "trainer.log_every_n_steps, the steps between two measurements, and model.measure_at",
    "check_val_every_n_epoch": "trainer.log_every_n_steps, the steps between two measurements, and model.measure_at",
    "num_sanity_val_steps": "trainer.log_every_n_steps; step 0 is always measured",
    "enable_checkpointing": "checkpoint.every_n_seconds; a fit can always be resumed",
    "accumulate_grad_batches": "data.batch_size: svl divides a large batch into micro-batches itself",
    "gradient_clip_val": "the intervention ClipNorm: model.interventions: {clip: {class_path: ClipNorm, ...}}",
    "gradient_clip_algorithm": "the intervention ClipNorm: model.interventions: {clip: {class_path: ClipNorm, ...}}",
    "inference_mode": "none: a stack that is measured before it is trained must not be made in inference mode",
    "use_distributed_sampler": f"{_DATA}, on any number of devices",
    "sync_batchnorm": _PROCESSES,
    "barebones": "none: a Lightning batch stands for many steps, so that Lightning's own work takes little time",
    "plugins": "none: svl writes checkpoints that are complete or absent by a plugin of its own",
    "reload_dataloaders_every_n_epochs": _DATA,
    "default_root_dir": "runs and experiment, which name the run directory",
    "enable_autolog_hparams": "none: the whole config is uploaded, and is config.yaml in the run directory",
    "model_registry": "none: svl uploads no models",
}
"""What to use in place of each argument that is refused."""


def check_arguments(given: Mapping[str, Any]) -> None:
    """Refuse the arguments of Lightning's trainer that a fit does not have.

    Args:
        given: every setting that the user gave, by dotted name.

    Raises:
        SettingError: naming what to use in place of the first of them.
    """
    for key, value in given.items():
        group, _, name = key.partition(".")
        name = name.partition(".")[0]
        if group == "trainer" and name in INSTEAD:
            instead = INSTEAD[name]
            raise SettingError(
                f"trainer.{name}", value, instead if instead.startswith("none") else f"none; use {instead}"
            )
