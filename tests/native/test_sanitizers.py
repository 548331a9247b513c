"""The libraries under AddressSanitizer and UndefinedBehaviorSanitizer, on random shapes and exact buffers."""

import subprocess
import sys
from pathlib import Path

import pytest
from torch._inductor.cpp_builder import get_cpp_compiler

from svl import native

CALLS = {"mlp": "random_calls.cpp", "train": "random_calls.cpp", "transformer": "random_transformers.cpp"}
FLAGS = ("-g", "-O1", "-std=c++17", "-fno-math-errno", "-fno-trapping-math")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the sanitizers' libraries are looked for on Linux alone")
@pytest.mark.parametrize("library", sorted(CALLS))
def test_no_access_is_out_of_bounds_and_nothing_is_undefined(library, processor, tmp_path):
    compile_with = [get_cpp_compiler(), *FLAGS, *SANITIZERS, *(processor or ())]
    empty, program = tmp_path / "empty.cpp", tmp_path / "calls"
    empty.write_text("int main() {}")
    if subprocess.run([*compile_with, empty, "-o", program], capture_output=True).returncode:
        pytest.skip("the compiler has no sanitizers")
    source = Path(native.__file__).with_name(f"{library}.cpp")
    defined = [f'-DLIBRARY="{source}"', *(["-DTRAINS"] if library == "train" else [])]
    calls = Path(__file__).with_name(CALLS[library])
    subprocess.run([*compile_with, "-fopenmp", *defined, calls, "-o", program], check=True)
    done = subprocess.run([program, "40"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"
