"""Every file of two corpora has a page, or an error in one line: what is broken is left out of it."""

import json
from pathlib import Path

import pytest

from tests.cli.shell import ptzip
from tests.corpus import parameters

pytestmark = [pytest.mark.html, pytest.mark.slow]


@pytest.mark.parametrize("path", parameters("frameworks", "threats"))
def test_a_file_has_a_page_or_an_error(path: Path, folder: Path) -> None:
    page = folder / "out.html"
    code, _, err = ptzip("inspect", path, "--stats", "--html", page)
    assert err.count("\n") == (1 if code else 0)
    if not page.exists():
        assert code == 2
        return
    text = page.read_text()
    report = json.loads(text.partition('id="report">')[2].partition("</script>")[0])
    titles = [section["title"] for section in report["sections"]]
    assert titles[:4] == ["Summary", "Where the bytes go", titles[2], "Safety"]
    assert text.count("<script") == 3
