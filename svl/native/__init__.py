"""C++ kernels, built once for this machine's processor and kept in the user's cache."""

from __future__ import annotations

import ctypes
import fcntl
import functools
import hashlib
import os
import platform
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any

import torch

from svl import caches, console
from svl.compat.torch import OpOverload, cpp_compiler
from svl.signals import ended_by_signals

# Products and sums are fused by every compiler, as GCC does by default.
_FLAGS = (
    "-O3", "-std=c++17", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-shared", "-fPIC",
)  # fmt: skip
# An older compiler may not know the processor, or have no OpenMP: then plain instructions, or one thread.
_PROCESSORS: tuple[tuple[str, ...], ...] = (("-march=native",), ("-mcpu=native",), ())
_THREADS: tuple[tuple[str, ...], ...] = (("-fopenmp",), ())
_ROOM = 2**23
"""Bytes that a library and the compiler's own files may need."""
_QUIET = 1.0
"""Seconds after which a build is announced."""


_loaded: set[str] = set()
_told: list[str] = []
_announced: set[str] = set()
_operators = torch.library.Library("svl", "FRAGMENT")


def is_available(name: str, defined: tuple[str, ...] = ()) -> bool:
    """Whether a library is built or can be; if it is not, it is built now.

    Args:
        name: of the library.
        defined: the variant that is asked for, as of :func:`library`.
    """
    try:
        return bool(library(name, defined))
    except BuildError:
        return False


def operator(
    schema: str, fake: Callable[..., Any], over_batches: Callable[..., Any] | None = None
) -> Callable[[Callable[..., Any]], OpOverload]:
    """Make a function of CPU tensors an operator, which a traced step calls as one.

    Without the layers that ``torch.library.custom_op`` has around it, which take longer than the rest of a call.

    Args:
        schema: name, arguments and results in torch's notation; it writes to none of them.
        fake: makes results of the right shapes from arguments without values.
        over_batches: what ``torch.func.vmap`` does instead, as :func:`torch.library.register_vmap` takes it.
    """
    name = schema.partition("(")[0]

    def register(function: Callable[..., Any]) -> OpOverload:
        _operators.define(schema)
        _operators.impl(name, function, "CPU")
        torch.library.register_fake(f"svl::{name}", fake, lib=_operators)
        if over_batches is not None:
            torch.library.register_vmap(f"svl::{name}", over_batches, lib=_operators)
        found: OpOverload = getattr(torch.ops.svl, name).default
        return found

    return register


@functools.cache
def has_wide_vectors() -> bool:
    """Whether this processor has vectors of 16 floats, which libraries then use."""
    return "avx512f" in _processor().split()


def has_built(name: str) -> bool:
    """Whether this process has a variant of a library; then others can be built too, at their first call."""
    return name in _loaded


class BuildError(RuntimeError):
    """No C++ compiler at hand, or it cannot build the kernel."""


class NoCompilerError(BuildError):
    """No C++ compiler at hand."""


def library(
    name: str,
    defined: tuple[str, ...] = (),
    processor: tuple[str, ...] | None = None,
    compiler: str | None = None,
) -> ctypes.CDLL:
    """The shared library built from ``svl/native/<name>.cpp``; a process tries once to build it.

    Args:
        name: of the source file.
        defined: macros, ``NAME=VALUE`` each, that select one variant of a library: a variant has the code for one kind
            of fit alone, so that it is built in a few seconds.
        processor: compiler flags that select the instruction set; by default this machine's.
        compiler: name or path of a C++ compiler; by default the one that ``torch.compile`` uses.

    Raises:
        BuildError: if it cannot be built.
    """
    found = _library_or_error(name, defined, processor, compiler)
    if isinstance(found, BuildError):
        raise found
    return found


@functools.cache
def _library_or_error(
    name: str, defined: tuple[str, ...], processor: tuple[str, ...] | None, compiler: str | None
) -> ctypes.CDLL | BuildError:
    try:
        return load(name, defined, processor, compiler)
    except BuildError as error:
        if not isinstance(error, NoCompilerError):
            _tell(f"svl: {name}.cpp could not be built, and fits take longer without the C++ kernels ({error})")
        return error


def _tell(line: str) -> None:
    """Say it, if it is the first in this process: what fails for one library fails for the others too."""
    if not _told:
        _told.append(line)
        console.say(line)


def _announce(line: str) -> None:
    """Say it once: a fit can need several libraries."""
    if line not in _announced:
        _announced.add(line)
        console.say(line)


def load(
    name: str,
    defined: tuple[str, ...] = (),
    processor: tuple[str, ...] | None = None,
    compiler: str | None = None,
) -> ctypes.CDLL:
    """What :func:`library` remembers: the library from its file, which is built if it is not there."""
    source = Path(__file__).with_name(f"{name}.cpp")
    processors = _PROCESSORS if processor is None else (processor,)
    try:
        compiler = compiler or cpp_compiler()
        identity = _identity(compiler)
    except Exception as error:  # the compiler search raises errors of several unrelated kinds
        raise NoCompilerError(f"no C++ compiler: {error}") from None
    text = [path.read_text(encoding="utf-8") for path in (source, *sorted(source.parent.glob("*.h")))]
    macros = tuple(f"-D{macro}" for macro in defined)
    parts = (*text, identity, platform.machine(), _processor(), *_FLAGS, *macros, *map(str, processors))
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    variant = "-".join([name, *(macro.partition("=")[2].lower() for macro in defined)])
    failure: Exception = BuildError("no folder to build in that only this user can write to")
    for folder in caches.folders("native"):
        path = folder / f"{variant}-{digest}.so"
        try:
            with _alone(path):
                if not path.exists():
                    _build(compiler, processors, source, macros, path)
            built = ctypes.CDLL(str(path))
            _loaded.add(name)
            return built
        except OSError as error:
            failure = BuildError(f"{folder}: {error.strerror or error}")
    raise failure


@functools.cache
def digest() -> str:
    """A digest of all sources of kernels."""
    here = Path(__file__).parent
    files = sorted(path for path in here.iterdir() if path.suffix in (".cpp", ".h"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:16]


@functools.cache
def _identity(compiler: str) -> str:
    """The compiler's name and version."""
    asked = subprocess.run([compiler, "--version"], capture_output=True, check=True)
    return asked.stdout.decode(errors="replace")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process builds the library, where the file system has locks."""
    if path.exists():
        yield
        return
    with path.with_suffix(".lock").open("wb") as file:
        # Without locks each process builds its own, and the last one stays.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _check_room(folder: Path) -> None:
    """Raise an ``OSError`` if a library does not fit: of a full disk a compiler speaks in words of its own."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(_ROOM))
        file.flush()


def _build(
    compiler: str, processors: Iterable[tuple[str, ...]], source: Path, macros: Iterable[str], path: Path
) -> None:
    """Compile once, by the first options that the compiler takes for a program of no lines."""
    _check_room(path.parent)
    notice = f"svl: building C++ code for this processor, once; it is kept in {path.parent}"
    timer = threading.Timer(_QUIET, _announce, [notice])
    timer.daemon = True
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, ended_by_signals():
        built, empty = Path(folder) / path.name, Path(folder) / "empty.cpp"
        empty.touch()
        timer.start()
        try:
            for processor, threads in product(processors, _THREADS):
                options = (*_FLAGS, *processor, *threads)
                said = _compile([compiler, *options, str(empty), "-o", f"{built}.empty"], folder)
                if said is None:
                    said = _compile([compiler, *options, *macros, str(source), "-o", str(built)], folder)
                    break
        finally:
            timer.cancel()
        if said is not None:
            raise BuildError(said)
        built.replace(path)


def _compile(command: list[str], folder: str) -> str | None:
    """Why the compiler failed, ``None`` if it has not; it keeps its own files in ``folder``."""
    environment = {**os.environ, "TMPDIR": folder}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, process_group=0
    ) as process:
        try:
            said = process.communicate()[1].decode(errors="replace").strip()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return (said.splitlines() or [f"{command[0]} failed"])[-1] if process.returncode else None


def _processor() -> str:
    """What the build depends on: a home folder may be shared by machines with different processors."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return platform.processor()
