"""The fits of a sweep with their resolved configs, by which their run directories are named.

Resolving a config takes the parser, and with it torch and Lightning; :mod:`svl.sweeps.outline` does without.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from svl.cli.fit import resolve
from svl.replicas import Replicas
from svl.results.identity import content_hash
from svl.sweeps.manifest import Manifest, Row, each_settings
from svl.sweeps.sweep_file import Settings, Sweep


def expand(sweep: Sweep, runs: str) -> Manifest:
    """Resolve every fit's config, so that a wrong setting is found before anything runs.

    Args:
        runs: the folder of all run directories.

    Raises:
        SettingError: naming the setting.
    """
    if sweep.method == "bayes":
        return Manifest(sweep, runs, [Row(number) for number in range(sweep.count)])
    rows: dict[str | None, Row] = {}
    for settings in each_settings(sweep):
        row = resolved(sweep, runs, len(rows), settings)
        rows.setdefault(row.run, row)
    return Manifest(sweep, runs, list(rows.values()))


def resolved(sweep: Sweep, runs: str, number: int, settings: Settings) -> Row:
    """The row of a fit with some settings.

    Raises:
        SettingError: for a setting that cannot be used.
    """
    config = resolve(sweep.words(settings))
    content = yaml.safe_load(config)
    replicas = Replicas(**content["replicas"])
    run = Path(runs) / content["experiment"] / content_hash(config)
    return Row(number, settings, str(run), len(replicas.arms), replicas.seeds)
