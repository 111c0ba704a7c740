"""The report of `ptzip diff`."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from ptzip.json_output import notebook_html, report_dict


class Form(NamedTuple):
    """Dtype, shape and layout of a tensor; `size` is the bytes of its values."""

    dtype: str
    shape: tuple[int, ...]
    layout: str
    size: int


class Fact(NamedTuple):
    """An attribute that differs between two tensors, such as `requires_grad` or `device`."""

    what: str
    old: str
    new: str


class NumericDifference(NamedTuple):
    """How far `numel` numbers of B are from those of A, computed in float64.

    `differing` counts unequal numbers (NaN equals NaN, 0 equals -0), `beyond` those of them that exceed the tolerance.
    `absolute` is the largest `|a - b|` and `relative` the largest `|a - b| / |a|` with a other than 0, over numbers that are
    finite in both. `cosine` is the cosine similarity of the finite numbers of A and B, None where a norm is 0. `lone` counts
    numbers that are finite in only one of the two. `distance` is the L2 norm of B - A as a part of that of A, over the finite
    numbers, None where A has none but 0.
    """

    numel: int = 0
    differing: int = 0
    beyond: int = 0
    absolute: float = 0.0
    relative: float = 0.0
    cosine: float | None = None
    lone: int = 0
    distance: float | None = None


class TensorDiff(NamedTuple):
    """Two tensors matched by name, `old_name` in A and `name` in B, that differ in anything.

    `numbers` is None where no numbers were compared: the shapes differ, the bytes are equal, or numpy cannot represent them.
    `are_equal`: the values are equal bit by bit. `problem` is the reason why values could not be compared, or "".
    """

    old_name: str
    name: str
    old: Form
    new: Form
    facts: tuple[Fact, ...] = ()
    are_equal: bool = False
    numbers: NumericDifference | None = None
    problem: str = ""

    @property
    def is_cast(self) -> bool:
        return self.old.dtype != self.new.dtype and self.old.shape == self.new.shape and self.numbers is not None

    @property
    def are_near(self) -> bool:
        """Whether the values are equal within the tolerance."""
        return self.are_equal or (self.numbers is not None and not self.numbers.beyond)

    @property
    def is_same(self) -> bool:
        """Whether only the values differ, within the tolerance."""
        return self.are_near and not self.facts and self.old == self.new

    def to_dict(self) -> dict[str, Any]:
        numbers = self.numbers._asdict() if self.numbers else {}
        return {
            "old_name": self.old_name,
            "name": self.name,
            "same": self.is_same,
            "old": self.old,
            "new": self.new,
            "facts": self.facts,
            "equal_values": self.are_equal,
            "numbers": {name: "inf" if value == math.inf else value for name, value in numbers.items()} or None,
            "problem": self.problem or None,
        }


class LoneTensor(NamedTuple):
    """A tensor in only one of the files."""

    name: str
    form: Form


class Only(NamedTuple):
    """A part of the object in only one of the files. `what` is its value or class; below it are `tensors` tensors without a
    counterpart, of `size` bytes."""

    name: str
    what: str
    tensors: int = 0
    size: int = 0


class Changed(NamedTuple):
    """A value or class that differs; below it are `tensors` tensors without a counterpart, of `size` bytes."""

    name: str
    old: str
    new: str
    tensors: int = 0
    size: int = 0


class Moved(NamedTuple):
    """A tensor of A that has another name in B, recognized by shape, dtype, and length and CRC of its storage."""

    old_name: str
    name: str
    form: Form


@dataclass(frozen=True)
class DiffReport:
    """The comparison of two files A and B.

    `compared` counts the pairs of tensors, `tensors` lists the pairs that differ in anything. `lone_a` and `lone_b` are tensors
    without a counterpart, `only_a` and `only_b` other parts of the objects. `notes` say what could not be compared because one
    of the formats does not have it.
    """

    a: str
    b: str
    rtol: float = 0.0
    atol: float = 0.0
    compared: int = 0
    tensors: tuple[TensorDiff, ...] = ()
    lone_a: tuple[LoneTensor, ...] = ()
    lone_b: tuple[LoneTensor, ...] = ()
    moved: tuple[Moved, ...] = ()
    only_a: tuple[Only, ...] = ()
    only_b: tuple[Only, ...] = ()
    changed: tuple[Changed, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def equal(self) -> int:
        """The number of pairs that are equal in everything, bit by bit."""
        return self.compared - len(self.tensors)

    @property
    def differing(self) -> tuple[TensorDiff, ...]:
        """The pairs that differ beyond the tolerance, or in anything but values."""
        return tuple(pair for pair in self.tensors if not pair.is_same)

    @property
    def unknown(self) -> tuple[TensorDiff, ...]:
        """The pairs whose values could not be compared."""
        return tuple(pair for pair in self.tensors if pair.problem)

    @property
    def differs(self) -> bool:
        """Whether anything is known to differ beyond the tolerance."""
        known = [pair for pair in self.differing if not pair.problem or pair.facts or pair.old != pair.new]
        return any((known, self.lone_a, self.lone_b, self.moved, self.only_a, self.only_b, self.changed))

    @property
    def ok(self) -> bool:
        """Whether nothing differs beyond the tolerance, and every tensor could be compared."""
        return not self.differs and not self.unknown

    @property
    def distances(self) -> dict[str, float]:
        """How far each tensor of floats moved, by its name in B, as a part of its norm in A; of those where that is known."""
        floats = [pair for pair in self.tensors if not pair.old.dtype.startswith(("int", "uint", "bool"))]
        numbers = {pair.name: pair.numbers.distance for pair in floats if pair.numbers is not None}
        return {name: distance for name, distance in numbers.items() if distance is not None and math.isfinite(distance)}

    def figure(self) -> Any:
        """Where weights moved, as a heat map of plotly. Raises UnsupportedError where plotly is not installed."""
        from ptzip.figures.heat_map import heat_map  # here, since few reports are shown so
        from ptzip.figures.plotly_library import figure  # as above

        return figure(heat_map(self.distances))

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints; infinity is the string "inf", since JSON has no number for it."""
        return report_dict(
            self.ok,
            path=self.a,
            a=self.a,
            b=self.b,
            rtol=self.rtol,
            atol=self.atol,
            compared=self.compared,
            equal=self.equal,
            tensors=tuple(pair.to_dict() for pair in self.tensors),
            moved=tuple({"old_name": each.old_name, "name": each.name, **each.form._asdict()} for each in self.moved),
            tensors_only_in_a=tuple({"name": each.name, **each.form._asdict()} for each in self.lone_a),
            tensors_only_in_b=tuple({"name": each.name, **each.form._asdict()} for each in self.lone_b),
            only_in_a=self.only_a,
            only_in_b=self.only_b,
            changed=self.changed,
            notes=self.notes,
        )

    _repr_html_ = notebook_html
