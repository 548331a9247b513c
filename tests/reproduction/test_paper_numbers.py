"""The `paper` scale of each figure has the paper's own numbers, or says where it departs from them.

The numbers are in paper_numbers.yaml, which was written from the papers.
"""

import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from svl.cli.fit import resolve
from svl.reproduction import paper_figure
from svl.reproduction.paper_figure import full_name

TABLE = yaml.safe_load((Path(__file__).parent / "paper_numbers.yaml").read_text())
FIGURES = TABLE["figures"]
read = cache(paper_figure.read)
MOST = 1.2
"""The widest ratio of learning rates in a sweep of Liu et al. 2026 (appendix B.1)."""


def flat(settings, prefix=""):
    """Settings by their short names: classes under the name of what they are, arguments without ``init_args``."""
    found = {}
    for key, value in settings.items():
        name = prefix if key in ("init_args", "class_path") else f"{prefix}.{key}".lstrip(".")
        if key == "class_path":
            found[name] = value.rpartition(".")[2]
        elif isinstance(value, dict):
            found |= flat(value, name)
        else:
            found[name] = value
    return found


def override(settings, changes):
    """Settings after the words of a command line: a class replaces the one before with all its arguments."""
    for key, value in changes.items():
        if isinstance(value, dict) and "class_path" in value:
            settings = {name: old for name, old in settings.items() if not name.startswith(f"{key}.")}
        settings = settings | flat({key: value})
    return settings


def resolved(figure):
    """The settings of every arm of every fit: of the config, the fit, the scale, and the arm itself."""
    base = flat(figure.base)
    return {
        (fit, arm): override(override(override(base, changes), figure.settings), own)
        for fit, changes in figure.fits.items()
        for arm, own in figure.arms.items()
    }


def departures(figure, entry):
    """Where the settings are not the paper's: ``(arm, setting, value)``."""
    wrong = []
    arms, fits = entry.get("arm"), entry.get("fits", [])
    arms = arms if isinstance(arms, list) else [arms] * bool(arms)
    wrong += [(fit, "", "no such fit") for fit in fits if fit not in figure.fits]
    wrong += [(arm, "", "no such arm") for arm in arms if arm not in figure.arms]
    if entry.get("fit") is not None and entry["fit"] not in figure.fits:
        wrong.append((entry["fit"], "", "no such fit"))
    if "seeds" in entry and figure.seeds < entry["seeds"]:
        wrong.append(("", "seeds", figure.seeds))
    for (fit, arm), settings in resolved(figure).items():
        if (arms and arm not in arms) or entry.get("fit", fit) != fit:
            continue
        where = full_name(fit, arm)
        if fit in fits:
            kind, number = fit.split()
            if settings[f"model.network.{kind}"] != int(number):
                wrong.append((where, kind, settings[f"model.network.{kind}"]))
        for key, value in entry.get("of", {}).items():
            wrong += [(where, key, settings.get(key))] * (settings.get(key) != value)
        for key, value in entry.get("least", {}).items():
            wrong += [(where, key, settings.get(key))] * (settings.get(key, 0) < value)
        for key, value in entry.get("starts", {}).items():
            wrong += [(where, key, settings.get(key))] * (settings.get(key, [])[: len(value)] != value)
    tried = {key: values for grid in figure.grids for key, values in grid.settings.items()}
    wrong += [
        ("tuned", key, tried.get(key)) for key, value in entry.get("tuned", {}).items() if tried.get(key) != value
    ]
    return wrong


def test_every_figure_with_fits_has_its_numbers():
    with_fits = {name for name in paper_figure.known() if not read(name).theory}
    assert {name for name in with_fits if name.startswith(("liu2026", "kotha2025"))} == set(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_the_paper_scale_has_the_papers_numbers(name):
    figure = read(name, "paper")
    entries = [entry for block in FIGURES[name]["blocks"] for entry in TABLE["blocks"][block]]
    entries += FIGURES[name].get("own", [])
    for entry in entries:
        wrong = departures(figure, entry)
        said = entry.get("unless")
        is_said = said and any(deviation.startswith(said) for deviation in figure.deviations)
        assert not wrong or is_said, f"{entry['where']}: {wrong}"
        # A deviation that is none any more is no deviation.
        assert wrong or not said, f"{entry['where']}: {said} is the paper's own"


def ratios_of_rates(figure):
    """The ratios of neighbouring rates of every grid."""
    rates = [values for grid in figure.grids for key, values in grid.settings.items() if "lr" in key]
    return [above / below for values in rates for below, above in pairwise(values)]


@pytest.mark.parametrize("scale", ["laptop", "paper"])
@pytest.mark.parametrize("name", [name for name in FIGURES if name.startswith("liu2026")])
def test_rates_are_swept_as_finely_as_in_the_paper_or_it_is_said(name, scale):
    figure = read(name, scale)
    ratios = ratios_of_rates(figure)
    text = "; ".join(figure.deviations)
    if not ratios:
        assert "rate" in text, "one rate for all is a deviation"
    elif max(ratios) > 1.01 * MOST:
        assert "ratios of" in text


@pytest.mark.parametrize("scale", ["laptop", "paper"])
@pytest.mark.parametrize("name", paper_figure.known())
def test_a_stated_ratio_of_rates_is_the_grids_largest(name, scale):
    figure = read(name, scale)
    text = "; ".join(figure.deviations)
    said = re.findall(r"rates at ratios of ([\d.]+\d|\d)(?: (?:to|and) ([\d.]+\d|\d))?", text)
    largest = max((float(ratio) for both in said for ratio in both if ratio), default=None)
    assert largest is None or largest == round(max(ratios_of_rates(figure)), 1), text


@pytest.mark.parametrize("scale", ["laptop", "paper"])
@pytest.mark.parametrize("name", paper_figure.known())
def test_a_stated_readout_is_that_of_the_settings(name, scale):
    figure = read(name, scale)
    text = "; ".join(figure.deviations)
    readouts = {settings.get("model.network.readout") for settings in resolved(figure).values()} - {None}
    for words, readout in (("mean read-out", "mean"), ("read-out at the last token", "last")):
        assert words not in text or readouts == {readout}, text
    if name.startswith("liu2026") and "mean" in readouts:
        assert "mean read-out" in text, "the paper leaves the read-out open"


@pytest.mark.parametrize("scale", ["laptop", "paper"])
@pytest.mark.parametrize("name", FIGURES)
def test_the_parity_of_a_title_is_that_of_the_settings(name, scale):
    figure = read(name, scale)
    tasks = {
        (settings.get("data.task.dim"), settings.get("data.task.degree")) for settings in resolved(figure).values()
    }
    titled = re.findall(r"\((\d+), (\d+)\)-parity", figure.title)
    assert {(int(dim), int(degree)) for dim, degree in titled} <= tasks


@pytest.mark.parametrize("scale", ["laptop", "paper"])
@pytest.mark.parametrize("name", FIGURES)
def test_a_stated_test_size_is_that_of_the_settings(name, scale):
    figure = read(name, scale)
    sizes = {settings.get("data.test_size") for settings in resolved(figure).values()}
    said = re.findall(r"test sets of ([\d,]+) examples", "; ".join(figure.deviations))
    assert {int(size.replace(",", "")) for size in said} <= sizes
    tasks = {settings["data.task"] for settings in resolved(figure).values()}
    if name.startswith("liu2026") and tasks == {"Parity"} and min(sizes) < 4096:
        assert said, "the paper has 4,096 (appendix B.1)"


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_the_fits_of_the_paper_scale_have_settings_that_exist(name):
    figure = read(name, "paper")
    fit = list(figure.fits)[-1]
    fits = [
        figure.reported_fit(fit, figure.arms),
        *(figure.tuning_fit(fit, n, figure.arms) for n, _ in figure.grids_of(fit)),
    ]
    assert all(resolve(each.words) for each in fits)


def test_deviations_are_whole_texts():
    """A comma in an unquoted text of a list in one line ends the text."""
    for name in paper_figure.known():
        for scale in paper_figure.SCALES:
            for deviation in read(name, scale).deviations:
                assert len(deviation.split()) > 1, (name, deviation)
                assert deviation.count("(") == deviation.count(")"), (name, deviation)
                assert deviation.count('"') % 2 == 0, (name, deviation)
