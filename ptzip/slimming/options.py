"""The options of `slim`, validated on construction, and how it works."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ptzip.arguments import Location, OnOverflow, OutputFormat, WeightDtype, check_choice
from ptzip.checkpoint import Checkpoint
from ptzip.editing.drop_and_set import Value
from ptzip.editing.rename_classes import ClassRename
from ptzip.io.payloads import Progress
from ptzip.recipes import AUTO, NAMES


def no_warnings(_: Checkpoint) -> tuple[str, ...]:
    return ()


class Run(NamedTuple):
    """How `api.slim` works, as it documents; `warn` finds what the report says about the input of each file."""

    overwrite: bool = False
    check: bool = False
    with_tensors: bool = False
    sync: bool = True
    progress: Progress | None = None
    warn: Callable[[Checkpoint], tuple[str, ...]] = no_warnings


DEEPEST = 100
"""So many levels may a value have that is set."""


@dataclass(frozen=True)
class Options:
    """What `api.slim` documents, field by field. Raises ValueError for a wrong choice or value."""

    recipe: str = AUTO
    dtype: WeightDtype = "auto"
    location: Location = "cpu"
    on_overflow: OnOverflow = "keep"
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    keep_float32: tuple[str, ...] = ()
    values: tuple[tuple[str, Value], ...] = ()
    """Paths and the values to set there."""
    ema: bool = True
    trim: bool = True
    dedupe: bool = False
    plain: bool = False
    portable: bool = False
    rename_class: tuple[ClassRename, ...] = ()
    format: OutputFormat | None = None
    """None means a zip, but is no reason to write a file that is slim already."""
    is_of_tensors: bool = False
    """Whether a folder becomes safetensors, as the name of the output says."""

    def __post_init__(self) -> None:
        check_choice("recipe", self.recipe, NAMES)
        check_choice("dtype", self.dtype, WeightDtype)
        check_choice("location", self.location, Location)
        check_choice("on_overflow", self.on_overflow, OnOverflow)
        if self.format is not None:
            check_choice("format", self.format, OutputFormat)
        if self.portable and self.location != "cpu":
            raise ValueError(f"portable tensors load to the cpu, so location cannot be {self.location!r}")
        for path, value in self.values:
            if not _is_json(value):
                raise ValueError(
                    f"the value for {path} is a {type(value).__name__}, expected what JSON can represent in {DEEPEST} levels"
                )

    @property
    def target(self) -> str:
        """The dtype that weights get; "keep" where they are not cast."""
        return "float16" if self.dtype == "auto" else self.dtype

    @property
    def is_same_format(self) -> bool:
        """Whether a file that need not become a zip stays what it is."""
        return self.format in (None, "same")

    @property
    def is_edit(self) -> bool:
        """Whether the options ask for a change that any checkpoint can have, whatever its layout."""
        return bool(self.edits)

    @property
    def edits(self) -> list[str]:
        """The options that ask for such a change, as the command line spells them."""
        asked = {
            "--drop": self.drop,
            "--set": self.values,
            "--dedupe": self.dedupe,
            "--plain": self.plain,
            "--portable": self.portable,
            "--rename-class": self.rename_class,
            "--format": self.format is not None,
        }
        return [option for option, value in asked.items() if value]

    @property
    def new_location(self) -> str | None:
        """The device that all tensors load to, or None for the one that each was saved from."""
        return None if self.location == "keep" else self.location


def _is_json(value: object, levels: int = DEEPEST) -> bool:
    """Whether a value is a number, a text, true, false, null, or a list or dict of such, in so many levels."""
    if isinstance(value, list):
        return levels > 0 and all(_is_json(item, levels - 1) for item in value)
    if isinstance(value, dict):
        return levels > 0 and all(isinstance(key, str) and _is_json(item, levels - 1) for key, item in value.items())
    return value is None or isinstance(value, str | int | float | bool)
