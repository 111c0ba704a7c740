"""The manners of Windows: paths, patterns, null devices, encodings, pipes and keys, as far as another system can show them.

What has a drive or a backslash is tried with `ntpath`; whole commands run in processes without POSIX (`tests.no_posix`).
"""

import contextlib
import errno
import io
import ntpath
import os
import subprocess
import sys
import types
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import pytest

import ptzip as package
from ptzip.cli import diff, printing, scan, slim
from ptzip.cli.files import File
from ptzip.render.sarif import uri
from tests import no_posix
from tests.cli.shell import Result, environment, names, ptzip, reports, shell
from tests.corpus import FIXTURES
from tests.small_checkpoints import save

WITHOUT_POSIX = {"PTZIP_NO_POSIX": "1", "PYTHONPATH": os.pathsep.join((no_posix.SITE, no_posix.ROOT))}


@pytest.fixture
def paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in `slim` and `scan` are those of Windows."""
    windows = no_posix.Replaced(os, {"path": ntpath, "sep": "\\", "altsep": "/"})
    for module in (slim, scan):
        monkeypatch.setattr(module, "os", windows)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (PureWindowsPath(r"D:\py\my weights\last.pt"), "file:///D:/py/my%20weights/last.pt"),
        (PureWindowsPath(r"\\server\share\last.pt"), "file://server/share/last.pt"),
        (PureWindowsPath(r"runs\exp#1\last.pt"), "runs/exp%231/last.pt"),
        (PureWindowsPath(r"D:last.pt"), "D%3Alast.pt"),
        (PurePosixPath("runs/last.pt"), "runs/last.pt"),
        (PurePosixPath("/data/last.pt"), "/data/last.pt"),
        (PurePosixPath("a\\b.pt"), "a%5Cb.pt"),
        (PurePosixPath("D:\\x.pt"), "D%3A%5Cx.pt"),
        (PurePosixPath("-"), "-"),
    ],
)
def test_sarif_names_files_by_uris(path: PurePath, expected: str) -> None:
    assert uri(path) == expected


@pytest.mark.usefixtures("paths")
@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("small\\", True),
        ("small/", True),
        ("D:\\", True),
        ("D:", True),
        ("small", False),
        ("D:small", False),
        ("s\\mall", False),
    ],
)
def test_an_output_that_ends_in_a_separator_is_a_folder(output: str, expected: bool) -> None:
    arguments = types.SimpleNamespace(output=output, files=["last.pt"])
    assert slim._is_folder([File("last.pt")], arguments) == expected  # type: ignore[arg-type]


@pytest.mark.usefixtures("paths")
def test_outputs_that_differ_in_case_alone_are_one_file() -> None:
    assert slim._one_spelling("out\\Best.pt") == slim._one_spelling("OUT/best.PT")


@pytest.mark.usefixtures("paths")
@pytest.mark.parametrize("word", ["sub\\last", "sub/last", "last.pt"])
def test_a_word_with_a_separator_after_trust_is_a_file_if_there_is_one(
    word: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ntpath, "exists", lambda path: path == word)
    assert scan._apart([word, "yolov5", "sub\\missing"]) == ([word], ["yolov5", "sub\\missing"])


def test_settings_on_another_drive_are_outside_of_what_is_scanned(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def commonpath(_: object) -> str:
        raise ValueError("Paths don't have the same drive")  # as ntpath does

    save(Path("last.pt"))
    Path("settings.toml").write_text("[scan]\n")
    monkeypatch.setattr(os.path, "commonpath", commonpath)
    assert ptzip("scan", "--config", "settings.toml", ".").code == 0


def test_an_absolute_path_with_a_drive_is_not_taken_for_an_object(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "splitdrive", ntpath.splitdrive)
    assert ptzip("inspect", "D:\\missing.pt").err == "ptzip: error: D:\\missing.pt: no such file or directory\n"
    assert "FILE::PATH" in ptzip("inspect", "D:\\missing.pt:model").err


def test_patterns_that_a_shell_leaves_to_programs_are_expanded(folder: Path) -> None:
    for name in ("b.pt", "a.pt", "model[1].pt", "model1.pt"):
        save(Path(name))
    found = reports(ptzip("verify", "--json", "?.pt", "model[1].pt").out)
    assert [report["path"] for report in found] == ["a.pt", "b.pt", "model[1].pt"]
    assert ptzip("slim", "*.pt", "-o", "small").code == 0
    assert names("small") == ["a.pt", "b.pt", "model1.pt", "model[1].pt"]
    assert ptzip("scan", "*.bin").err + ptzip("scan", "*.bin").out == "UNREADABLE: *.bin: no such file or directory\n"


@pytest.mark.skipif(no_posix.IS_ON, reason="no name has a * there")
def test_a_pattern_that_is_the_name_of_a_file_is_that_file(folder: Path) -> None:
    for name in ("a.pt", "*.pt"):
        save(Path(name))
    assert ptzip("verify", "*.pt").out.startswith("OK: *.pt")


def test_a_pattern_matches_files_in_any_folders(folder: Path) -> None:
    for name in ("runs/a/b/last.pt", "runs/best.pt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        save(Path(name))
    found = reports(ptzip("verify", "--json", "runs/**/*.pt").out)
    assert [report["path"] for report in found] == ["runs/a/b/last.pt", "runs/best.pt"]


@pytest.mark.parametrize("nothing", ["/dev/null", "nul"])
def test_git_names_a_file_that_is_not_there_in_either_way(nothing: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff, "NOTHING", frozenset(("/dev/null", "nul")))
    save(Path("last.pt"))
    words = ("diff", "--git", "weights/last.pt", nothing, ".", ".", "last.pt", "1" * 40, "100644")
    assert ptzip(*words).out.startswith("weights/last.pt: new, torch.save zip, ")


class Gone(io.TextIOBase):
    """A stream whose reader left, as Windows reports it: EINVAL for a pipe."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def fileno(self) -> int:
        return self.descriptor

    def write(self, _: str) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")


def test_a_reader_that_leaves_early_is_no_error_where_the_system_calls_it_an_invalid_argument(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with contextlib.redirect_stdout(Gone(writer)):
        printing.show("text")
    for descriptor in (reader, writer):
        os.close(descriptor)
    invalid = pytest.raises(OSError, match="Invalid")
    with (tmp_path / "file").open("w") as file, contextlib.redirect_stdout(Gone(file.fileno())), invalid:  # it is no pipe
        printing.show("text")


@pytest.mark.parametrize("encoding", ["cp1252", "cp936", "ascii", "cp437"])
@pytest.mark.parametrize(
    "words",
    ["inspect", "inspect --tensors", "inspect --tree", "scan -v", "verify", "slim -n", "diff x.pt", "inspect --records"],
)
def test_what_a_console_cannot_show_is_escaped(encoding: str, words: str, folder: Path) -> None:
    for name in ("x.pt", "模型-été-\U0001f525.pt"):
        save(Path(name))
    done = subprocess.run(
        [sys.executable, "-m", "ptzip", *words.split(), "模型-été-\U0001f525.pt"],
        capture_output=True,
        env=environment({"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}),
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert done.returncode in (0, 1)
    (done.stdout + done.stderr).decode(encoding)


def without_posix(*words: str | Path) -> Result:
    """A run of ptzip in a process without POSIX."""
    return shell(*words, **WITHOUT_POSIX)


def test_a_process_without_posix_lacks_what_it_should() -> None:
    program = (
        "import types\n"
        "for name in ('fcntl', 'resource'):\n"
        "    try: __import__(name, {'__package__': 'ptzip'})\n"
        "    except ModuleNotFoundError as error: print(error)\n"
        "system = __import__('os', {'__package__': 'ptzip.io'})\n"
        "names = 'pread', 'fork', 'O_DIRECTORY', 'replace', 'O_BINARY'\n"
        "print([name for name in names if hasattr(system, name)], system.name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(WITHOUT_POSIX), check=True
    )
    assert done.stdout.splitlines() == [
        "No module named 'fcntl'",
        "No module named 'resource'",
        "['replace', 'O_BINARY'] nt",
    ]


@pytest.mark.parametrize(
    "words",
    [
        "slim last.pt --check",
        "slim -i last.pt",
        "slim last.pt -o small.pt.zst",
        "slim last.pt -o new/ --plain",
        "convert last.pt -o out.safetensors",
        "convert last.pt -o out.npz",
        "verify last.pt --values",
        "scan last.pt",
        "inspect last.pt",
        "inspect --extract data.pkl -o out.bin last.pt",
        "slim - -o - --check",
    ],
)
def test_a_command_does_the_same_without_posix(words: str, folder: Path) -> None:
    def run(name: str, settings: dict[str, str]) -> tuple[object, ...]:
        Path(name).mkdir()
        Path(name, "last.pt").write_bytes((FIXTURES / "training.pt").read_bytes())
        command = [sys.executable, "-m", "ptzip", *words.split()]
        with Path(name, "last.pt").open("rb") if "-" in command else contextlib.nullcontext() as stdin:
            done = subprocess.run(command, cwd=name, stdin=stdin, capture_output=True, env=environment(settings), check=False)
        files = {path.name: path.read_bytes() for path in sorted(Path(name).rglob("*")) if path.is_file()}
        return done.returncode, done.stdout, done.stderr, files

    assert run("windows", WITHOUT_POSIX) == run("here", {})


def test_files_are_shared_by_spawned_processes_without_posix(folder: Path) -> None:
    inputs = [save(Path(f"{number}.pt")) for number in range(6)]
    assert without_posix("scan", "-j", "2", *inputs).out == ptzip("scan", *inputs).out
    done = without_posix("slim", "-j", "2", "-o", "small/", *inputs)
    assert (done.code, done.err) == (0, "")
    assert names("small") == [path.name for path in inputs]


def test_a_read_only_file_is_overwritten_with_f_without_posix(folder: Path) -> None:
    last = save(Path("last.pt"))
    last.chmod(0o444)
    assert without_posix("slim", "-i", "last.pt").code == 2
    assert without_posix("slim", "-i", "-f", "last.pt").code == 0
    assert names() == ["last.pt"]


@pytest.mark.parametrize(
    "words",
    [
        "slim last.pt -o aux.pt",
        "convert last.pt -o new/nul.npz",
        "convert last.pt -o new./out.npz",
        "average last.pt last.pt -o my:page.pt",
    ],
)
def test_an_output_that_windows_would_take_for_something_else_is_refused(words: str, folder: Path) -> None:
    save(Path("last.pt"))
    done = without_posix(*words.split())
    assert (done.code, names()) == (2, ["last.pt"])
    assert "would not be a file of that name: " in done.err


HELD = """
import sys, ptzip
held = open(sys.argv[1], "rb")
try:
    ptzip.slim(sys.argv[1], sys.argv[1], overwrite=True)
except PermissionError as error:
    print(error)
"""


def test_a_file_that_somebody_else_has_open_is_not_replaced_without_posix(folder: Path) -> None:
    last = save(Path("last.pt"))
    before = last.read_bytes()
    command = [sys.executable, "-c", HELD, "last.pt"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(WITHOUT_POSIX), check=False)
    assert done.stderr == ""
    assert done.stdout == "[Errno 13] access is denied, or another program has the file open: 'last.pt'\n"
    assert (names(), last.read_bytes()) == (["last.pt"], before)


def test_a_checkpoint_is_saved_over_itself_without_posix(folder: Path) -> None:
    last = save(Path("last.pt"))
    before = last.read_bytes()
    program = "import ptzip\nwith ptzip.open('last.pt') as opened: opened.save('last.pt')"
    subprocess.run([sys.executable, "-c", program], env=environment(WITHOUT_POSIX), check=True)
    assert (names(), last.read_bytes()) == (["last.pt"], before)


def test_ctrl_break_is_an_interrupt(folder: Path) -> None:
    command = [sys.executable, "-m", "ptzip", "slim", "-", "-o", "new.pt"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(WITHOUT_POSIX)) as running:
        assert running.stdin is not None
        running.stdin.write(b"x" * (1 << 20))  # more than a pipe holds: ptzip reads now
        running.send_signal(no_posix.Signals.SIGBREAK)
        _, said = running.communicate()
    assert (running.returncode, said, names()) == (128 + 21, b"ptzip: interrupted, nothing written\n", [])


def test_the_package_has_no_test_for_the_system_outside_of_its_room() -> None:
    root = Path(package.__file__).parent
    marks = ("sys.platform", "os.name", "platform.system", "WIN32", "win32", "/dev/fd")
    found = {
        path.relative_to(root).as_posix() for path in root.rglob("*.py") if any(mark in path.read_text() for mark in marks)
    }
    assert found == {"io/system.py"}
