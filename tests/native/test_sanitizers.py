"""The libraries under AddressSanitizer and UndefinedBehaviorSanitizer, on random shapes and exact buffers."""

import subprocess
import sys
from pathlib import Path

import pytest
from torch._inductor.cpp_builder import get_cpp_compiler

from svl import native

CALLS = {"transformer": "random_transformers.cpp"}
FLAGS = ("-g", "-O1", "-std=c++17", "-fno-math-errno", "-fno-trapping-math")
PROGRAMS = {
    "gradients": ("mlp", "SVL_ACTIVATION=RELU"),
    "population": ("population", "SVL_ACTIVATION=RELU", "POPULATION"),
    "loop on signs": ("train", "TRAINS", "SVL_ACTIVATION=RELU", "SVL_RULE=SGD", "SVL_SHALLOW=1"),
    "loop on full batches": ("train", "TRAINS", "SVL_ACTIVATION=RELU", "SVL_RULE=ADAMW", "SVL_SHALLOW=2"),
    "loop": ("train", "TRAINS", "SVL_ACTIVATION=GELU", "SVL_RULE=ADAMW", "SVL_SHALLOW=0"),
    "Transformers": ("transformer",),
}
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the sanitizers' libraries are looked for on Linux alone")
@pytest.mark.parametrize("program", PROGRAMS)
def test_no_access_is_out_of_bounds_and_nothing_is_undefined(program, processor, tmp_path):
    library, *macros = PROGRAMS[program]
    compile_with = [get_cpp_compiler(), *FLAGS, *SANITIZERS, *(processor or ())]
    empty, built = tmp_path / "empty.cpp", tmp_path / "calls"
    empty.write_text("int main() {}")
    if subprocess.run([*compile_with, empty, "-o", built], capture_output=True).returncode:
        pytest.skip("the compiler has no sanitizers")
    source = Path(native.__file__).with_name(f"{library}.cpp")
    defined = [f'-DLIBRARY="{source}"', *(f"-D{macro}" for macro in macros)]
    calls = Path(__file__).with_name(CALLS.get(library, "random_calls.cpp"))
    subprocess.run([*compile_with, "-fopenmp", *defined, calls, "-o", built], check=True)
    done = subprocess.run([built, "40"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"
