"""A real SLURM on this machine: daemons in a temporary folder, on free ports, with no accounts and no munge."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

CONFIG = """\
ClusterName=svl
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc={root}/jobs.txt
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_min_interval=0,sched_interval=1
JobRequeue=1
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=30
MinJobAge=300
MaxArraySize=6
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=64000 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class Cluster:
    """A running cluster.

    Attributes:
        environment: with which commands find it.
    """

    def __init__(self, root: Path):
        self.root = root
        self.environment = {**os.environ, "SLURM_CONF": str(root / "slurm.conf"), "OMP_NUM_THREADS": "1"}
        self.environment["SVL"] = str(Path(sys.executable).with_name("svl"))
        self.environment["PATH"] = f"{Path(sys.executable).parent}:{self.environment['PATH']}"

    def ask(self, *command, **options):
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, **options)
        assert done.returncode == 0, done
        return done.stdout.strip()

    def states(self, job):
        """State of every task of a job, also of those that have ended."""
        shown = self.ask("squeue", "--noheader", "--array", "--states", "all", "--jobs", job, "--format", "%T")
        return shown.split()

    def until(self, reached, seconds=120):
        """Wait until a condition is met."""
        end = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < end, (self.root / "slurmctld.log").read_text()[-3000:]
            time.sleep(0.1)

    def release(self, job):
        """Let a requeued job begin now, and not in two minutes; once its last step is gone, whose end would end it."""
        self.until(lambda: self.states(job) == ["PENDING"])
        time.sleep(2)
        self.ask("scontrol", "update", f"jobid={job}", "StartTime=now")


@pytest.fixture
def cluster(a_cluster, monkeypatch):
    """The cluster, which commands in this process find too."""
    for name, value in a_cluster.environment.items():
        monkeypatch.setenv(name, value)
    return a_cluster


@pytest.fixture(scope="session")
def a_cluster(tmp_path_factory):
    missing = [name for name in ("slurmctld", "slurmd", "sbatch") if not shutil.which(name)]
    if missing:
        pytest.skip(f"needs SLURM ({', '.join(missing)}): apt-get install --no-install-recommends slurm-wlm munge")
    root = tmp_path_factory.mktemp("slurm")
    for folder in ("state", "spool"):
        (root / folder).mkdir()
    host = socket.gethostname().partition(".")[0]
    controller, node = _free_ports(2)
    user = os.environ.get("USER") or subprocess.check_output(["id", "-un"], text=True).strip()
    config = CONFIG.format(host=host, controller=controller, node=node, root=root, user=user)
    (root / "slurm.conf").write_text(config)
    cluster = Cluster(root)
    with contextlib.ExitStack() as stack:
        daemons = [("slurmctld", "-D", "-i"), ("slurmd", "-D", "-N", host)]
        for command in daemons:
            stack.enter_context(_daemon(command, cluster))
        cluster.until(lambda: _sinfo(cluster) == {"idle"}, 60)
        yield cluster
        subprocess.run(["scancel", "--me"], env=cluster.environment, capture_output=True)
        # A daemon that goes before its jobs' steps leaves them orphans.
        cluster.until(lambda: not cluster.ask("squeue", "--noheader", "--states", "R,CG"), 30)


def _sinfo(cluster):
    done = subprocess.run(
        ["sinfo", "--noheader", "--format", "%T"], env=cluster.environment, capture_output=True, text=True
    )
    return set(done.stdout.split())


@contextlib.contextmanager
def _daemon(command, cluster):
    with (cluster.root / f"{command[0]}.out").open("ab") as log:
        process = subprocess.Popen(
            command,
            env=cluster.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _die_with_parent():
    parent_death_signal = 1
    ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL)


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
