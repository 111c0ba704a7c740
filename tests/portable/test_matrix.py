"""The script that tries interpreters side by side, with the one that runs the tests."""

import sys
from pathlib import Path

import pytest

import ptzip
from tests.portable.matrix import table, verdicts, written


@pytest.mark.slow
def test_whatever_this_interpreter_writes_loads_in_it_afterwards_also_on_windows(tmp_path: Path) -> None:
    files, readers = written([sys.executable], tmp_path)
    for one in files:
        ptzip.convert(one.file, one.portable, portable=True)
    found = verdicts(files, readers)
    assert {found[reader.name, one.portable] for reader in readers for one in files if reader.reads(one)} == {"loads"}
    assert len(table(files, readers, found)) == 2 + len(files)
