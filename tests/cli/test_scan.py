"""`ptzip scan` as a user meets it: lines, exit codes, folders, settings and formats."""

from pathlib import Path

import pytest

from ptzip.pickling.new_nodes import atom
from ptzip.pickling.nodes import Tuple
from tests.cli.shell import one_line, ptzip, reports, shell
from tests.scanning.raw_pickles import PAYLOAD, name, valued
from tests.small_checkpoints import archive, called, save, training_records

HOSTILE, UNKNOWN, CLEAN = valued(PAYLOAD), valued(name("models.yolo.Model") + b")\x81"), archive(training_records())


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of each verdict."""
    monkeypatch.chdir(tmp_path)
    for file, data in (("bad.pt", HOSTILE), ("unknown.pt", UNKNOWN), ("good.pt", CLEAN), ("noise.bin", b"\xff" * 99)):
        (tmp_path / file).write_bytes(data)
    return tmp_path


def test_a_clean_file_is_one_line_and_exit_0() -> None:
    assert ptzip("scan", "good.pt") == (0, "OK: good.pt\n", "")


def test_a_hostile_file_is_reported_with_its_calls_and_their_offsets() -> None:
    result = ptzip("scan", "bad.pt")
    first, second = result.out.splitlines()
    assert (result.code, first) == (3, "MALICIOUS: bad.pt")
    assert second.startswith("  PTZ101 malicious record last/data.pkl, byte ")
    assert "posix.system('true')" in second


def test_an_unknown_class_is_for_review() -> None:
    result = ptzip("scan", "unknown.pt")
    assert (result.code, result.out.splitlines()[0]) == (1, "REVIEW: unknown.pt")
    assert "models.yolo.Model" in result.out


def test_what_cannot_be_read_says_why_and_exits_with_2() -> None:
    result = ptzip("scan", "noise.bin")
    assert result.code == 2
    assert result.out.startswith("UNREADABLE: noise.bin: this is ")


@pytest.mark.parametrize("missing", ["nothing.pt", "no/such/folder"])
def test_a_missing_file_is_unreadable(missing: str) -> None:
    result = ptzip("scan", missing)
    assert (result.code, result.out) == (2, f"UNREADABLE: {missing}: no such file or directory\n")


@pytest.mark.parametrize(
    ("files", "code"),
    [(("good.pt", "unknown.pt"), 1), (("bad.pt", "good.pt"), 3), (("good.pt", "noise.bin"), 2), (("bad.pt", "noise.bin"), 3)],
)
def test_the_exit_code_of_several_files_is_that_of_the_worst(files: tuple[str, ...], code: int) -> None:
    result = ptzip("scan", *files)
    assert result.code == code
    *lines, summary = [line for line in result.out.splitlines() if not line.startswith("  ")]
    assert len(lines) == len(files)
    assert summary.startswith("2 files: ")


@pytest.mark.parametrize(
    ("fail_on", "codes"), [("review", (1, 3, 2)), ("malicious", (0, 3, 2)), ("unreadable", (0, 0, 2)), ("never", (0, 0, 0))]
)
def test_the_user_says_which_verdicts_fail(fail_on: str, codes: tuple[int, ...]) -> None:
    found = [ptzip("scan", "--fail-on", fail_on, name).code for name in ("unknown.pt", "bad.pt", "noise.bin")]
    assert tuple(found) == codes
    assert ptzip("scan", "--fail-on", fail_on, "good.pt").code == 0


def test_unknown_classes_of_one_project_are_one_line_unless_all_is_wanted() -> None:
    assert ptzip("scan", "unknown.pt").out == "REVIEW: unknown.pt\n  1 unknown class, models.yolo.Model: --trust yolov5\n"
    assert "PTZ102 review record" in ptzip("scan", "-v", "unknown.pt").out


def test_a_report_goes_to_a_file(place: Path) -> None:
    printed = ptzip("scan", "--json", "unknown.pt").out
    assert ptzip("scan", "--json", "unknown.pt", "-o", "out/report.json") == (1, "", "")
    assert (place / "out" / "report.json").read_text() == printed
    assert one_line(ptzip("scan", "good.pt", "-o", "out/report.json"), "ptzip: error: ").endswith("(use -f to overwrite)")


@pytest.mark.parametrize(
    "words",
    [
        ("--trust", "models.yolo.Model", "--", "unknown.pt"),
        ("unknown.pt", "--trust", "models.yolo.Model"),
        ("--trust", "yolov5", "unknown.pt"),
        ("--trust", "lightning", "models.yolo.Model", "unknown.pt"),
        ("--trust", "lightning", "--trust", "yolov5", "unknown.pt"),
    ],
)
def test_trusted_names_are_clean_at_any_position_of_the_flag(words: tuple[str, ...]) -> None:
    found = ptzip("scan", *words)
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith("OK: unknown.pt\n  trusted (")
    assert found.out.endswith("): models.yolo.Model\n")


def test_a_name_that_cannot_be_trusted_is_an_error() -> None:
    assert "cannot be trusted" in one_line(ptzip("scan", "good.pt", "--trust", "os.system"), "ptzip: error: ")


def test_a_preset_is_one_though_a_folder_is_called_so(place: Path) -> None:
    (place / "yolov5").mkdir()
    assert ptzip("scan", "unknown.pt", "--trust", "yolov5").code == 0


def test_nothing_to_scan_is_an_error(place: Path) -> None:
    (place / "empty").mkdir()
    one_line(ptzip("scan", "empty"), "ptzip: error: there is nothing to scan")
    result = ptzip("scan")
    assert result.code == 2
    assert result.err.startswith("ptzip: error: the following arguments are required: PATH")


def test_a_name_that_no_file_can_have_is_unreadable() -> None:
    assert ptzip("scan", "a\0b.pt").out.startswith("UNREADABLE: a")


def test_a_folder_is_walked_and_what_is_no_checkpoint_is_left_out(place: Path) -> None:
    inner = place / "runs" / "a"
    inner.mkdir(parents=True)
    (inner / "last.pt").write_bytes(CLEAN)
    (inner / "noname").write_bytes(HOSTILE)
    (inner / "README.md").write_text("certifi\nclick\n")
    (inner / "train.py").write_text("import os\n")
    (inner / "broken.pt").write_bytes(b"\xff" * 99)
    result = ptzip("scan", "runs")
    assert result.code == 3
    *lines, summary = [line for line in result.out.splitlines() if not line.startswith("  ")]
    heads = [line.split(":")[:2] for line in lines]
    assert summary == "3 files: 1 OK, 1 MALICIOUS, 1 UNREADABLE; 4.9 kB"
    assert heads == [
        ["UNREADABLE", " runs/a/broken.pt"],
        ["OK", " runs/a/last.pt"],
        ["MALICIOUS", " runs/a/noname"],
    ]


def test_many_files_on_all_cores_come_out_in_their_order(place: Path) -> None:
    for index in range(20):
        (place / f"{index:02}.pt").write_bytes(HOSTILE if index % 3 == 0 else CLEAN)
    files = [f"{index:02}.pt" for index in range(20)]
    alone, together = ptzip("scan", "-j", "1", *files), shell("scan", "-j", "2", *files)
    assert together == alone


def test_quiet_says_nothing_of_what_is_ok() -> None:
    result = ptzip("scan", "-q", "good.pt", "unknown.pt")
    assert result.out.startswith("REVIEW: unknown.pt\n")


def test_globals_are_listed_one_a_line() -> None:
    result = ptzip("scan", "--globals", "bad.pt", "good.pt")
    assert result.code == 3
    assert "posix.system" in result.out.splitlines()
    assert result.out.splitlines() == sorted(result.out.splitlines())


def test_json_has_every_finding() -> None:
    result = ptzip("scan", "--json", "bad.pt", "good.pt")
    bad, good = reports(result.out)
    assert result.code == 3
    assert (bad["verdict"], good["verdict"]) == ("malicious", "clean")
    (found,) = bad["findings"]
    assert (found["rule"], found["severity"], found["record"], found["times"]) == (
        "PTZ101",
        "malicious",
        "record last/data.pkl",
        1,
    )
    assert isinstance(found["offset"], int)
    assert "posix.system" in bad["globals"]


@pytest.mark.parametrize("rule", ["PTZ101", "ptz301"])
def test_a_rule_explains_itself(rule: str) -> None:
    result = ptzip("scan", "--explain", rule)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(rule.upper())
    assert len(result.out.split()) > 20


def test_an_unknown_rule_is_an_error() -> None:
    assert one_line(ptzip("scan", "--explain", "PTZ999"), "ptzip: error: ").startswith(
        "there is no rule PTZ999 (did you mean PTZ"
    )


def test_a_name_of_a_file_cannot_break_a_line(place: Path) -> None:
    save(place / "a\nOK: b.pt")
    assert ptzip("scan", "a\nOK: b.pt").out == "OK: a\\nOK: b.pt\n"


# settings


TRUSTING = '[scan]\ntrust = ["models.yolo.Model"]\n'


def test_settings_are_taken_from_the_file_that_config_names(place: Path) -> None:
    (place / "mine.toml").write_text(TRUSTING)
    found = ptzip("scan", "unknown.pt", "--config", "mine.toml")
    assert found == (0, "OK: unknown.pt\n  trusted (models.yolo.Model): models.yolo.Model\n", "")
    (place / "pyproject.toml").write_text('[tool.ptzip.scan]\nfail-on = "malicious"\n')
    assert ptzip("scan", "unknown.pt", "--config", "pyproject.toml").out.startswith("REVIEW")
    assert ptzip("scan", "unknown.pt", "--config", "pyproject.toml").code == 0
    assert ptzip("scan", "unknown.pt", "--config", "pyproject.toml", "--fail-on", "review").code == 1


@pytest.mark.parametrize("file", [".ptzip.toml", "ptzip.toml", "theirs/.ptzip.toml"])
def test_settings_that_nobody_asked_for_are_not_taken(file: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = place / "theirs"
    theirs.mkdir()
    (theirs / "model.pt").write_bytes(UNKNOWN)
    (place / file).write_text(f'{TRUSTING}fail-on = "malicious"\n')
    (place / "pyproject.toml").write_text('[tool.ptzip.scan]\ntrust = ["models.yolo.Model"]\n')
    assert ptzip("scan", "theirs/model.pt").code == 1
    assert ptzip("scan", "theirs").code == 1
    monkeypatch.chdir(theirs)
    assert ptzip("scan", "model.pt").code == 1


@pytest.mark.parametrize("folder", [".", "theirs", "theirs/below/.."])
def test_settings_inside_a_scanned_folder_are_refused(folder: str, place: Path) -> None:
    (place / "theirs" / "below").mkdir(parents=True)
    (place / "theirs" / "model.pt").write_bytes(UNKNOWN)
    (place / "theirs" / "settings.toml").write_text(TRUSTING)
    (place / "link.toml").symlink_to("theirs/settings.toml")
    for config in ("theirs/settings.toml", "link.toml"):
        found = ptzip("scan", folder, "--config", config)
        assert "which is scanned" in one_line(found, "ptzip: error: ")
        assert found.code == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[scan]\ntrusted = ["a.B"]\n', "sets trusted, expected one of fail-on, trust"),
        ('[scan]\ntrust = "a.B"\n', "sets trust to something other than a list of names"),
        ('[scan]\nfail-on = "no"\n', "sets fail-on to 'no', expected one of never, unreadable, malicious, review"),
        ("[scan\n", "cannot be read"),
        ("scan = 3\n", "has no table [scan]"),
        ("", "has no table [scan]"),
    ],
)
def test_settings_that_are_wrong_are_an_error(content: str, words: str, place: Path) -> None:
    (place / "mine.toml").write_text(content)
    assert words in one_line(ptzip("scan", "good.pt", "--config", "mine.toml"), "ptzip: error: ")


def test_a_settings_file_that_is_missing_is_an_error() -> None:
    assert "mine.toml" in one_line(ptzip("scan", "good.pt", "--config", "mine.toml"), "ptzip: error: ")


# slim and load


def hostile_training() -> bytes:
    """A checkpoint that slim takes, with a call of posix.system among its values."""
    evil = called("posix", "system", Tuple("TUPLE1", None, [atom("true")]))
    return archive(training_records(best_fitness=evil))


def test_slim_warns_of_a_malicious_input_unless_the_scan_is_disabled(place: Path) -> None:
    (place / "last.pt").write_bytes(hostile_training())
    result = ptzip("slim", "last.pt", "-n")
    assert result.code == 0
    assert result.err.startswith(
        "ptzip: warning: last.pt: this file is malicious, see ptzip scan: PTZ101 record data.pkl, byte "
    )
    assert ptzip("slim", "last.pt", "-n", "--no-scan").err == ""
    assert ptzip("slim", "good.pt", "-n").err == ""
