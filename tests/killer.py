"""Fits that are stopped or killed, one attempt after the other, each going on where the one before was.

    python killer.py MOMENTS WORDS        (both JSON)

A moment is a signal's number, sent some time after the attempt's second checkpoint, or [module, name, count, when]: the
process kills itself when it calls a function for the count-th time, before the call or after it. A last attempt is left
in peace, and so is a fit of its own in the folder `quiet`. Prints the exit statuses. One process imports everything and
forks the others: importing takes longer than such fits do.
"""

import functools
import importlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import svl.cli.fit  # noqa: F401
from svl.cli import main


def checkpoint():
    found = list(Path("runs").glob("*/*/checkpoints/last.ckpt"))
    return found[0].stat().st_mtime_ns if found else 0


def next_checkpoint(child, before):
    """When the one after that of a time was written; that time itself if the attempt ends first."""
    while (now := checkpoint()) == before:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return before
        time.sleep(0.002)
    return now


def arm(module, name, count, when):
    """Have the process kill itself at a call."""
    *owners, name = name.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    real, calls = getattr(owner, name), [0]

    @functools.wraps(real)
    def deadly(*args, **kwargs):
        calls[0] += 1
        if calls[0] == count and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        outcome = real(*args, **kwargs)
        if calls[0] == count and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return outcome

    setattr(owner, name, deadly)


def fit(words, log, moment=None, folder="."):
    child = os.fork()
    if child == 0:
        Path(folder).mkdir(exist_ok=True)
        os.chdir(folder)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        if moment:
            arm(*moment)
        status = main(words)
        sys.stdout.flush()
        os._exit(status)
    return child


def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run_all():
    moments, words = json.loads(sys.argv[1]), json.loads(sys.argv[2])
    generator, statuses = random.Random(0), []
    quiet = fit(words, "log", folder="quiet")
    for attempt, moment in enumerate(moments):
        resumed = words + (["--ckpt_path", "last"] if attempt else [])
        if isinstance(moment, int):
            before = checkpoint()
            child = fit(resumed, f"log{attempt}")
            first = next_checkpoint(child, before)
            second = next_checkpoint(child, first)
            time.sleep(generator.uniform(0, (second - first) / 1e9))
            os.kill(child, moment)
        else:
            child = fit(resumed, f"log{attempt}", moment)
        statuses.append(ended(child))
    statuses.append(ended(fit([*words, "--ckpt_path", "last"], "log")))
    statuses.append(ended(quiet))
    print(json.dumps(statuses))


if __name__ == "__main__":
    run_all()
