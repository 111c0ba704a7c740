"""The pages that `ptzip help TOPIC` prints: text that the package carries in `ptzip/help`."""

from collections.abc import Iterable
from pathlib import Path

from ptzip.text import did_you_mean

FOLDER = Path(__file__).parents[1] / "help"
OVERVIEW = "topics"


def topics() -> list[str]:
    """The names of all pages."""
    return sorted(path.stem for path in FOLDER.glob("*.md"))


def page(topic: str, commands: Iterable[str] = ()) -> str:
    """The text of a page, or the list of all. Raises ValueError where there is none of that name; `commands` have help too."""
    if topic == OVERVIEW:
        return "\n".join(f"ptzip help {name:<12} {_title(name)}" for name in topics())
    if topic not in topics():
        known = [*commands, *topics()]
        hint = did_you_mean(topic, known) or f": expected one of {', '.join(known)}"
        raise ValueError(f"there is no help about {topic!r}{hint}")
    return (FOLDER / f"{topic}.md").read_text(encoding="utf-8").rstrip("\n")


def _title(name: str) -> str:
    with (FOLDER / f"{name}.md").open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").rstrip()
