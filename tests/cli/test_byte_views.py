"""`ptzip inspect --map`, `--hex` and `--extract`: what is shown of any file, in text and JSON, and what is written."""

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.shell import environment, in_terminal, names, one_line, ptzip, reports, shell
from tests.corpus import FIXTURES
from tests.files_of_checkpoints import several_files, tarred
from tests.small_checkpoints import archive, save, training_records


def answer(*words: str | Path) -> Any:
    """What `--json` says of one file."""
    (found,) = reports(ptzip("inspect", "--json", *words).out)
    return found


def test_the_map_is_one_line_for_each_part(last: Path) -> None:
    lines = ptzip("inspect", last, "--map", "--all").out.splitlines()
    found = answer(last, "--map")
    assert lines[0] == f"last.pt: {last.stat().st_size:,} bytes in {len(found['parts'])} parts"
    for line, part in zip(lines[1:], found["parts"], strict=False):
        assert line.split()[:2] == [str(part["offset"]), str(part["length"])]
        assert part["kind"] in line
        assert part["owner"] in line


def test_the_map_as_json_has_this_shape(last: Path) -> None:
    found = answer(last, "--map", "--fields")
    assert set(found) == {"ok", "path", "size", "parts"}
    assert found["size"] == last.stat().st_size == sum(part["length"] for part in found["parts"])
    for part in found["parts"]:
        assert set(part) == {"offset", "length", "kind", "owner", "remark", "structure", "users", "fields"}
        for field in part["fields"]:
            assert set(field) == {"name", "offset", "length", "raw", "value", "meaning", "depth"}
        assert bool(part["fields"]) == bool(part["structure"])
    assert all("fields" not in part for part in answer(last, "--map")["parts"])


def test_the_fields_are_below_their_structures(last: Path) -> None:
    lines = ptzip("inspect", last, "--map", "--fields").out.splitlines()
    assert lines[1].split() == ["0", "64", "local", "header", "last/data.pkl"]
    assert lines[4].split()[2:] == ["flags", "2056", "data", "descriptor", "follows,", "UTF-8", "names"]


def test_a_long_map_is_folded_unless_all_is_requested() -> None:
    path = FIXTURES / "sharing.pt"
    lines = ptzip("inspect", path, "--map").out
    assert "64 more of local header, storage, data descriptor: sharing/data/8 to sharing/data/71" in lines
    assert "more of" not in ptzip("inspect", path, "--map", "--all").out


@pytest.mark.parametrize(
    "data", [b"", b"text", bytes(1000), archive(training_records())[:700], archive(training_records())[99:]]
)
def test_a_file_that_does_not_open_has_a_map_and_a_dump(data: bytes, folder: Path) -> None:
    (folder / "odd.bin").write_bytes(data)
    assert sum(part["length"] for part in answer("odd.bin", "--map")["parts"]) == len(data)
    result = ptzip("inspect", "odd.bin", "--map")
    assert (result.code, result.err) == (0, "")
    if data:
        dumped = "".join(row["bytes"] for row in answer("odd.bin", "--hex", "0:9999")["rows"])
        assert bytes.fromhex(dumped) == data


def test_a_checkpoint_in_a_tar_has_a_map_of_its_own(folder: Path) -> None:
    files = several_files()
    (folder / "all.tar").write_bytes(tarred(files))
    assert answer("all.tar::a/last.pt", "--map")["size"] == len(files["a/last.pt"])
    assert answer("all.tar", "--map")["size"] == (folder / "all.tar").stat().st_size


def test_a_compressed_file_says_that_it_has_to_be_unpacked(folder: Path) -> None:
    (folder / "last.pt.gz").write_bytes(gzip.compress(archive(training_records())))
    assert "(unpack the gzip to map what it holds)" in ptzip("inspect", "last.pt.gz", "--map").out


def test_a_dump_names_parts_and_fields(last: Path) -> None:
    out = ptzip("inspect", last, "--hex", "0:96").out
    assert out.splitlines()[:3] == [
        "last.pt: bytes 0 to 96",
        "  0: local header  last/data.pkl, 64 bytes",
        f"  00000000  {'50 4b 03 04':<47}  signature          b'PK\\x03\\x04'",
    ]
    assert "  64: pickle  last/data.pkl: the object, " in out
    assert "  00000040  80 02 7d 28 58 05 00 00  00 65 70 6f 63 68 4b 09  ..}(X....epochK." in out


def test_a_long_dump_is_cut_unless_all_is_requested(folder: Path) -> None:
    path = save(folder / "a.pt", training_records(5000))
    assert "more bytes (--all shows them)" in ptzip("inspect", path, "--hex", "data/0").out
    assert "more bytes" not in ptzip("inspect", path, "--hex", "data/0", "--all").out


def test_names_out_of_the_file_cannot_steer_a_terminal(folder: Path) -> None:
    (folder / "a.pt").write_bytes(archive({"data.pkl": b"N.", "a\x1b[31m\nb": b"x"}))
    for words in (("--map",), ("--map", "--fields"), ("--hex", "0:999")):
        assert "\x1b" not in ptzip("inspect", "a.pt", *words).out


@pytest.mark.parametrize("width", [70, 80, 140])
def test_the_views_fit_a_terminal(width: int, last: Path) -> None:
    for words in (("--map", "--fields"), ("--hex", "0:400"), ("--records", "--all")):
        plain = in_terminal(width, "inspect", last, *words, NO_COLOR="1").out
        coloured = in_terminal(width, "inspect", last, *words, NO_COLOR="", TERM="xterm").out
        assert "\x1b" not in plain
        assert max(map(len, plain.splitlines())) <= width
        assert ("\x1b[" in coloured) == ("--hex" in words)


def test_a_record_and_a_tensor_are_extracted(last: Path) -> None:
    assert ptzip("inspect", last, "--extract", "data/0", "-o", "zero.bin").out.startswith(
        "last.pt: 256 bytes of data/0 -> zero"
    )
    assert Path("zero.bin").read_bytes() == training_records()["data/0"]
    assert ptzip("inspect", last, "--extract", "model.conv.bias", "-o", "bias.npy").code == 0
    assert np.load("bias.npy").tolist() == [1.0, 1.125, 1.25, 1.375]
    assert answer(last, "--extract", "0:4", "-o", "four")["size"] == 4
    assert Path("four").read_bytes() == b"PK\3\4"


def test_bytes_are_extracted_to_stdout(last: Path) -> None:
    command = [sys.executable, "-m", "ptzip", "inspect", str(last), "--extract", "data.pkl", "-o", "-"]
    done = subprocess.run(command, env=environment(), capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (training_records()["data.pkl"], b"")


def test_an_existing_output_is_not_overwritten_unless_forced(last: Path) -> None:
    Path("there").write_bytes(b"old")
    words = ("inspect", last, "--extract", "data.pkl", "-o", "there")
    assert one_line(ptzip(*words), "ptzip: error: last.pt: ") == "there already exists (use -f to overwrite)"
    assert Path("there").read_bytes() == b"old"
    assert ptzip(*words, "-f").code == 0
    assert names() == ["last.pt", "there"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--fields",), "--fields is about --map: add that"),
        (("-o", "out"), "-o, -f and --raw are about --extract: add that"),
        (("--map", "--stack"), "--stack and --within are about --opcodes: add that"),
        (("--at", "5", "--within", "0:9"), "--stack and --within are about --opcodes: add that"),
        (("--tree", "--raw"), "-o, -f and --raw are about --extract: add that"),
        (("--map", "--values"), "--values shows one tensor: remove --map, and name it, as in last.pt::model.0.weight"),
        (("--extract", "data.pkl"), "--extract takes one FILE and needs -o OUT, or -o - for stdout"),
        (("--hex", ""), "it is not said which bytes: expected OFFSET, OFFSET:LENGTH or the name of a record"),
        (("--at", "1__0"), "'1__0' is no offset: expected a number, as 4096 or 0x1000"),
        (("--extract", "data.pkl", "-o", "last.pt", "-f"), "the output last.pt is the input itself: choose another output"),
        (("--hex", "999999"), "there is no byte 999,999: the file has "),
        (("--hex", "nothing"), "there is no record nothing: `ptzip inspect FILE --records` lists them"),
        (("--extract", "nothing", "-o", "out"), "there is no record or tensor nothing: `--records` and "),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
)
def test_what_does_not_fit_is_one_line(words: tuple[str, ...], message: str, last: Path) -> None:
    assert one_line(ptzip("inspect", last, *words), "ptzip: error: last.pt: ").startswith(message)
    assert names() == ["last.pt"]


def test_the_map_of_an_ordinary_file_loads_no_construct(last: Path) -> None:
    program = (
        "import sys; from ptzip.cli.main import main; main(['inspect', '--map', 'last.pt']); print('construct' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")


def test_a_reader_that_leaves_early_stops_nothing(last: Path) -> None:
    assert shell("inspect", last, "--map").code == 0
