"""The heat map of how far tensors moved."""

from ptzip.figures.heat_map import MOST_MODULES, heat_map


def test_rows_are_modules_and_columns_their_tensors() -> None:
    (trace,) = heat_map({"a.0.weight": 1e-3, "a.0.bias": 1.0, "a.1.weight": 0.0, "scale": 10.0})["data"]
    assert trace["y"] == ["a.0", "a.1", "(top level)"]
    assert trace["x"] == ["weight", "bias", "scale"]
    assert trace["z"] == [[-3.0, 0.0, None], [-12.0, None, None], [None, None, 1.0]]
    assert trace["text"][0] == ["0.001", "1", ""]


def test_of_many_modules_those_that_moved_most_are_shown_in_order() -> None:
    (trace,) = heat_map({f"m{at}.w": float(at) for at in range(MOST_MODULES + 10)})["data"]
    assert trace["y"] == [f"m{at}" for at in range(10, MOST_MODULES + 10)]
