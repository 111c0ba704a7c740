"""The waterfall of what slimming saves."""

from ptzip.figures.waterfall import waterfall


def test_the_steps_lead_from_the_old_size_to_the_new_one() -> None:
    (trace,) = waterfall(1000, {"optimizer": 600, "pickle and zip": -100}, 500)["data"]
    assert trace["x"] == [1000, -600, 100, 500]
    assert trace["x"][0] + sum(trace["x"][1:-1]) == trace["x"][-1]
    assert trace["text"] == ["1.0 kB", "\u2212600 B", "100 B", "500 B"]
