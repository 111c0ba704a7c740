"""Honest pickles: what Python, numpy and torch themselves write is not accused, in any protocol."""

import argparse
import array
import datetime
import decimal
import enum
import fractions
import functools
import io
import ipaddress
import itertools
import logging
import math
import operator
import os.path
import pathlib
import pickle
import random
import re
import signal
import string
import uuid
import zoneinfo
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from typing import Any

import numpy as np
import pytest

from ptzip.scanning.report import Verdict
from tests.scanning.raw_pickles import in_zip, scanned

PROTOCOLS = range(6)

CLEAN: dict[str, Any] = {
    "a dict": {"epoch": 1, "lr": 0.1, "name": "a", "none": None, "flags": (True, False)},
    "an OrderedDict": OrderedDict(a=1),
    "a Counter": Counter("abca"),
    "a deque": deque([1, 2], 3),
    "a defaultdict": defaultdict(dict, {1: {}}),
    "defaultdicts of zeros and texts": (defaultdict(int, a=1), defaultdict(str), defaultdict(float), defaultdict(list)),
    "a ChainMap": ChainMap({"a": 1}),
    "a partial of a type": functools.partial(int, "1"),
    "sets": ({1, 2}, frozenset((3,))),
    "bytes": (b"abc\xff" * 10, bytearray(b"abc")),
    "numbers": (1j, 10**100, range(10**12), slice(1, 2)),
    "a Namespace": argparse.Namespace(lr=0.1),
    "dates": (datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), datetime.date(2020, 1, 1), datetime.timedelta(1)),
    "exact numbers": (decimal.Decimal("1.5"), fractions.Fraction(1, 3)),
    "a UUID": uuid.UUID(int=5),
    "paths": (pathlib.PurePosixPath("a/b"), pathlib.PureWindowsPath("a/b")),
    "an array": np.arange(4),
    "a scalar": np.float64(1.5),
    "an array of texts": np.array(["a", "b"]),
    "an array of objects": np.array([None, {}], dtype=object),
    "a record array": np.zeros(2, dtype=[("a", "f4"), ("b", "i8")]),
    "a record of objects": np.array([(1, {})], dtype=[("a", "i8"), ("b", "O")])[0],
    "a dtype": np.dtype("f4"),
    "the state of numpy": np.random.get_state(),
    "masked arrays": (np.ma.masked_array([1, 2], [False, True]), np.ma.masked_array(np.zeros(2, [("a", "f4")])), np.ma.masked),
    "records": (np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")]), np.rec.array([(1,)], dtype=[("a", "i4")])[0]),
    "defaultdicts of bytes": (defaultdict(bytes), defaultdict(bytearray)),
    "a generator of numpy": np.random.default_rng(1),
    "the state of Python": random.getstate(),
}
if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
    CLEAN["texts of any length"] = np.array(["a", "bb"], dtype=np.dtypes.StringDType())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", CLEAN)
def test_values_of_checkpoints_are_clean(name: str, protocol: int) -> None:
    report = scanned(in_zip(pickle.dumps(CLEAN[name], protocol)))
    assert report.verdict == Verdict.CLEAN, report.findings


class Mode(enum.Enum):
    FAST = "fast"


class Outer:
    class Inner:
        pass

    def method(self) -> None: ...


NOT_MALICIOUS: dict[str, Any] = {
    "a pattern": re.compile("a+"),
    "an exception": ValueError("x"),
    "a logger": logging.getLogger("a"),
    "a getter": operator.itemgetter(1),
    "a random source": random.Random(1),
    "a template": string.Template("x"),
    "a buffer": io.BytesIO(b"abc"),
    "a chain": ChainMap({}),
    "a zone": zoneinfo.ZoneInfo("UTC"),
    "an address": ipaddress.ip_address("1.2.3.4"),
    "a signal": signal.SIGTERM,
    "a partial": functools.partial(int, "1"),
    "a function": (math.sqrt, os.path.join, len),
    "an array of Python": array.array("d", [1.0]),
    "a masked array": np.ma.array([1, 2], mask=[False, True]),
    "a date of numpy": np.datetime64("2020-01-01"),
    "a counter": itertools.count(3),
    "a member of an enumeration": Mode.FAST,
    "a class in a class": Outer.Inner(),
    "a method": Outer().method,
}


@pytest.mark.filterwarnings("ignore:Pickle, copy, and deepcopy support:DeprecationWarning")  # counters, until Python 3.14
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", NOT_MALICIOUS)
def test_honest_but_unknown_objects_are_not_malicious(name: str, protocol: int) -> None:
    try:
        data = pickle.dumps(NOT_MALICIOUS[name], protocol)
    except TypeError:
        pytest.skip("Python cannot pickle this in this protocol")
    assert scanned(in_zip(data)).verdict in (Verdict.CLEAN, Verdict.REVIEW)
