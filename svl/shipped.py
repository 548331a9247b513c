"""What comes with svl besides its code: configs, sweeps and SLURM scripts, from a checkout and from a wheel alike."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_PACKAGE = Path(__file__).resolve().parent
ROOT = _PACKAGE if (_PACKAGE / "configs").is_dir() else _PACKAGE.parent
"""The folder with the folders ``configs`` and ``slurm``: the installed package, or the checkout."""
_FOLDERS = {"configs": (".yaml",), "slurm": (".sbatch", ".def", ".md")}
# The full stop of "et al. 2026" ends no sentence.
_SENTENCES = re.compile(r"(?<=[.?]) (?=[A-Z`])")


class Shipped(NamedTuple):
    """A file that comes with svl.

    Attributes:
        name: by which it is asked for: ``parity/online`` for ``configs/parity/online.yaml``, ``slurm/fit.sbatch``.
        relative: its path in a checkout.
        path: of the file.
    """

    name: str
    relative: Path
    path: Path

    @property
    def about(self) -> str:
        """The first sentence of the comment, or the heading, that the file begins with."""
        lines = self.path.read_text(encoding="utf-8").splitlines()
        words: list[str] = []
        for line in lines[bool(lines) and lines[0].startswith("#!") :]:
            if not line.startswith("#"):
                break
            words += line.lstrip("# ").split()
        return _SENTENCES.split(" ".join(words), maxsplit=1)[0].rstrip(".")

    @property
    def group(self) -> str:
        """The folder in which it is listed, ``configs/parity``."""
        return self.relative.parent.as_posix()


def shipped() -> dict[str, Shipped]:
    """Every file by its name, configs first."""
    files = {}
    for folder, endings in _FOLDERS.items():
        paths = (path for path in (ROOT / folder).rglob("*") if path.suffix in endings)
        for path in sorted(paths, key=lambda path: (path.parent, path)):
            if path.is_file():
                relative = path.relative_to(ROOT)
                name = relative.relative_to(folder).with_suffix("") if folder == "configs" else relative
                files[name.as_posix()] = Shipped(name.as_posix(), relative, path)
    return files


def find(name: str) -> Shipped | None:
    """The file of a name, which may also be the path in a checkout; ``None`` if there is no such file."""
    files = shipped()
    by_path = {file.relative.as_posix(): file for file in files.values()}
    return files.get(name) or by_path.get(name) or by_path.get(f"configs/{name}")


def within(folder: str) -> list[Shipped]:
    """The files of a folder: ``parity``, ``configs/parity``, ``slurm``; empty if there is no such folder."""
    wanted = (f"{folder}/", f"configs/{folder}/")
    return [file for file in shipped().values() if file.relative.as_posix().startswith(wanted)]
