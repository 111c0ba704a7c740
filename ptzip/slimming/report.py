"""The report of `ptzip slim`."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from ptzip.editing.account import Category, Change
from ptzip.json_output import notebook_html, report_dict
from ptzip.tensors.cast_error import CastError
from ptzip.tensors.rounding import Loss

ALWAYS = (Category.RESULTS, Category.OPTIMIZER, Category.EMA, Category.HALF)
"""The steps of the original recipe, which are shown even where they saved nothing."""


class CastTensor(NamedTuple):
    """One cast of a storage: the names of its tensors in the input, the number of elements, and what they lost.

    `dtype` is that of the output: the old one for a tensor that was not cast because values overflow.
    """

    names: tuple[str, ...]
    old_dtype: str
    dtype: str
    numel: int
    loss: Loss

    @property
    def stayed(self) -> bool:
        return self.dtype == self.old_dtype

    def to_dict(self) -> dict[str, Any]:
        return {
            "names": list(self.names),
            "old_dtype": self.old_dtype,
            "dtype": self.dtype,
            "numel": self.numel,
            "overflowed": self.loss.overflowed,
            "vanished": self.loss.vanished,
            "nan": self.loss.nan,
            "infinite": self.loss.infinite,
        }


class Key(NamedTuple):
    """What happens to a top-level key; `size` is the bytes of its storages and strings, each counted for its first key."""

    name: str
    what: str
    size: int


class Check(NamedTuple):
    """The result of reading the output back: of `tensors` that were compared, the number of `equal` ones and the largest error
    of the others; `missing` from the output because a module became its state dict; `unread` because they are too large or
    numpy cannot represent them. `overflowed` and `vanished` count the numbers that are more than rounded, by tensor (those that
    are beyond the range, and those that became 0); `companions` are floats of quantised weights, which were not cast."""

    tensors: int = 0
    equal: int = 0
    worst: CastError = CastError()
    missing: int = 0
    unread: int = 0
    overflowed: tuple[tuple[str, int], ...] = ()
    vanished: tuple[tuple[str, int], ...] = ()
    companions: int = 0

    @property
    def is_only_rounded(self) -> bool:
        """Whether the cast did nothing but round, at the full number of digits."""
        return not (self.overflowed or self.vanished or self.worst.subnormal)

    def joined(self, other: "Check") -> "Check":
        """The result for two files."""
        return Check(
            self.tensors + other.tensors,
            self.equal + other.equal,
            self.worst.joined(other.worst),
            self.missing + other.missing,
            self.unread + other.unread,
            self.overflowed + other.overflowed,
            self.vanished + other.vanished,
            self.companions + other.companions,
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "tensors": self.tensors,
            "equal": self.equal,
            "largest_absolute_error": self.worst.absolute,
            "largest_relative_error": self.worst.relative,
            "subnormal": self.worst.subnormal,
            "missing": self.missing,
            "unread": self.unread,
            "overflowed": dict(self.overflowed),
            "vanished": dict(self.vanished),
            "companions": self.companions,
            "only_rounded": self.is_only_rounded,
        }


@dataclass(frozen=True)
class SlimReport:
    """What slimming one file did, or would do; sizes in bytes.

    `saved` is by step, `rest` what is around the storages takes less (or more): the
    pickle and the zip, or the header of safetensors. `output` is None where nothing was written: on a dry run, or where the
    file is slim already and no output was named. `loss` is known once the bytes were read; `wide` are then the names of the
    tensors that kept their dtype, since numbers in them are beyond the range of the other.
    `notes` say what was left as it is on purpose, and why. `keys` are set on a dry run, `tensors` and `check` on request.
    """

    path: str
    output: str | None
    recipe: str
    old_size: int
    new_size: int
    saved: dict[Category, int]
    changes: tuple[Change, ...] = ()
    loss: Loss | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    dtype: str = "float16"
    on_overflow: str = "keep"
    wide: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    tensors: tuple[CastTensor, ...] = ()
    check: Check | None = None
    rest_name: str = "pickle and zip"

    @property
    def already_slim(self) -> bool:
        """Whether there was nothing to gain."""
        return not self.changes

    @property
    def rest(self) -> int:
        return self.old_size - self.new_size - sum(self.saved.values())

    @property
    def steps(self) -> dict[str, int]:
        """What each step saves, of those to be shown; together, the difference of the sizes."""
        shown = {step.value: saved for step, saved in self.saved.items() if saved or step in ALWAYS}
        return shown | {self.rest_name: self.rest}

    @property
    def saved_share(self) -> float:
        """The part of the old size that is gone, from 0 to 1."""
        return 1 - self.new_size / self.old_size

    @property
    def ok(self) -> bool:
        return True

    def figure(self) -> Any:
        """The steps as a waterfall of plotly. Raises UnsupportedError where plotly is not installed."""
        from ptzip.figures.plotly_library import figure  # here, since few reports are shown so
        from ptzip.figures.waterfall import waterfall  # as above

        return figure(waterfall(self.old_size, self.steps, self.new_size))

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return report_dict(
            self.ok,
            path=self.path,
            output=self.output,
            recipe=self.recipe,
            already_slim=self.already_slim,
            old_size=self.old_size,
            new_size=self.new_size,
            saved={category.key: count for category, count in self.saved.items()} | {"rest": self.rest},
            saved_share=round(self.saved_share, 4),
            changes=[{"step": change.category.key, "path": change.path, "what": change.what} for change in self.changes],
            overflowed=self.loss.overflowed if self.loss else None,
            vanished=self.loss.vanished if self.loss else None,
            nan=self.loss.nan if self.loss else None,
            infinite=self.loss.infinite if self.loss else None,
            kept_wide=list(self.wide),
            keys=[key._asdict() for key in self.keys],
            tensors=[tensor.to_dict() for tensor in self.tensors],
            check=self.check.to_dict() if self.check else None,
            warnings=list(self.warnings),
            notes=list(self.notes),
        )

    _repr_html_ = notebook_html
