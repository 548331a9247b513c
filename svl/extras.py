"""Packages that only some of svl needs, and the extra of svl that installs each: ``pip install "svl[digits]"``."""

from __future__ import annotations

from importlib.util import find_spec

from svl.errors import SettingError

EXTRAS = {"sklearn": "digits", "wandb_workspaces": "dashboard", "tensorboard": "tensorboard", "shtab": "completion"}
"""The extra of each package, by the name that is imported."""


def require(key: str, package: str) -> None:
    """Refuse what needs a package that is not installed.

    Args:
        key: the setting or the subcommand that needs it.
        package: the name that is imported, one of :data:`EXTRAS`.

    Raises:
        SettingError: that says how to install it.
    """
    if find_spec(package) is None:
        raise SettingError(key, f"no package {package}", f"after {command(package)}")


def advice(error: BaseException) -> str:
    """How to install the package that an import did not find, where an extra of svl has it; else nothing."""
    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return f"; {command(package)} installs it" if package in EXTRAS else ""


def command(package: str) -> str:
    """The command that installs a package."""
    return f'pip install "svl[{EXTRAS[package]}]"'
