"""The waterfall of what slimming saves."""

from ptzip.figures.waterfall import waterfall


def test_the_steps_lead_from_the_old_size_to_the_new_one() -> None:
    figure = waterfall(1000, {"optimizer": 600, "pickle and zip": -100}, 500)
    (trace,) = figure["data"]
    assert trace["x"] == [1000, -600, 100, 500]
    assert trace["x"][0] + sum(trace["x"][1:-1]) == trace["x"][-1]
    words = [text.replace("<br>", " ").replace("<b>", "").replace("</b>", "") for text in figure["layout"]["yaxis"]["ticktext"]]
    assert words == ["before 1.0 kB", "optimizer \u2212600 B", "pickle and zip 100 B", "after 500 B"]
