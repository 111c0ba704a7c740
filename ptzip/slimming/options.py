"""The options of `slim`, validated on construction."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from ptzip.editing.drop_and_set import Value
from ptzip.recipes import AUTO, NAMES

WeightDtype = Literal["float16", "bfloat16", "keep"]
Location = Literal["cpu", "keep"]
OnOverflow = Literal["keep", "saturate", "inf", "error"]
OutputFormat = Literal["zip", "legacy", "same"]


@dataclass(frozen=True)
class Options:
    """What `api.slim` documents, field by field. Raises ValueError for an unknown choice."""

    recipe: str = AUTO
    dtype: WeightDtype = "float16"
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
    format: OutputFormat | None = None
    """None means a zip, but is no reason to write a file that is slim already."""

    def __post_init__(self) -> None:
        _check("recipe", self.recipe, NAMES)
        _check("dtype", self.dtype, get_args(WeightDtype))
        _check("location", self.location, get_args(Location))
        _check("on_overflow", self.on_overflow, get_args(OnOverflow))
        if self.format is not None:
            _check("format", self.format, get_args(OutputFormat))

    @property
    def is_edit(self) -> bool:
        """Whether the options ask for a change that any checkpoint can have, whatever its layout."""
        return bool(self.drop or self.values or self.dedupe or self.plain or self.format is not None)

    @property
    def new_location(self) -> str | None:
        """The device that all tensors load to, or None for the one that each was saved from."""
        return None if self.location == "keep" else self.location


def _check(name: str, value: str, choices: Iterable[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(choices)}")
