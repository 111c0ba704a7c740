"""The error tree: every error of ptzip is a `PtzipError`, and one that is a file's fault says where."""

import pytest

from ptzip.errors import Anomaly, EditError, FormatError, LimitError, PtzipError, UnsupportedError


@pytest.mark.parametrize("kind", [FormatError, UnsupportedError, LimitError, EditError])
def test_every_error_is_a_ptzip_error_and_no_other_kind(kind: type[PtzipError]) -> None:
    assert kind.__bases__ == (PtzipError,)


def test_the_root_is_no_kind_of_error_that_python_raises_itself() -> None:
    assert PtzipError.__bases__ == (Exception,)


def test_a_format_error_tells_its_offset_to_people_and_to_programs() -> None:
    error = FormatError("no header is here", 44)
    assert (str(error), error.message, error.offset) == ("no header is here (at byte 44)", "no header is here", 44)


def test_the_first_byte_is_an_offset_too() -> None:
    assert str(FormatError("empty", 0)) == "empty (at byte 0)"


def test_a_format_error_without_an_offset_names_none() -> None:
    error = FormatError("this is no zip")
    assert (str(error), error.offset) == ("this is no zip", None)


def test_an_anomaly_is_a_value_that_names_its_place() -> None:
    assert str(Anomaly("duplicate", "DUP doubles a value", 7)) == "DUP doubles a value (at byte 7)"
    assert str(Anomaly("popped", "values are thrown away")) == "values are thrown away"
    assert Anomaly("a", "b", 1) == Anomaly("a", "b", 1)
    assert not isinstance(Anomaly("a", "b"), Exception)
