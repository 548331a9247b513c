"""The script that times a GPU, on a CPU and with few replicas; the counts of the CUDA kernel."""

import shutil

import pytest
import torch

from svl.bench import gpu, registers
from svl.data import FullBatch
from svl.tasks import Parity
from svl.training.routes.warp import Shape


@pytest.mark.slow
@pytest.mark.parametrize("case", list(gpu.cases(65_536)), ids=lambda case: f"{case.name}, {case.route}")
def test_every_case_can_be_made(case):
    assert case.replicas >= 1
    small = FullBatch(Parity(8, 2), "population") if case.name.startswith("population") else case.data
    found = gpu.timed(case._replace(data=small, route=None, replicas=1), torch.device("cpu"), seconds=0.0)
    assert found.route == "step by step" and found.evaluation > 0


def test_the_loops_of_a_listing_are_found():
    one = "        /*0000*/   IADD3 R1, R1, 1 ;"
    product = "        /*0010*/   HMMA.1688.F32.TF32 R4, R8, R2, R4 ;"
    inner = [".L_x_1:", one, product, product, "        /*0020*/   @P0 BRA `(.L_x_1) ;"]
    listing = [one, ".L_x_0:", one, one, *inner, one, "        /*0030*/   @!P1 BRA `(.L_x_0) ;", one]
    assert registers._loops("\n".join(listing)) == (4, 4, 2)
    assert registers.Counts(0, 0, 4, 900, 700, 192).each_step(128) == 4 * (4 * 900 + 700)


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no CUDA compiler")
@pytest.mark.parametrize(
    ("depth", "spilled", "of_round", "of_step"), [(2, 0, (192, 1100), 5000), (3, 24, (304, 2300), 35_000)]
)
def test_the_kernel_of_the_papers_network_stays_in_the_registers(depth, spilled, of_round, of_step):
    found = registers.counts(Shape(20, 64, 1, depth))
    assert found.registers <= 255 and found.spilled <= spilled
    assert found.products == of_round[0] < found.of_round < of_round[1] and found.each_step(128) < of_step
