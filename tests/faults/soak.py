"""Random small fits that are killed, run out of disk, or are set wrongly, for as long as one likes.

    python tests/faults/soak.py kills COUNT FOLDER [--seed N]       SIGKILL at random moments and places, stops, resumes
    python tests/faults/soak.py disks COUNT FOLDER [--seed N]       files that cannot grow, full and read-only disks
    python tests/faults/soak.py settings COUNT FOLDER [--seed N]    wrong settings

One process imports everything and forks the fits, so that thousands a run are possible. Each finding is printed and
kept in FOLDER; the last line is a summary as JSON. A fit that was disturbed and resumed any number of times has the
history of an undisturbed one, to the byte; a wrong setting is one line and status 2; nothing shows a traceback; no
process outlives the fit that started it; nothing is written outside the run directory and the cache.
"""

import argparse
import contextlib
import ctypes
import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import yaml

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import experiments  # noqa: E402
from killer import arm  # noqa: E402

import svl.results.figure  # noqa: E402, F401
import svl.training.routes.native_steps  # noqa: E402, F401
from svl.cli import main  # noqa: E402
from svl.cli.session import Session  # noqa: E402

PATIENCE = 60.0
MEMORY = 6 * 2**30
PLACES = [
    ("svl.training.routes.step_by_step", "StepByStep.advance"),
    ("svl.training.update", "Update.__call__"),
    ("svl.training.stack", "ReplicaStack.test_sums"),
    ("svl.training.replica_module", "ReplicaModule.on_validation_epoch_end"),
    ("callbacks.history", "History.on_validation_end"),
    ("callbacks.checkpoint", "AtomicCheckpointIO.save_checkpoint"),
    ("callbacks.checkpoint", "TorchCheckpointIO.save_checkpoint"),
    ("svl.results.history", "append"),
    ("svl.results.history", "discard_after"),
    ("svl.results.history", "_joined"),
    ("svl.results.history", "_write"),
    ("svl.results.atomic", "sync"),
    ("svl.results.run_directory", "RunDirectory.lock"),
    ("svl.results.summary", "write"),
    ("svl.results.figure", "save"),
    ("pathlib", "Path.replace"),
    ("pathlib", "Path.unlink"),
    ("pathlib", "Path.mkdir"),
]
PARSERS = ("parser", "_subcommand_parsers", "_subcommand_method_arguments")
ENDED = {128 + number for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}


class Fork:
    """A command in a forked process, in a folder of its own, with a home and a folder for temporary files.

    Args:
        words: the command line after the program's name.
        folder: its working directory.
        log: where it prints.
        before: called in the process before the command.
    """

    def __init__(self, words, folder, log, before=lambda: None):
        self.log = log
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            status = 70
            try:
                os.chdir(folder)
                for name in ("home", "tmp"):
                    (log.parent / name).mkdir(exist_ok=True)
                os.environ |= {"HOME": str(log.parent / "home"), "TMPDIR": str(log.parent / "tmp")}
                tempfile.tempdir = None
                descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(descriptor, 1)
                os.dup2(descriptor, 2)
                before()
                status = main(words)
                sys.stdout.flush()
            except BaseException:
                import traceback

                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(status)

    def wait(self, patience=PATIENCE):
        """Its exit status; ``None`` if it does not end in time."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return None

    def said(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Soak:
    """What was run, and what was found."""

    def __init__(self, folder, seed):
        self.folder, self.draw = folder, random.Random(seed)
        self.seed, self.findings, self.counts, self.number = seed, [], {}, 0
        folder.mkdir(parents=True, exist_ok=True)
        # Orphans become children of this process, which sees them.
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)

    def count(self, what, more=1):
        self.counts[what] = self.counts.get(what, 0) + more

    def find(self, what, **details):
        self.findings.append(what)
        print(
            json.dumps({"finding": what, "number": self.number, "seed": self.seed, **details}, default=str), flush=True
        )

    def place(self, kind):
        self.number += 1
        place = self.folder / f"{kind}-{self.seed}-{self.number}"
        shutil.rmtree(place, ignore_errors=True)
        (place / "work").mkdir(parents=True)
        return place

    def check_said(self, status, said, where, allowed):
        lines = [line for line in said.splitlines() if line.startswith("svl: error:")]
        if status is None:
            self.find("does not end", where=where)
        elif "Traceback" in said or ("Error:" in said.replace("svl: error:", "") and status == 70):
            self.find("traceback", where=where, said=said[-1500:])
        elif status not in allowed:
            self.find("status", status=status, where=where, said=said[-600:])
        elif status in (1, 2) and len(lines) != 1 and "could not be written" not in said:
            self.find("not one line", status=status, where=where, said=said[-600:])

    def check_orphans(self, where):
        with contextlib.suppress(ChildProcessError):
            found, _ = os.waitpid(-1, os.WNOHANG)
            time.sleep(0.2 if not found else 0)
            alive = [child for child in children() if child]
            if alive:
                self.find("orphan", where=where, processes=alive)
                for process, _ in alive:
                    os.kill(process, signal.SIGKILL)

    def check_files(self, place, where, extra=()):
        expected = {"config.yaml", "runs", *extra}
        more = {path.name for path in (place / "work").iterdir()} - expected
        temporary = [path.name for path in (place / "work" / "runs").rglob("*") if path.name.endswith(".tmp")]
        outside = [path.name for name in ("home", "tmp") for path in (place / name).glob("*") if path.name != ".cache"]
        outside = [name for name in outside if not name.startswith("torchinductor")]
        if more or temporary or outside:
            self.find("files", where=where, more=[*more, *temporary, *outside])

    def quiet(self, place, config):
        """An undisturbed fit: the words of the command, its run directory, and how long it takes."""
        (place / "work" / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
        (place / "quiet").mkdir()
        words = ["fit", "--config", str(place / "work" / "config.yaml"), "--run_id", "it", "--ckpt_path", "auto"]
        began = time.monotonic()
        fork = Fork(words, place / "quiet", place / "quiet.log")
        status = fork.wait()
        self.check_said(status, fork.said(), str(place), (0, 2))
        return words, place / "quiet" / "runs" / "soak" / "it", time.monotonic() - began, status

    def check_history(self, place, quiet):
        run = place / "work" / "runs" / "soak" / "it"
        for file in ("history.parquet", "history.csv"):
            if not (run / file).exists() or (run / file).read_bytes() != (quiet / file).read_bytes():
                return self.find("history", file=file, where=str(place))
        summaries = [json.loads((path / "summary.json").read_text())["arms"] for path in (run, quiet)]
        if summaries[0] != summaries[1]:
            self.find("summary", where=str(place))
        return None

    def resumed(self, place, words, quiet, working):
        """The last attempt, which nothing disturbs."""
        fork = Fork(words, working, place / "last.log")
        status = fork.wait()
        self.check_said(status, fork.said(), str(place), (0,))
        if status == 0:
            self.check_history(place, quiet)
        self.check_orphans(str(place))

    def kills(self, most):
        """One fit that is killed several times; returns how often it was."""
        place, config = self.place("kills"), experiments.experiment(self.draw)
        words, quiet, seconds, status = self.quiet(place, config)
        if status != 0:
            self.count("refused")
            shutil.rmtree(place)
            return 0
        before, killed = len(self.findings), 0
        for attempt in range(min(most, self.draw.randint(4, 14))):
            number = self.draw.choice([signal.SIGKILL] * 6 + [signal.SIGTERM, signal.SIGINT])
            at_place = self.draw.random() < 0.5
            point = (*self.draw.choice(PLACES), self.draw.randint(1, 6), self.draw.choice(["before", "after"]))
            arming = (lambda point=point: arm(*point)) if at_place else (lambda: None)
            fork = Fork(words, place / "work", place / f"{attempt}.log", arming)
            if not at_place:
                time.sleep(self.draw.uniform(0, 1.1 * seconds))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(fork.pid, number)
            status = fork.wait()
            if status == -signal.SIGKILL:
                killed += 1
                self.count("killed at a place" if at_place else "killed at a moment")
            else:
                self.count("stopped" if status in ENDED else "ended by itself")
                stopped = {0, 1, 130, -signal.SIGTERM, -signal.SIGINT, *ENDED}
                self.check_said(status, fork.said(), f"{place} {attempt} {point if at_place else number.name}", stopped)
            self.check_orphans(str(place))
        self.resumed(place, words, quiet, place / "work")
        self.check_files(place, str(place))
        self.count("fits")
        if len(self.findings) == before:
            shutil.rmtree(place)
        return killed

    def disks(self):
        """One fit on a disk that fills up, cannot be written, or whose files cannot grow."""
        place, config = self.place("disks"), experiments.experiment(self.draw)
        words, quiet, _, status = self.quiet(place, config)
        if status != 0:
            self.count("refused")
            shutil.rmtree(place)
            return 0
        before = len(self.findings)
        work = place / "work"
        kind = self.draw.choice(["file size", "full", "read-only"])
        mounted = False
        if kind != "file size":
            size = self.draw.choice([64, 128, 256, 512, 1024])
            mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(work)]
            mounted = subprocess.run(mount, capture_output=True).returncode == 0
            kind = kind if mounted else "file size"
            (work / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
        limit = self.draw.choice([0, 300, 1000, 4000, 10_000, 20_000, 40_000, 100_000])

        def limited():
            if kind == "file size":
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        def remount(how):
            subprocess.run(["mount", "-o", f"remount,{how}", str(work)], check=True, capture_output=True)

        # The log grows too: it is on another disk, but the limit is the process's.
        for attempt in range(self.draw.randint(1, 3)):
            if kind == "read-only" and attempt:
                remount("ro")
            fork = Fork(words, work, place / f"{attempt}.log", limited)
            if kind == "read-only" and attempt == 0:
                time.sleep(self.draw.uniform(0, 0.5))
                with contextlib.suppress(subprocess.CalledProcessError):
                    remount("ro")
            status = fork.wait()
            self.count(kind)
            if kind != "file size" or limit >= 1000:
                self.check_said(status, fork.said(), f"{place} {kind} {limit}", (0, 1, 2))
            if kind == "read-only":
                remount("rw")
        if mounted:
            remount("rw,size=64m")
        self.resumed(place, words, quiet, work)
        self.check_files(place, str(place))
        if mounted:
            subprocess.run(["umount", str(work)], check=True)
        if len(self.findings) == before:
            shutil.rmtree(place)
        return 1

    def settings(self, most):
        """Wrong settings, tried in one forked process; returns how many."""
        place, cases = self.place("settings"), []
        for _ in range(most):
            config, words = experiments.spoilt(self.draw, experiments.experiment(self.draw))
            cases.append((config, words))
        (place / "cases.json").write_text(json.dumps(cases))
        results, done = place / "results", 0
        while done < len(cases):
            worker = os.fork()
            if worker == 0:
                with contextlib.suppress(BaseException):
                    _try(cases[done:], place / "work", results)
                os._exit(0)
            os.waitpid(worker, 0)
            lines = results.read_text().splitlines() if results.exists() else []
            for line in lines:
                self._judge(place, cases[done], json.loads(line))
                done += 1
            if done < len(cases):
                # The process ended with a case.
                self.find("died", where=str(place), config=cases[done][0], words=cases[done][1])
                done += 1
            results.unlink(missing_ok=True)
        self.check_orphans(str(place))
        return len(cases)

    def _judge(self, place, case, result):
        status, out, err, seconds, left = result
        kind = "wrong" if status == 2 else "accepted" if status == 0 else "other"
        self.count(kind)
        details = {"words": case[1], "config": case[0]}
        lines = [line for line in err.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("svl: error:")]
        if status == 2 and (len(errors) != 1 or out.strip() or len(lines) > 2):
            self.find("not one line", out=out[-300:], err=err[-1200:], **details)
        elif status not in (0, 2):
            self.find("status", status=status, err=err[-2500:], **details)
        if seconds > 15:
            self.find("slow", seconds=seconds, err=err[-300:], **details)
        if left:
            self.find("files", left=left, **details)


def children():
    """Processes whose parent this one is, with their commands."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            text = (path / "stat").read_text()
            state, parent = text.rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append((int(path.name), command[:200]))
    return found


class TooSlow(BaseException):
    """A setting that is checked for too long."""


def _raise(number, frame):
    raise TooSlow


def _try(cases, work, results):
    """Try settings in this process, without training, and write a line of JSON for each."""
    os.chdir(work)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _raise)

    def run_nothing(self, subcommand):
        self.discard_run_directory()

    made = []

    def setup_once(self, *arguments):
        # Making a parser takes as long as everything else.
        if not made:
            setup_parser(self, *arguments)
            made.append({name: vars(self)[name] for name in PARSERS})
        vars(self).update(made[0])

    Session.run_subcommand, setup_parser, Session.setup_parser = run_nothing, Session.setup_parser, setup_once
    with results.open("a") as file:
        for config, words in cases:
            with contextlib.suppress(yaml.YAMLError):
                text = yaml.safe_dump(config, allow_unicode=True)
            Path("config.yaml").write_text(text, encoding="utf-8")
            out, err, began, status = io.StringIO(), io.StringIO(), time.monotonic(), 70
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                signal.alarm(30)
                try:
                    status = main(["fit", "--config", "config.yaml", *words])
                except BaseException:
                    import traceback

                    traceback.print_exc()
                signal.alarm(0)
            if status == 0 and {"--print_config", "--explain", "--help"} & set(words):
                out = io.StringIO()
            left = [str(path) for path in Path().rglob("*") if path.name != "config.yaml"]
            for path in sorted(Path().iterdir()):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            line = [status, out.getvalue(), err.getvalue(), time.monotonic() - began, left]
            file.write(json.dumps(line) + "\n")
            file.flush()


def soak(kind, count, folder, seed=0, seconds=float("inf")):
    """Run until so many kills, disks or settings were tried, or so many seconds have passed; returns a summary."""
    torch.set_num_threads(1)
    work, done, began = Soak(Path(folder).absolute(), seed), 0, time.monotonic()
    while done < count and time.monotonic() - began < seconds:
        if kind == "kills":
            done += work.kills(count - done)
        elif kind == "disks":
            done += work.disks()
        else:
            done += work.settings(min(count - done, 250))
    found = {what: work.findings.count(what) for what in set(work.findings)}
    return {"kind": kind, "done": done, "seconds": round(time.monotonic() - began, 1), **work.counts, "findings": found}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["kills", "disks", "settings"])
    parser.add_argument("count", type=int)
    parser.add_argument("folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    given = parser.parse_args()
    summary = soak(given.kind, given.count, given.folder, given.seed, given.seconds)
    print(json.dumps(summary))
    sys.exit(bool(summary["findings"]))
