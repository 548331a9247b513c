"""The script that times a GPU, on a CPU and with few replicas; the counts of the CUDA kernel."""

import shutil

import pytest
import torch

from svl.bench import gpu, registers
from svl.data import FullBatch
from svl.tasks import Parity


@pytest.mark.slow
@pytest.mark.parametrize("case", list(gpu.cases(65_536)), ids=lambda case: f"{case.name}, {case.route}")
def test_every_case_can_be_made(case):
    assert case.replicas >= 1
    small = {"population": FullBatch(Parity(8, 2), "population")}.get(case.name, case.data)
    found = gpu.timed(case._replace(data=small, route=None, replicas=1), torch.device("cpu"), seconds=0.0)
    assert found.route == "step by step" and found.evaluation > 0


def test_the_loops_of_a_listing_are_found():
    one = "        /*0000*/   IADD3 R1, R1, 1 ;"
    product = "        /*0010*/   HMMA.1688.F32.TF32 R4, R8, R2, R4 ;"
    inner = [".L_x_1:", one, product, product, "        /*0020*/   @P0 BRA `(.L_x_1) ;"]
    listing = [one, ".L_x_0:", one, one, *inner, one, "        /*0030*/   @!P1 BRA `(.L_x_0) ;", one]
    assert registers._loops("\n".join(listing)) == (4, 4)
    assert registers.Counts(0, 0, 900, 700).each_step(128) == 4 * 900 + 700


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no CUDA compiler")
def test_the_kernel_of_the_papers_network_stays_in_the_registers():
    found = registers.counts(20, 64)
    assert found.registers <= 255 and found.spilled == 0
    # 96 products forward and 96 backward for 32 examples, and what is around them.
    assert 192 < found.of_round < 1100 and found.each_step(128) < 5000
