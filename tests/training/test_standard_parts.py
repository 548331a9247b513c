"""Lightning's own callbacks and loggers in real fits: each works as documented, or is refused in one line."""

import inspect
from dataclasses import fields
from importlib.util import find_spec

import lightning.pytorch as pl
import pandas as pd
import pytest
import torch
from lightning.pytorch import callbacks as standard

from svl.cli.settings import TrainerSettings
from svl.cli.trainer_arguments import INSTEAD
from svl.training.trainer_parts import REFUSED_CALLBACKS


@pytest.fixture
def fit(svl, tiny, tmp_path):
    """A tiny fit of two arms with these callbacks; its history, by step."""

    def run(callbacks, *words, steps="20", every="5"):
        words = [*tiny, "--trainer.max_steps", steps, "--trainer.log_every_n_steps", every, *words]
        vary = ["--replicas.vary", "{data.size: [32, online]}", "--model.optimizer.lr", "0.5"]
        return svl(tmp_path, *words, *vary, "--trainer.callbacks", callbacks)

    return run


def steps_of(outcome):
    return sorted(set(pd.read_parquet(outcome.path / "history.parquet")["step"]))


def test_early_stopping_ends_the_fit_at_a_measurement(fit, tmp_path):
    callback = "[{class_path: EarlyStopping, init_args: {monitor: val/accuracy, mode: max, stopping_threshold: 0.2}}]"
    outcome = fit(callback)
    assert outcome.status == 0 and outcome.err == ""
    assert steps_of(outcome) == [0, 5]
    assert "stopped at step 5 of 20 by EarlyStopping" in outcome.out
    assert (outcome.path / "summary.json").exists() and (outcome.path / "figures" / "curves.png").exists()


def test_early_stopping_can_watch_one_arm_and_counts_measurements_as_its_patience(fit):
    # Without a learning rate nothing improves: it stops after the second measurement without improvement.
    callback = "[{class_path: EarlyStopping, init_args: {monitor: val/loss/size=32, patience: 2}}]"
    outcome = fit(callback, "--model.optimizer.lr", "0.0")
    # The tiny fit's own rate comes later on the command line.
    assert outcome.status == 0
    rows = pd.read_parquet(outcome.path / "history.parquet").groupby(["data.size", "step"])["val/loss"].mean()["32"]
    best, waited, expected = float("inf"), 0, rows.index[-1]
    for step, loss in rows.items():
        if step == 0:
            continue  # Lightning's callbacks leave the check before training out
        best, waited = (loss, 0) if loss < best else (best, waited + 1)
        if waited == 2:
            expected = step
            break
    assert rows.index[-1] == expected


def test_monitored_checkpoints_are_those_of_the_best_measurements(fit, tmp_path):
    options = "{monitor: val/loss, dirpath: best, save_top_k: 2, filename: '{step}'}"
    outcome = fit(f"[{{class_path: ModelCheckpoint, init_args: {options}}}]")
    assert outcome.status == 0 and outcome.err == ""
    losses = pd.read_parquet(outcome.path / "history.parquet").groupby("step")["val/loss"].mean().drop(0)
    best = {f"step={step}.ckpt" for step in losses.nsmallest(2).index}
    assert {path.name for path in (tmp_path / "best").iterdir()} == best


def test_a_checkpoint_of_lightning_s_can_be_resumed_from(fit, svl, tmp_path):
    options = "{every_n_train_steps: 4, save_top_k: -1, filename: '{step}'}"
    words = f"[{{class_path: ModelCheckpoint, init_args: {options}}}]"
    outcome = fit(words, every="10")
    own = outcome.path / "checkpoints"
    names = {path.stem for path in own.glob("step=*.ckpt")}
    assert names == {f"step={step}" for step in (4, 8, 12, 16, 20)}
    before = (outcome.path / "history.parquet").read_bytes()
    last = torch.load(own / "last.ckpt", weights_only=True)["state_dict"]
    resumed = fit(words, "--ckpt_path", str(own / "step=8.ckpt"), every="10")
    assert resumed.status == 0, resumed.err
    assert (outcome.path / "history.parquet").read_bytes() == before
    again = torch.load(own / "last.ckpt", weights_only=True)["state_dict"]
    torch.testing.assert_close(again["stack._extra_state"], last["stack._extra_state"], rtol=0, atol=0)


def test_a_checkpoint_saved_before_the_measurement_of_its_step_is_measured_when_it_is_resumed_from(fit):
    options = "{every_n_train_steps: 5, save_top_k: -1, filename: '{step}'}"
    words = f"[{{class_path: ModelCheckpoint, init_args: {options}}}]"
    outcome = fit(words)
    before = pd.read_parquet(outcome.path / "history.parquet")
    for step in (5, 15):
        resumed = fit(words, "--ckpt_path", str(outcome.path / "checkpoints" / f"step={step}.ckpt"))
        assert resumed.status == 0, resumed.err
        pd.testing.assert_frame_equal(pd.read_parquet(outcome.path / "history.parquet"), before)


def test_a_fit_that_has_stopped_early_stays_stopped(fit):
    options = "{monitor: val/accuracy, mode: max, stopping_threshold: 0.2}"
    words = f"[{{class_path: EarlyStopping, init_args: {options}}}]"
    outcome = fit(words, "--run_id", "one")
    before = (outcome.path / "history.parquet").read_bytes()
    for _ in range(2):
        again = fit(words, "--run_id", "one", "--ckpt_path", "auto")
        assert again.status == 0, again.err
        assert "stopped at step 5 of 20 by EarlyStopping" in again.out
        assert (outcome.path / "history.parquet").read_bytes() == before


def test_a_checkpoint_is_validated_at_its_own_step(fit, svl, tmp_path):
    outcome = fit("[Rates]", "--model.schedules", "{decay: {class_path: LinearLR, init_args: {start_factor: 0.5}}}")
    rate = pd.read_parquet(outcome.path / "history.parquet")["rate"].iloc[-1]
    checkpoint = str(outcome.path / "checkpoints" / "last.ckpt")
    measured = svl(tmp_path, "validate", "--ckpt_path", checkpoint, "--trainer.callbacks", "[Rates]")
    assert measured.status == 0, measured.err
    assert f"{rate:.3f}" in measured.out and rate > 0.25


def logged(folder):
    (path,) = folder.rglob("metrics.csv")
    return pd.read_csv(path)


CSV = ("--trainer.logger", "{class_path: CSVLogger, init_args: {save_dir: logs}}")


def test_learning_rates_are_logged_for_each_group_and_arm(fit, tmp_path):
    groups = ["--model.groups", "{first: {params: 'layers.0.*', lr: 0.1}}"]
    schedule = ["--model.schedules", "{decay: {class_path: LinearLR, init_args: {start_factor: 0.5, total_iters: 10}}}"]
    outcome = fit("[LearningRateMonitor]", *CSV, *groups, *schedule)
    assert outcome.status == 0, outcome.err
    rates = logged(tmp_path).set_index("step").filter(like="lr-SGD").dropna()
    rates = rates[~rates.index.duplicated()]  # the first ones are logged for the step and for the epoch
    assert set(rates) == {f"lr-SGD/{group}{arm}" for group in ("first/", "") for arm in ("size=32", "size=online")}
    scheduler = torch.optim.lr_scheduler.LinearLR(
        torch.optim.SGD([torch.zeros(1)], 0.1), start_factor=0.5, total_iters=10
    )
    for step in range(20):
        if step in rates.index:
            assert rates.loc[step, "lr-SGD/first/size=32"] == pytest.approx(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    assert list(rates.index) == [0, 5, 10, 15]


def test_device_statistics_are_logged_at_every_batch(fit, tmp_path):
    outcome = fit("[DeviceStatsMonitor]", *CSV)
    assert outcome.status == 0, outcome.err
    table = logged(tmp_path)
    assert table.filter(like="cpu_percent").notna().any(axis=1).sum() >= 4


def test_lightning_s_progress_bar_takes_the_place_of_svl_s(fit):
    outcome = fit("[RichProgressBar]", "--trainer.enable_progress_bar", "true")
    assert outcome.status == 0, outcome.err
    assert "of 20," not in outcome.err
    refused = fit("[RichProgressBar]", "--trainer.enable_progress_bar", "false")
    assert refused.status == 2
    assert refused.err.startswith("svl: error: trainer.enable_progress_bar: got False; allowed: true where")


def test_a_timer_ends_the_fit(fit):
    outcome = fit("[{class_path: Timer, init_args: {duration: '00:00:00:01'}}]", steps="1000000", every="1000")
    assert outcome.status == 0, outcome.err
    assert "stopped at step" in outcome.out


@pytest.mark.parametrize("name", ["RichModelSummary", "ModelSummary"])
def test_a_summary_of_the_model_is_printed(fit, name):
    assert fit(f"[{name}]").status == 0


ARGUMENTS = {
    "StochasticWeightAveraging": "{swa_lrs: 0.1}",
    "GradientAccumulationScheduler": "{scheduling: {0: 2}}",
    "ModelPruning": "{pruning_fn: l1_unstructured}",
    "BackboneFinetuning": "{}",
}


@pytest.mark.parametrize(
    "name", [*ARGUMENTS, "BatchSizeFinder", "LearningRateFinder", "ThroughputMonitor", "SpikeDetection"]
)
def test_what_would_change_training_behind_the_stack_is_refused_in_one_line(fit, tmp_path, name):
    arguments = ARGUMENTS.get(name, "{}")
    if name == "ThroughputMonitor":
        arguments = "{batch_size_fn: builtins.len}"
    outcome = fit(f"[{{class_path: {name}, init_args: {arguments}}}]")
    assert outcome.status == 2
    assert outcome.err.startswith("svl: error: trainer.callbacks: got") and outcome.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_every_callback_of_lightning_is_known_to_work_or_refused():
    works = {
        *("Callback", "Checkpoint", "DeviceStatsMonitor", "EarlyStopping", "LambdaCallback", "LearningRateMonitor"),
        *("ModelCheckpoint", "ModelSummary", "OnExceptionCheckpoint", "ProgressBar", "RichModelSummary"),
        *("RichProgressBar", "TQDMProgressBar", "Timer"),
    }
    for name in set(standard.__all__) - works:
        assert issubclass(getattr(standard, name), tuple(REFUSED_CALLBACKS)), name


def test_a_monitor_of_what_is_not_measured_is_refused_before_training(fit, tmp_path):
    outcome = fit("[{class_path: EarlyStopping, init_args: {monitor: val/acc}}]")
    assert outcome.status == 2 and "did you mean 'val/accuracy'" in outcome.err and outcome.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("name", "status"), [("mae", 2), ("mae_loss", 0)])
def test_a_target_is_reached_from_the_side_that_its_metric_says(svl, tiny, tmp_path, name, status):
    metric = ["--model.metrics", f"{{{name}: torchmetrics.MeanAbsoluteError}}"]
    outcome = svl(tmp_path, *tiny, *metric, "--target.metric", f"val/{name}", "--target.value", "0.45")
    assert outcome.status == status
    if status:
        assert outcome.err.startswith("svl: error: target.metric: got 'val/mae'; allowed: a name that ends in loss")


def test_several_loggers_have_the_arms_named_as_on_w_and_b(fit, tmp_path):
    kinds = {"TensorBoardLogger": "tb", "CSVLogger": "logs"}
    loggers = ", ".join(f"{{class_path: {kind}, init_args: {{save_dir: {folder}}}}}" for kind, folder in kinds.items())
    outcome = fit("[NormRatio]", "--trainer.logger", f"[{loggers}]")
    assert outcome.status == 0, outcome.err
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (folder,) = {path.parent for path in (tmp_path / "tb").rglob("events*")}
    board = EventAccumulator(str(folder)).Reload()
    table = logged(tmp_path / "logs")
    history = pd.read_parquet(outcome.path / "history.parquet")
    for arm in ("32", "online"):
        name = f"norm_ratio/size={arm}"
        expected = history[history["data.size"] == arm].groupby("step")["norm_ratio"].mean()
        on_board = {event.step: event.value for event in board.Scalars(name)}
        in_file = table.set_index("step")[name].dropna()
        assert on_board.keys() == set(expected.index) == set(in_file.index)
        for step, mean in expected.items():
            assert on_board[step] == pytest.approx(mean, rel=1e-6) and in_file[step] == pytest.approx(mean, rel=1e-6)
        assert {f"low/{name}", f"high/{name}"} <= set(board.Tags()["scalars"])


def test_every_argument_of_the_trainer_applies_or_is_refused():
    known = set(inspect.signature(pl.Trainer.__init__).parameters) - {"self"}
    accepted = {field.name for field in fields(TrainerSettings)}
    assert accepted | INSTEAD.keys() == known
    assert not accepted & INSTEAD.keys()


@pytest.mark.parametrize("name", sorted(INSTEAD))
def test_a_refused_argument_says_what_to_use(svl, tiny, tmp_path, name):
    outcome = svl(tmp_path, *tiny, f"--trainer.{name}", "1")
    assert outcome.status == 2
    assert outcome.err == f"svl: error: trainer.{name}: got '1'; allowed: {said(name)}\n"


def said(name):
    return INSTEAD[name] if INSTEAD[name].startswith("none") else f"none; use {INSTEAD[name]}"


def test_options_that_change_no_number(svl, tiny, tmp_path):
    plain = svl(tmp_path, *tiny, "--run_id", "plain")
    words = ["--trainer.profiler", "simple", "--trainer.detect_anomaly", "true", "--trainer.deterministic", "warn"]
    outcome = svl(tmp_path, *tiny, *words, "--trainer.enable_model_summary", "true", "--run_id", "other")
    assert outcome.status == 0, outcome.err
    assert (outcome.path / "history.parquet").read_bytes() == (plain.path / "history.parquet").read_bytes()


@pytest.mark.parametrize("at", ["logarithmic", "[1, 3, 17]"])
def test_further_steps_are_measured_and_no_number_changes(svl, tiny, tmp_path, at):
    regular, more = svl(tmp_path, *tiny), svl(tmp_path, *tiny, "--model.measure_at", at)
    expected = {0, 5, 10, 15, 20} | ({1, 2, 4, 8, 16} if at == "logarithmic" else {1, 3, 17})
    assert set(steps_of(more)) == expected
    columns = ["step", "seed", "val/loss", "val/accuracy", "norm_ratio"]
    rows = pd.read_parquet(more.path / "history.parquet")[columns]
    before = pd.read_parquet(regular.path / "history.parquet")[columns]
    pd.testing.assert_frame_equal(rows[rows["step"] % 5 == 0].reset_index(drop=True), before)


@pytest.mark.skipif(find_spec("mlflow") is not None, reason="is about a machine without mlflow")
def test_a_logger_whose_library_is_not_installed_is_refused_in_one_line(fit):
    named = "{class_path: CSVLogger, init_args: {save_dir: logs}}, {class_path: MLFlowLogger}"
    for value, key in (("MLFlowLogger", "trainer.logger"), (f"[{named}]", "trainer.logger.MLFlowLogger")):
        outcome = fit("[NormRatio]", "--trainer.logger", value)
        allowed = "a class whose libraries are installed (Requirement 'mlflow"
        assert outcome.status == 2
        assert outcome.err.startswith(f"svl: error: {key}: got 'MLFlowLogger'; allowed: {allowed}")
        assert outcome.err.count("\n") == 1


@pytest.mark.skipif(find_spec("mlflow") is None, reason="needs mlflow, which svl does not: pip install mlflow-skinny")
def test_mlflow_has_each_arm_s_means(fit, tmp_path):
    import mlflow

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    logger = f"{{class_path: MLFlowLogger, init_args: {{experiment_name: tiny, tracking_uri: '{uri}'}}}}"
    outcome = fit("[NormRatio]", "--trainer.logger", logger)
    assert outcome.status == 0, outcome.err
    client = mlflow.MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    history = pd.read_parquet(outcome.path / "history.parquet")
    for arm in ("32", "online"):
        expected = history[history["data.size"] == arm].groupby("step")["norm_ratio"].mean().to_dict()
        # Lightning's logger leaves out characters that MLflow does not allow in a name.
        points = {
            point.step: point.value for point in client.get_metric_history(run.info.run_id, f"norm_ratio/size{arm}")
        }
        assert points == pytest.approx(expected, rel=1e-6)
