"""A command of svl in a process that has imported it already: run by ``process`` in conftest.py.

Whoever runs it sets the names below: where to work, the whole environment, W&B's patience in seconds, the words, and a
step at which the fit waits, before it hands the row to W&B, until there is a file ``go``. ``spent.txt`` is for the
seconds that training spent on handing rows to W&B.
"""

import atexit
import os
import sys
import time
from pathlib import Path

folder: str
environment: dict[str, str]
patience: float
words: list[str]
hold: float

os.environ.clear()
os.environ.update(environment)
os.chdir(folder)
for stream, name in ((1, "out.txt"), (2, "err.txt")):
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, stream)

from lightning.pytorch.loggers import WandbLogger  # noqa: E402

from svl import tracking  # noqa: E402
from svl.cli import main  # noqa: E402

log_metrics, spent = WandbLogger.log_metrics, []


def timed(logger, metrics, step=None):
    while metrics.get("step", 0) >= hold and not Path(folder, "go").exists():
        time.sleep(0.02)
    began = time.perf_counter()
    log_metrics(logger, metrics, step)
    spent.append(time.perf_counter() - began)


tracking._PATIENCE, WandbLogger.log_metrics = patience, timed
status = main(words)
Path("spent.txt").write_text(str(sum(spent)), encoding="utf-8")
# Which a process of this kind leaves out, and where W&B ends its own.
atexit._run_exitfuncs()
sys.exit(status)
