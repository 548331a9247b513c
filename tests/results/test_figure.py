import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from svl.errors import SettingError
from svl.results.columns import arm_names, columns_of
from svl.results.figure import curves, save

LR = "model.optimizer.lr"


def arm_lines(axes):
    return [line for line in axes.lines if len(line.get_xdata()) > 2]


def luminance(colour):
    return np.dot([0.2126, 0.7152, 0.0722], np.array(to_rgb(colour)) ** 2.2)


def test_lines_are_means_over_seeds_against_samples(two_arms):
    upper, lower = curves(two_arms, ["data.size"]).axes
    for axes, metric in ((upper, "val/accuracy"), (lower, "norm_ratio")):
        for line, size in zip(arm_lines(axes), (4096, "online"), strict=True):
            expected = two_arms[two_arms["data.size"] == size].groupby("samples")[metric].mean()
            np.testing.assert_array_equal(line.get_xdata(), expected.index)
            np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-6)
    assert any(list(line.get_ydata()) == [0.9, 0.9] for line in upper.lines)
    small, large = [text.get_text() for text in upper.get_legend().get_texts()]
    assert small.startswith("4096: 2.")
    assert large == "online: reference"
    assert [text.get_text() for text in upper.texts] == ["4096", "online"]


def test_small_is_amber_and_large_is_blue(two_arms):
    small, large = (to_rgb(line.get_color()) for line in arm_lines(curves(two_arms, ["data.size"]).axes[0]))
    assert small == to_rgb("#E0A800")
    assert np.argmax(large) == 2


def test_twelve_arms_can_be_told_apart_without_colour_and_darken_in_order(curves_of):
    vary = {"data.size": [2**power for power in range(9, 20)] + ["online"]}
    figure = curves(curves_of(vary, lambda _: 500, seeds=2, steps=500), ["data.size"])
    lines = arm_lines(figure.axes[0])
    assert len({line.get_marker() for line in lines}) == 12
    shades = [luminance(line.get_color()) for line in lines]
    assert shades == sorted(shades, reverse=True)


def test_other_settings_have_a_column_each(nine_arms):
    figure = curves(nine_arms, ["data.size", LR])
    assert len(figure.axes) == 6
    titles = [axes.get_legend().get_title().get_text() for axes in figure.axes[:3]]
    assert titles == [f"lr = {lr}, speed-up to 0.9" for lr in ("0.1", "0.3", "1")]
    assert [len(arm_lines(axes)) for axes in figure.axes] == [3] * 6


def test_too_many_columns_show_the_first_the_last_and_some_between(curves_of):
    vary = {"data.size": [4096, "online"], LR: [place / 10 for place in range(1, 11)]}
    figure = curves(curves_of(vary, lambda _: 500, seeds=2, steps=500, norm_ratio=False), list(vary))
    titles = [axes.get_legend().get_title().get_text() for axes in figure.axes]
    assert [title.split(",")[0] for title in titles] == ["lr = 0.1", "lr = 0.4", "lr = 0.7", "lr = 1"]
    assert figure.get_suptitle() == "4 of 10 settings shown"


@pytest.mark.filterwarnings("error")
def test_a_single_seed_a_single_arm_and_an_arm_that_diverged_are_drawn(two_arms, tmp_path):
    one_seed = two_arms[two_arms["seed"] == 0]
    save(curves(one_seed, ["data.size"], metric="val/loss", target=0.1, against="step"), tmp_path / "seed")
    save(curves(one_seed[one_seed["data.size"] == "online"], [], target=None), tmp_path / "arm")
    gone = two_arms.copy()
    gone.loc[gone["data.size"] == 4096, ["val/accuracy", "norm_ratio"]] = np.nan
    figure = curves(gone, ["data.size"])
    save(figure, tmp_path / "gone")
    assert figure.axes[0].get_legend().get_texts()[0].get_text() == "4096: not reached"


def test_the_wide_band_of_two_seeds_leaves_the_curves_legible(two_arms):
    rows = two_arms[two_arms["seed"] < 2]
    axes = curves(rows, ["data.size"], metric="val/loss", target=None).axes[0]
    heights = np.concatenate([line.get_ydata() for line in arm_lines(axes)])
    low, high = axes.get_ylim()
    assert high - low < 3.5 * np.ptp(heights)
    bands = np.concatenate([path.vertices for band in axes.collections for path in band.get_paths()])[:, 1]
    assert np.nanmax(bands) - np.nanmin(bands) > high - low  # the band is drawn, and is cut off


def test_an_unknown_metric_is_named(two_arms):
    with pytest.raises(SettingError, match="metric: got 'val/acc'"):
        curves(two_arms, ["data.size"], metric="val/acc")


def test_equal_figures_are_equal_files(two_arms, tmp_path):
    first = save(curves(two_arms, ["data.size"]), tmp_path / "figures" / "accuracy")
    second = save(curves(two_arms, ["data.size"]), tmp_path / "again" / "accuracy")
    assert [file.name for file in sorted((tmp_path / "figures").iterdir())] == ["accuracy.png", "accuracy.svg"]
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]
    assert first[0].read_bytes().startswith(b"\x89PNG")


def test_results_need_neither_torch_nor_global_figures():
    code = "import sys, svl.results.figure, svl.results.summary, svl.results.history; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "lightning", "matplotlib.pyplot"} & set(modules)


def dashed_levels(axes):
    return {text.get_text(): text.xy[1] for text in axes.texts if text.xycoords == ("axes fraction", "data")}


def test_reference_predictors_are_lines_at_their_levels(two_arms):
    small = two_arms["data.size"] == 4096
    history = two_arms.assign(**{
        "val/query_loss": two_arms["val/loss"] / 2,
        "reference/ridge": 0.1,
        "reference/least_squares": 1e4,
        "reference/pool": np.where(small, 0.2, np.nan),
        "reference/ridge_query": 0.03,
    })  # fmt: skip
    loss = curves(history, ["data.size"], "val/loss", None).axes[0]
    assert dashed_levels(loss) == pytest.approx({"ridge": 0.1, "pool": 0.2})  # what is off the panel is left out
    assert loss.get_ylim()[1] < 2
    query = curves(history, ["data.size"], "val/query_loss", None).axes[0]
    assert dashed_levels(query) == pytest.approx({"ridge": 0.03})
    assert not dashed_levels(curves(history, ["data.size"], "val/accuracy").axes[0])


def test_arms_of_one_reference_share_a_panel(nine_arms):
    tuned = {(4096, 0.3), (16384, 0.3), ("online", 1.0)}
    rows = nine_arms[
        [pair in tuned for pair in zip(nine_arms["data.size"], nine_arms["model.optimizer.lr"], strict=True)]
    ]
    columns = columns_of(rows, ["data.size", "model.optimizer.lr"])
    assert {title: arm_names(pairs) for title, pairs in columns.items()} == {
        "": ["4096, 0.3", "16384, 0.3", "online, 1"]
    }
