"""What to use in place of settings and classes of Lightning and PyTorch that svl does not take."""

from __future__ import annotations

SETTINGS = {
    "trainer.gradient_clip_val": "--model.interventions.clip ClipNorm --model.interventions.clip.max_norm 1.0",
    "trainer.gradient_clip_algorithm": "--model.interventions.clip ClipNorm, which limits each replica's norm",
    "trainer.accumulate_grad_batches": "a larger data.batch_size; data.micro_batch_size of FullBatch limits memory",
    "trainer.precision": "model.precision",
    "trainer.max_epochs": "trainer.max_steps: fits are counted in steps",
    "trainer.min_epochs": "trainer.max_steps: fits are counted in steps",
    "trainer.min_steps": "trainer.max_steps",
    "trainer.limit_train_batches": "trainer.max_steps",
    "trainer.limit_val_batches": "data.test_size",
    "trainer.limit_test_batches": "data.test_size",
    "trainer.val_check_interval": "trainer.log_every_n_steps, the steps between two measurements",
    "trainer.check_val_every_n_epoch": "trainer.log_every_n_steps, the steps between two measurements",
    "trainer.default_root_dir": "runs, the folder of all run directories",
    "trainer.enable_checkpointing": "checkpoint.every_n_steps or checkpoint.every_n_seconds",
    "trainer.fast_dev_run": "trainer.max_steps 2",
    "trainer.overfit_batches": "data.size, the number of examples of Subset",
    "trainer.strategy": "trainer.devices: replicas are divided among them",
    "trainer.num_nodes": "a sweep: a fit runs on the devices of one machine",
    "trainer.deterministic": "nothing: a fit's numbers follow from replicas.first_seed",
    "trainer.benchmark": "nothing: svl chooses how a step is computed (svl fit --explain)",
    "seed_everything": "replicas.first_seed",
    "seed": "replicas.first_seed",
    "optimizer": "model.optimizer",
    "lr_scheduler": "model.schedules",
}
"""Settings that users of Lightning look for, and svl's counterparts."""

_CLASSES = (
    ("model.optimizer", "torch.optim.", "an optimizer updates all replicas at once, which those of torch.optim cannot"),
    ("model.loss", "torch.nn.", "a loss gives one number for each example, which those of torch.nn do not"),
)


def instead_of(key: str) -> str:
    """``" (in svl: ...)"`` for a setting of Lightning that has a counterpart, or an empty string."""
    return f" (in svl: {SETTINGS[key]})" if key in SETTINGS else ""


def about_class(key: str, path: str) -> str:
    """Why a class of PyTorch cannot stand in a setting; empty if nothing special is known."""
    return next((why for place, start, why in _CLASSES if key.startswith(place) and path.startswith(start)), "")
