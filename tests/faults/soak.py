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
import traceback
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
    ("svl.training.routes.step_by_step", "StepByStep.advance", 5),
    ("svl.training.update", "Update.__call__", 9),
    ("svl.training.stack", "ReplicaStack.test_sums", 3),
    ("svl.training.replica_module", "ReplicaModule.on_validation_epoch_end", 3),
    ("svl.callbacks.history", "History.on_validation_end", 3),
    ("svl.callbacks.checkpoint", "AtomicCheckpointIO.save_checkpoint", 3),
    ("svl.callbacks.checkpoint", "torch.save", 3),
    ("svl.results.history", "append", 3),
    ("svl.results.history", "discard_after", 1),
    ("svl.results.history", "_joined", 1),
    ("svl.results.history", "_write", 3),
    ("svl.results.atomic", "sync", 9),
    ("svl.results.run_directory", "RunDirectory.lock", 1),
    ("svl.results.summary", "write", 1),
    ("svl.results.figure", "save", 1),
    ("pathlib", "Path.replace", 5),
    ("pathlib", "Path.unlink", 9),
    ("pathlib", "Path.mkdir", 3),
]
PARSERS = ("parser", "_subcommand_parsers", "_subcommand_method_arguments")
ENDED = {128 + number for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}


def ended(process, patience=PATIENCE):
    """The exit status of a child; ``None`` if it does not end in time."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None


def text_of(path):
    return path.read_text(errors="replace") if path.exists() else ""


class Soak:
    """What was run, and what was found."""

    def __init__(self, folder, seed):
        self.folder, self.draw = folder, random.Random(seed)
        self.seed, self.findings, self.counts, self.number = seed, [], {}, 0
        folder.mkdir(parents=True, exist_ok=True)
        be_reaper()

    def count(self, what, more=1):
        self.counts[what] = self.counts.get(what, 0) + more

    def find(self, what, **details):
        self.findings.append(what)
        print(
            json.dumps({"finding": what, "number": self.number, "seed": self.seed, **details}, default=str), flush=True
        )

    def summary(self, kind, done, began):
        found = {what: self.findings.count(what) for what in set(self.findings)}
        counts = {"seconds": round(time.monotonic() - began, 1), **self.counts}
        return {"kind": kind, "done": done, **counts, "findings": found}

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
            os.waitpid(-1, os.WNOHANG)
            until = time.monotonic() + 5
            while (alive := children()) and time.monotonic() < until:
                time.sleep(0.05)
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

    def check_history(self, place):
        run, quiet = (place / part / "runs" / "soak" / "it" for part in ("work", "quiet"))
        for file in ("history.parquet", "history.csv"):
            if not (run / file).exists() or (run / file).read_bytes() != (quiet / file).read_bytes():
                self.find("history", file=file, where=str(place))
                return
        summaries = [json.loads((path / "summary.json").read_text())["arms"] for path in (run, quiet)]
        if summaries[0] != summaries[1]:
            self.find("summary", where=str(place))

    def experiment(self, kind, disturb):
        """An undisturbed fit, and one that is disturbed and resumed; returns how often it was disturbed.

        A process of its own parses the settings and builds everything, and forks each attempt at the moment at which
        the run directory is opened.

        Args:
            kind: what is done.
            disturb: a method that makes the attempts; it is given the place, the seconds of the undisturbed fit, and a
                function that makes an attempt in a folder and returns the process, or ``None`` in that process.
        """
        place, config = self.place(kind), experiments.experiment(self.draw)
        (place / "work" / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
        self.draw.random()
        sys.stdout.flush()
        server = os.fork()
        if server == 0:
            try:
                self._serve(place, disturb)
            finally:
                os._exit(70)
        os.waitpid(server, 0)
        report = json.loads(text_of(place / "report.json") or "{}")
        if not report:
            self.find("no report", where=str(place), said=text_of(place / "server.log")[-1500:])
            return 0
        for what, count in report["counts"].items():
            self.count(what, count)
        for finding in report["findings"]:
            self.find(finding.pop("finding"), **finding)
        if not report["findings"]:
            shutil.rmtree(place)
        self.draw.seed(f"{self.seed} {self.number}")
        return report["done"]

    def _serve(self, place, disturb):
        be_reaper()
        self.counts, self.kept, self.is_server = {}, [], True
        for name in ("home", "tmp", "quiet"):
            (place / name).mkdir()
        os.environ |= {"HOME": str(place / "home"), "TMPDIR": str(place / "tmp")}
        tempfile.tempdir = None
        print_to(place / "server.log")
        words = ["fit", "--config", str(place / "work" / "config.yaml"), "--run_id", "it", "--ckpt_path", "auto"]
        opened = Session.open_run_directory

        def report(done=0):
            content = {"done": done, "counts": self.counts, "findings": self.kept}
            (place / "report.json").write_text(json.dumps(content, default=str))
            os._exit(0)

        def attempt(folder, log, before=lambda: None):
            child = os.fork()
            if child:
                return child
            self.is_server = False
            os.chdir(folder)
            print_to(log)
            before()
            return None

        def serve(session):
            began = time.monotonic()
            child = attempt(place / "quiet", place / "quiet.log")
            if child is None:
                return opened(session)
            status = ended(child)
            seconds = time.monotonic() - began
            self.check_said(status, text_of(place / "quiet.log"), str(place), (0,))
            done = 0
            if status == 0:
                self.count("fits")
                for child, judge in disturb(place, seconds, attempt):
                    if child is None:
                        return opened(session)
                    done += judge(ended(child))
                    self.check_orphans(str(place))
                child = attempt(place / "work", place / "last.log")
                if child is None:
                    return opened(session)
                status = ended(child)
                self.check_said(status, text_of(place / "last.log"), str(place), (0,))
                if status == 0:
                    self.check_history(place)
                self.check_files(place, str(place))
                self.check_orphans(str(place))
                self.clean(place)
            return report(done)

        Session.open_run_directory = serve
        try:
            status = main(words)
        except BaseException:
            traceback.print_exc()
            status = 70
        sys.stdout.flush()
        sys.stderr.flush()
        if self.is_server:
            self.count("refused")
            self.check_said(status, text_of(place / "server.log"), str(place), (2,))
            report()
        os._exit(status)

    def clean(self, place):
        """Take back what was done to the place of an experiment."""
        subprocess.run(["umount", "-q", str(place / "work")], capture_output=True)

    def kill(self, place, seconds, attempt):
        """Attempts that are killed or stopped at random moments and places."""
        for number in range(self.draw.randint(8, 24)):
            if (place / "work" / "runs" / "soak" / "it" / "figures" / "curves.svg").exists():
                return
            sent = self.draw.choice([signal.SIGKILL] * 8 + [signal.SIGTERM, signal.SIGINT])
            at_place, log = self.draw.random() < 0.8, place / f"{number}.log"
            module, name, most = self.draw.choice(PLACES)
            point = (module, name, self.draw.randint(1, most), self.draw.choice(["before", "after"]))
            child = attempt(place / "work", log, (lambda point=point: arm(*point)) if at_place else lambda: None)
            if child and not at_place:
                time.sleep(self.draw.uniform(0, 0.8 * seconds))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, sent)

            def judge(status, at_place=at_place, log=log, point=point, sent=sent):
                if status == -signal.SIGKILL:
                    self.count("killed at a place" if at_place else "killed at a moment")
                    return 1
                self.count("stopped" if status in ENDED else "ended by itself")
                stopped = {0, 130, -signal.SIGTERM, -signal.SIGINT, *ENDED}
                self.check_said(status, text_of(log), f"{log} {point if at_place else sent.name}", stopped)
                return 0

            yield child, judge

    def spoil_disk(self, place, seconds, attempt):
        """Attempts on a disk that fills up, cannot be written, or whose files cannot grow."""
        work, config = place / "work", text_of(place / "work" / "config.yaml")
        kind = self.draw.choice(["file size", "full", "read-only"])
        if kind != "file size":
            size = self.draw.choice([32, 64, 128, 256, 512, 1024])
            mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(work)]
            kind = kind if subprocess.run(mount, capture_output=True).returncode == 0 else "file size"
            (work / "config.yaml").write_text(config)
        limit = self.draw.choice([1000, 2000, 4000, 10_000, 20_000, 40_000, 100_000])

        def remount(how):
            return subprocess.run(["mount", "-o", f"remount,{how}", str(work)], capture_output=True).returncode

        for number in range(self.draw.randint(1, 3)):
            log = place / f"{number}.log"
            if kind == "read-only" and number:
                remount("ro")
            child = attempt(
                work, log, lambda: kind == "file size" and resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            )
            if child and kind == "read-only" and not number:
                time.sleep(self.draw.uniform(0, 0.8 * seconds))
                until = time.monotonic() + 5
                while remount("ro") and time.monotonic() < until:  # busy while a file is being written
                    time.sleep(0.01)

            def judge(status, log=log):
                self.count(f"{kind}: {'fails' if status else 'succeeds'}")
                self.check_said(status, text_of(log), f"{log} {kind} {limit}", (0, 1, 2))
                if kind == "read-only":
                    remount("rw")
                return 1

            yield child, judge
        if kind != "file size":
            remount("rw,size=64m")

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


def be_reaper():
    """Have orphans become children of this process, which sees them."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def print_to(log):
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


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

    Session.run_subcommand = run_nothing
    with results.open("a") as file:
        for config, words in cases:
            with contextlib.suppress(yaml.YAMLError):
                text = yaml.safe_dump(config, allow_unicode=True)
            Path("config.yaml").write_text(text, encoding="utf-8")
            out, err, began, status = io.StringIO(), io.StringIO(), time.process_time(), 70
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                signal.alarm(30)
                try:
                    status = main(["fit", "--config", "config.yaml", *words])
                except BaseException:
                    traceback.print_exc()
                signal.alarm(0)
            if status == 0 and {"--print_config", "--explain", "--help"} & set(words):
                out = io.StringIO()
            left = [str(path) for path in Path().rglob("*") if path.name != "config.yaml"]
            for path in sorted(Path().iterdir()):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            line = [status, out.getvalue(), err.getvalue(), time.process_time() - began, left]
            file.write(json.dumps(line) + "\n")
            file.flush()


def make_parser_once():
    """Have every command use the parser of the first one: making it takes as long as everything else."""
    made, setup_parser = [], Session.setup_parser

    def setup_once(self, *arguments):
        if not made:
            setup_parser(self, *arguments)
            made.append({name: vars(self)[name] for name in PARSERS})
        vars(self).update(made[0])

    Session.setup_parser = setup_once


def warm_up(folder):
    """Train two fits in this process, so that the forked ones find everything imported."""
    folder.mkdir(parents=True, exist_ok=True)
    draw, quiet = random.Random(0), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        for _ in range(2):
            Path("config.yaml").write_text(yaml.safe_dump(experiments.experiment(draw)), encoding="utf-8")
            main(["fit", "--config", "config.yaml"])
    shutil.rmtree(folder)


def soak(kind, count, folder, seed=0, seconds=float("inf")):
    """Run until so many kills, disks or settings were tried, or so many seconds have passed; returns a summary."""
    torch.set_num_threads(1)
    make_parser_once()
    warm_up(Path(folder).absolute() / f"warm-{os.getpid()}")
    work, done, began = Soak(Path(folder).absolute(), seed), 0, time.monotonic()
    while done < count and time.monotonic() - began < seconds:
        if kind == "kills":
            done += work.experiment(kind, work.kill)
        elif kind == "disks":
            done += work.experiment(kind, work.spoil_disk)
        else:
            done += work.settings(min(count - done, 100))
        print(json.dumps(work.summary(kind, done, began)), file=sys.stderr, flush=True)
    return work.summary(kind, done, began)


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
