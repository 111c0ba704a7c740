"""The pictures at the head of the README, made from `fixtures/training.pt`: `python -m tests.pictures`.

`terminal.svg` is what two commands print, and a test makes it anew. `report.png` is the HTML report in Chromium; it needs
`pip install '.[browser]'`, and is made again by hand, since no two releases of Chromium draw the same pixels.
"""

import contextlib
import io
import re
from xml.etree import ElementTree

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from tests.cli.shell import ptzip, typed_in_terminal
from tests.corpus import FIXTURES
from tests.examples import furnished

FOLDER = FIXTURES / "pictures"
TERMINAL = FOLDER / "terminal.svg"
REPORT = FOLDER / "report.png"

LINES = ("ptzip inspect last.pt", "ptzip slim last.pt")
COLUMNS = 106
COLOURS = 64
"""The edges of letters need most of them. A picture with a palette has a tenth of the bytes."""


def terminal() -> str:
    """An SVG of a terminal in which LINES were typed; the font is that of the viewer."""
    console = Console(file=io.StringIO(), record=True, width=COLUMNS, force_terminal=True, color_system="truecolor")
    with furnished() as folder:
        for line in LINES:
            console.print(Text.assemble(("$ ", "bold green"), (line, "bold")))
            console.print(Text.from_ansi(typed_in_terminal(COLUMNS, line, folder).out))
    drawn = console.export_svg(title="ptzip", theme=MONOKAI, unique_id="ptzip")
    return re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)  # those are fetched from a server


def words(svg: str) -> list[str]:
    """What an SVG says, whatever it looks like."""
    texts = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return "".join(text.text or "" for text in texts).split()


def report() -> bytes:
    """A PNG of where the bytes go in the HTML report."""
    from PIL import Image  # here, since the SVG needs neither

    from tests.render.html.browser import chromium, opened

    with furnished() as folder, contextlib.chdir(folder), chromium() as browser:
        assert ptzip("inspect", "last.pt", "--html", "report.html").code == 0
        with opened(browser, folder / "report.html") as shown:
            shown.section("Where the bytes go").evaluate("section => scrollTo(0, section.offsetTop - 90)")
            picture = Image.open(io.BytesIO(shown.page.screenshot()))
    smaller = io.BytesIO()
    picture.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(smaller, "png", optimize=True)
    return smaller.getvalue()


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    TERMINAL.write_text(terminal())
    REPORT.write_bytes(report())
