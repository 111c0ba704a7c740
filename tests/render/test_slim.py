"""Reports as text: the golden lines that a user reads, made of reports built by hand."""

import dataclasses

import pytest

from ptzip.editing.account import Category, Change
from ptzip.render.slim import plan_lines, slim_lines
from ptzip.render.words import size
from ptzip.slimming.report import SlimReport
from ptzip.tensors.rounding import Loss

SAVED = {
    Category.RESULTS: 11_390,
    Category.OPTIMIZER: 28_100_000,
    Category.EMA: 0,
    Category.HALF: 14_087_000,
    Category.OTHER: 0,
}
CHANGES = (Change(Category.OPTIMIZER, "optimizer", "None"), Change(Category.HALF, "model", "177 tensors to float16"))
REPORT = SlimReport("last.pt", "last.slim.pt", "yolov5", 56_488_691, 14_241_004, SAVED, CHANGES, Loss())

LINES = [
    "last.pt -> last.slim.pt  [yolov5]",
    "  results                    11.4 kB",
    "  optimizer                  28.1 MB",
    "  EMA or duplicate model         0 B",
    "  half precision             14.1 MB",
    "  pickle and zip             49.3 kB",
    "  total                      42.2 MB   56.5 MB -> 14.2 MB, 74.8 % saved",
]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1049, "1.0 kB"),
        (1051, "1.1 kB"),
        (999_949, "999.9 kB"),
        (999_951, "1.0 MB"),
        (1_000_000, "1.0 MB"),
        (56_488_691, "56.5 MB"),
        (999_999_999, "1.0 GB"),
        (2_147_483_648, "2.1 GB"),
        (5_000_000_000_000, "5000.0 GB"),
        (-1, "-1 B"),
        (-2500, "-2.5 kB"),
    ],
)
def test_sizes_are_decimal_with_one_digit(count: int, text: str) -> None:
    assert size(count) == text


def test_a_report_shows_each_step_of_the_original_recipe_and_the_total() -> None:
    assert list(slim_lines(REPORT)) == LINES


def test_what_saved_nothing_is_left_out_unless_the_original_recipe_had_it() -> None:
    shown = [line[2:26].strip() for line in slim_lines(REPORT)][1:]
    assert shown == ["results", "optimizer", "EMA or duplicate model", "half precision", "pickle and zip", "total"]
    more = dataclasses.replace(REPORT, saved=SAVED | {Category.OTHER: 5})
    assert "  other                          5 B" in list(slim_lines(more))


def test_the_steps_and_the_rest_add_up_to_the_total() -> None:
    assert sum(REPORT.saved.values()) + REPORT.rest == REPORT.old_size - REPORT.new_size


def test_a_file_that_grew_is_shown_so() -> None:
    grown = dataclasses.replace(REPORT, old_size=1000, new_size=1100, saved=dict.fromkeys(Category, 0))
    assert list(slim_lines(grown))[-1] == "  total                       -100 B   1.0 kB -> 1.1 kB, -10.0 % saved"


def test_a_dry_run_says_that_nothing_was_written() -> None:
    planned = dataclasses.replace(REPORT, output=None, loss=None)
    assert list(slim_lines(planned)) == ["last.pt -> nothing written (dry run)  [yolov5]", *LINES[1:]]


def test_a_slim_file_takes_one_line() -> None:
    done = dataclasses.replace(REPORT, output=None, changes=(), saved={}, old_size=1000, new_size=1000)
    assert list(slim_lines(done)) == ["last.pt: already slim (1.0 kB), nothing written"]
    assert list(plan_lines(done)) == []


def test_what_the_cast_lost_follows_the_total() -> None:
    lossy = dataclasses.replace(REPORT, loss=Loss(overflowed=1234, vanished=56))
    assert list(slim_lines(lossy)) == [
        *LINES,
        "  1,234 values beyond the range of float16 (65,504) became infinite",
        "  56 values too small for float16 (below 3e-8) became zero",
    ]


def test_the_plan_is_one_line_for_each_change() -> None:
    assert list(plan_lines(REPORT)) == ["    optimizer: None", "    model: 177 tensors to float16"]


def test_every_line_is_printable() -> None:
    odd = dataclasses.replace(REPORT, path="a\nb", output="\x1b[2J", changes=(Change(Category.OTHER, "\udcff", "\u202e"),))
    lines = [*slim_lines(odd), *plan_lines(odd)]
    assert all(line.isprintable() for line in lines)
    assert lines[0] == r"a\nb -> \x1b[2J  [yolov5]"
    assert lines[-1] == r"    \xff: \u202e"
