"""Objects are compared path by path: what was added, removed or changed is reported once, with its path, and cycles end."""

import datetime
import pickle
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest

import ptzip
from ptzip.diffing.objects import ObjectDiff
from ptzip.errors import LimitError
from tests.corpus import parameters

NAN = float("nan")


def found(a: Any, b: Any, folder: Path, rename: dict[str, str] | None = None, protocol: int = 2) -> ptzip.DiffReport:
    """What differs between two values, each in a bare pickle."""
    paths = folder / "a.pkl", folder / "b.pkl"
    for path, value in zip(paths, (a, b), strict=True):
        path.write_bytes(pickle.dumps(value, protocol))
    return ptzip.diff(*paths, rename=rename)


def changes(report: ptzip.DiffReport) -> list[tuple[str, str, str]]:
    return [(row.name, row.old, row.new) for row in report.changed]


VALUES = (
    *(0, 1, True, 1.5, "text", b"bytes", None, 1 << 5000, NAN, complex(NAN, 1), Decimal("NaN"), Fraction(1, 3)),
    *([1, [2]], (1, (2,)), {"a": {"b": 1}}, {1: 2, "1": 3, (1, "x"): 4, None: 5}, {1, 2}, frozenset("ab"), deque([1], 5)),
    *(OrderedDict(a=1), defaultdict(list, a=[1]), Counter("aab"), range(5), slice(1, None), bytearray(b"x")),
    *(datetime.datetime(2024, 1, 2, 3, 4), datetime.timedelta(5), PurePosixPath("a/b"), int, Ellipsis),
    *(np.arange(5.0), np.float32(1.5), np.array([[1, 2]], "i2"), np.array(["a", None], object), np.dtype([("x", "f4")])),
    np.random.default_rng(1),
)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__}")
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_value_is_the_same_as_itself(value: Any, protocol: int, tmp_path: Path) -> None:
    assert found({"x": value}, {"x": pickle.loads(pickle.dumps(value))}, tmp_path, protocol=protocol).ok


@pytest.mark.parametrize("index", range(len(VALUES)))
def test_a_value_is_not_the_same_as_another(index: int, tmp_path: Path) -> None:
    for other in range(len(VALUES)):
        if index != other:
            assert not found({"x": VALUES[index]}, {"x": VALUES[other]}, tmp_path).ok, VALUES[other]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (1, True),
        (1, 1.0),
        ([1], (1,)),
        ({1: 2}, {"1": 2}),
        ({1, 2}, {1, 3}),
        (deque([1], 5), deque([1], 6)),
        (defaultdict(list), defaultdict(dict)),
        (np.zeros(3), np.zeros(3, "f4")),
        (np.zeros(3), np.zeros((3, 1))),
        (np.zeros(3), np.ones(3)),
        (np.array([["a"]], object), np.array([["b"]], object)),
        (np.dtype("f4"), np.dtype(">f4")),
        (np.random.default_rng(1), np.random.default_rng(2)),
        (datetime.datetime(2024, 1, 2), datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)),
        (int, float),
        (1 << 5000, (1 << 5000) + 1),
        (range(5), range(6)),
    ],
)
def test_small_differences_are_seen(old: Any, new: Any, tmp_path: Path) -> None:
    assert found({"x": old}, {"x": new}, tmp_path).differs


class Thing:
    """An object of a class that is not known."""

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)


class Other(Thing):
    pass


def test_objects_of_unknown_classes_are_compared_by_what_they_hold(tmp_path: Path) -> None:
    assert found(Thing(a=1, b=Thing(c=2)), Thing(b=Thing(c=2), a=1), tmp_path).ok
    assert changes(found(Thing(b=Thing(c=2)), Thing(b=Thing(c=3)), tmp_path)) == [("b.c", "2", "3")]
    (change,) = changes(found({"m": Thing(a=1)}, {"m": Other(a=1)}, tmp_path))
    assert change == ("m", f"object of {__name__}.Thing", f"object of {__name__}.Other")


def test_what_is_in_one_file_alone_is_one_row(tmp_path: Path) -> None:
    report = found({"a": 1, "gone": {"x": [1, 2, {"y": 3}]}}, {"a": 1, "new": "text"}, tmp_path)
    assert [(row.name, row.what) for row in report.only_a] == [("gone", "dict of 1")]
    assert [(row.name, row.what) for row in report.only_b] == [("new", "'text'")]
    assert report.changed == ()


def test_a_container_that_became_something_small_is_one_row(tmp_path: Path) -> None:
    report = found({"a": {"x": 1, "y": 2}}, {"a": None}, tmp_path)
    assert changes(report) == [("a", "dict of 2", "None")]
    assert report.only_a == ()


def test_the_order_of_keys_is_no_difference(tmp_path: Path) -> None:
    assert found({"a": 1, "b": 2}, {"b": 2, "a": 1}, tmp_path).ok


def test_a_cycle_ends(tmp_path: Path) -> None:
    def ring(length: int, value: int) -> list[Any]:
        links: list[list[Any]] = [[value] for _ in range(length)]
        for index, link in enumerate(links):
            link.append(links[(index + 1) % length])
        return links[0]

    assert found(ring(2, 1), ring(3, 1), tmp_path).ok
    assert {change[1:] for change in changes(found(ring(2, 1), ring(3, 2), tmp_path))} == {("1", "2")}


def test_shared_values_do_not_make_the_walk_longer(tmp_path: Path) -> None:
    a: list[Any] = [1]
    b: list[Any] = [1]
    for _ in range(200):
        a, b = [a, a, a], [b, b, b]
    assert found(a, b, tmp_path).ok


def test_sharing_itself_is_no_difference(tmp_path: Path) -> None:
    one = {"x": 1}
    assert found([one, one, one], [{"x": 1}, one, {"x": 1}], tmp_path).ok
    assert changes(found([one, one], [{"x": 1}, {"x": 2}], tmp_path)) == [("1.x", "1", "2")]


@pytest.mark.slow
def test_depth_has_no_limit_of_its_own(tmp_path: Path) -> None:
    def deep(value: bytes) -> bytes:
        return b"\x80\x02" + b"]" * 100_000 + value + b"a" * 100_000 + b"."

    for name, value in (("a", b"K\x01"), ("b", b"K\x02")):
        (tmp_path / name).write_bytes(deep(value))
    (change,) = ptzip.diff(tmp_path / "a", tmp_path / "b").changed
    assert change[1:3] == ("1", "2")
    assert change.name == ".".join(["0"] * 100_000)


@pytest.mark.parametrize("other", [range(20, 32), range(20, 23)], ids=["pairs", "differences"])
def test_very_many_pairs_and_differences_are_an_error(other: range) -> None:
    compared = ObjectDiff(most=11)
    with pytest.raises(LimitError, match="above the limit of 11; raise it with `--limit paths=N`"):
        compared.compare(list(range(12)), list(other))


OLD = {"ema": {"a": 1, "b": [1, 2]}, "model": {"a": 5}, "n": 0}


@pytest.mark.parametrize(
    ("a", "b", "rename", "changed", "only_a", "only_b"),
    [
        (OLD, {"model": OLD["ema"], "n": 0}, {"ema": "model"}, [], ["model"], []),
        (OLD, {"net": {"inner": {"a": 2, "b": [1, 2]}}, "n": 0}, {"ema": "net.inner"}, ["net.inner.a"], ["model"], ["net"]),
        ({"module.a": 1, "module.b": 2, "c": 3}, {"a": 1, "b": 4, "c": 3}, {"module": ""}, ["b"], [], []),
        ({"a": 1, "b": 2}, {"module": {"a": 1, "b": 3}}, {"": "module"}, ["module.b"], [], []),
        ({"module": {"a": 1, "b": 3}, "x": 1}, {"a": 1, "b": 2}, {"module": ""}, ["b"], ["x"], []),
        ({"a": {"x": 1}}, {"a": {"y": 1}}, {"a.x": "a.y"}, [], [], []),
        ({"a": {"x": 1}}, {"a": {"x": 1}}, {"missing": "a"}, [], [], []),
    ],
)
def test_names_that_are_mapped_are_looked_for_there(
    a: Any, b: Any, rename: dict[str, str], changed: list[str], only_a: list[str], only_b: list[str], tmp_path: Path
) -> None:
    report = found(a, b, tmp_path, rename)
    assert [row.name for row in report.changed] == changed
    assert [row.name for row in report.only_a] == only_a
    assert [row.name for row in report.only_b] == only_b


@pytest.mark.parametrize("path", parameters("threats"))
def test_malicious_files_raise_nothing_else_than_ptzips_errors(path: Path) -> None:
    try:
        report = ptzip.diff(path, path)
    except ptzip.PtzipError:
        return
    assert not report.differs
