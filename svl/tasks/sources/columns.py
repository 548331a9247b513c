"""Which columns of a table or a mapping are inputs, and which are targets."""

from __future__ import annotations

from typing import Any, NamedTuple

from svl.errors import SettingError, nearest

_INPUTS = (
    *("data", "image", "images", "img", "input", "inputs", "x", "X"),
    *("features", "input_ids", "tokens", "pixel_values"),
)
_TARGETS = ("target", "targets", "label", "labels", "y", "Y", "class")


class Columns(NamedTuple):
    """The settings of :class:`svl.tasks.Dataset` that choose columns and rows.

    Attributes:
        columns: names of the columns that are used, the last one the target; ``None`` for all, or the usual names.
        targets: names of the target columns; ``None`` for the usual name, or the last column.
        drop_missing: whether rows with missing values are left out.
    """

    columns: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    drop_missing: bool = False

    def of_mapping(self, names: list[Any]) -> tuple[Any, Any] | None:
        """The names of inputs and targets among those of a mapping; ``None`` if they are not the usual ones.

        Raises:
            SettingError: for names that the mapping does not have.
        """
        self._check("columns", self.columns, names)
        self._check("target_columns", self.targets, names)
        if self.targets is not None and len(self.targets) > 1:
            return None
        if self.columns is not None:
            names = list(self.columns)
        if len(names) == 2 and self.columns is not None and self.targets is None:
            return names[0], names[1]
        target = self.targets[0] if self.targets else next((name for name in _TARGETS if name in names), None)
        inputs = next((name for name in _INPUTS if name in names and name != target), None)
        if len(names) == 2:
            target = target or next(name for name in reversed(names) if name != inputs)
            inputs = next(name for name in names if name != target)
        return None if inputs is None or target is None else (inputs, target)

    def of_table(self, names: list[Any]) -> tuple[list[Any], list[Any], str | None]:
        """The names of the input columns and the target columns of a table, and a note where they were guessed.

        Raises:
            SettingError: for names that the table does not have, and a table without inputs.
        """
        self._check("columns", self.columns, names)
        self._check("target_columns", self.targets, names)
        used = list(names if self.columns is None else self.columns)
        note = None
        if self.targets is not None:
            targets = list(self.targets)
        else:
            usual = [name for name in used if name in _TARGETS]
            if len(usual) > 1 and self.columns is None:
                raise SettingError("target_columns", None, f"one of {', '.join(map(str, usual))}")
            targets = usual if len(usual) == 1 and self.columns is None else used[-1:]
            note = None if self.columns else f"the target is the column {targets[0]!r} (target_columns names another)"
        inputs = [name for name in used if name not in targets]
        if not inputs:
            raise SettingError("columns", used, "input columns in addition to the target")
        return inputs, targets, note

    def unusual(self, names: list[Any]) -> SettingError:
        """What is wrong with names that are not the usual ones."""
        allowed = f"two of {', '.join(map(str, names))}, since their names are not the usual ones"
        return SettingError("columns", None if self.columns is None else list(self.columns), allowed)

    def check_unused(self, why: str) -> None:
        """Raise :class:`SettingError` if columns are chosen of what has none."""
        for key, value in (("columns", self.columns), ("target_columns", self.targets)):
            if value is not None:
                raise SettingError(key, list(value), f"null, because {why}")

    @staticmethod
    def _check(key: str, chosen: tuple[str, ...] | None, names: list[Any]) -> None:
        unknown = next((name for name in chosen or () if name not in names), None)
        if unknown is not None:
            listed = ", ".join(map(str, names[:20])) + ("" if len(names) <= 20 else f", and {len(names) - 20} more")
            assert chosen is not None
            raise SettingError(key, list(chosen), f"{len(chosen)} of {listed}{nearest(unknown, map(str, names))}")
