"""The libraries built for each instruction set that this machine runs, by each compiler that is installed."""

import functools
import platform
import shutil
from pathlib import Path
from unittest import mock

import pytest

from svl import native

# What the second and third levels have in /proc/cpuinfo; every x86-64 processor of the last 15 years has the first.
LEVELS = {"x86-64-v2": set(), "x86-64-v3": {"avx2", "fma", "bmi2"}, "x86-64-v4": {"avx512f", "avx512bw", "avx512vl"}}


def processors() -> list[tuple[str, ...] | None]:
    """The compiler flags of each instruction set; ``None`` for the machine's own."""
    information = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not information.exists():
        return [None]
    line = next(line for line in information.read_text(encoding="utf-8").splitlines() if line.startswith("flags"))
    return [(f"-march={level}",) for level, needs in LEVELS.items() if needs <= set(line.split())]


# Clang builds one instruction set: what differs between these is the code's, not the compiler's.
BUILDS: list[tuple[tuple[str, ...] | None, str | None]] = [
    *((processor, None) for processor in processors()),
    (processors()[:2][-1], "clang++"),
]


@pytest.fixture(scope="module", params=BUILDS, ids=lambda build: f"{build[1] or 'default'} {(build[0] or ('',))[0]}")
def build(request):
    """Until the end of a module's tests with one parameter, ``native.library`` gives libraries built in one way."""
    processor, compiler = request.param
    if compiler and not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    made = functools.partial(native.library, processor=processor, compiler=compiler)
    with mock.patch.object(native, "library", made):
        yield


@pytest.fixture(params=processors(), ids=lambda flags: (flags or ("",))[0])
def processor(request):
    """The compiler flags of one instruction set that this machine runs."""
    return request.param


def pytest_collection_modifyitems(items):
    if not native.is_available("parity"):
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="the kernels need a C++ compiler"))
