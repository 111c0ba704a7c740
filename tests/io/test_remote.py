"""Without the packages, ptzip works as before, and an error names what to install."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from ptzip.errors import UnsupportedError
from ptzip.io.remote import PACKAGES, filesystem
from tests.cli.shell import ptzip
from tests.corpus import FIXTURES


@pytest.mark.parametrize("scheme", PACKAGES)
def test_without_fsspec_the_extra_is_named(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UnsupportedError, match=r"is not installed: `pip install 'ptzip\[remote\]'`"):
        filesystem(f"{scheme}://host/last.pt")


@pytest.mark.skipif(not find_spec("fsspec"), reason="needs fsspec")
@pytest.mark.parametrize(("scheme", "package"), [(one, package) for one, package in PACKAGES.items() if "ptzip" not in package])
def test_without_its_package_that_of_a_scheme_is_named(scheme: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(scheme: str) -> None:
        raise ImportError(scheme)

    monkeypatch.setattr("fsspec.get_filesystem_class", missing)
    with pytest.raises(UnsupportedError, match=f"`pip install {package}`"):
        filesystem(f"{scheme}://host/last.pt")


@pytest.mark.skipif(not find_spec("fsspec"), reason="needs fsspec")
def test_a_scheme_that_nobody_knows_is_an_error() -> None:
    run = ptzip("verify", "foo://user:word@host/last.pt?token=word")
    assert (run.code, run.err) == (2, "ptzip: error: foo://host/last.pt: fsspec knows no protocol foo://\n")


@pytest.mark.skipif(not find_spec("fsspec"), reason="needs fsspec")
def test_any_file_system_of_fsspec_is_read_and_written() -> None:
    import fsspec

    fsspec.filesystem("memory").pipe_file("/bucket/last.pt", (FIXTURES / "training.pt").read_bytes())
    assert ptzip("slim", "memory://bucket/last.pt", "-o", "memory://bucket/slim/", "--check").code == 0
    assert ptzip("verify", "memory://bucket/slim/last.pt").code == 0
    assert ptzip("scan", "memory://bucket/**/*.pt", "--json").out.count('"path": "memory://bucket/') == 2


def test_a_path_loads_nothing_of_it() -> None:
    code = "import sys; from ptzip.cli.main import main; main(sys.argv[1:]); print(*sys.modules)"
    words = [sys.executable, "-c", code, "scan", str(FIXTURES / "training.pt")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert not {"fsspec", "aiohttp", "ptzip.io.remote", "asyncio", "concurrent.futures"} & set(done.stdout.split())
