"""What a user may wish of a slim file.

Rule: a wish that there is not is an error before anything is opened.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ptzip.editing.drop_and_set import Value
from ptzip.errors import EditError
from ptzip.recipes import AUTO

DTYPES = ("float16", "bfloat16", "keep")
LOCATIONS = ("cpu", "keep")
ON_OVERFLOW = ("keep", "saturate", "inf", "error")
FORMATS = ("zip", "legacy", "same")


@dataclass(frozen=True)
class Options:
    """Each is a flag of `ptzip slim`, and is told there; see `api.slim`."""

    recipe: str = AUTO
    dtype: str = "float16"
    location: str = "cpu"
    on_overflow: str = "keep"
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    keep_float32: tuple[str, ...] = ()
    values: tuple[tuple[str, Value], ...] = ()
    """Paths, and the values that they are set to."""
    ema: bool = True
    trim: bool = True
    dedupe: bool = False
    plain: bool = False
    format: str | None = None
    """None is a zip, where there is a file to be written at all."""

    @property
    def is_edit(self) -> bool:
        """Whether something is asked for that any checkpoint can be given."""
        return bool(self.drop or self.values or self.dedupe or self.plain or self.format is not None)

    def __post_init__(self) -> None:
        _known("dtype", self.dtype, DTYPES)
        _known("location", self.location, LOCATIONS)
        _known("on_overflow", self.on_overflow, ON_OVERFLOW)
        _known("format", self.format or FORMATS[0], FORMATS)


def _known(what: str, value: str, values: Iterable[str]) -> None:
    if value not in values:
        raise EditError(f"{what} is {value!r}, expected one of {', '.join(values)}")
