"""Advice on names that are not allow-listed: which presets or words of `--trust` allow them, together instead of one by one."""

from collections.abc import Iterator
from typing import NamedTuple

from ptzip.allowlist.table import Trust, pair
from ptzip.scanning.report import ScanReport, Verdict

MOST_WORDS = 3
"""So many names are worth typing after `--trust`; of more, `scan -v` shows each."""


class UnknownNames(NamedTuple):
    """Names that are not allow-listed: those of one preset (`origin`), or of one package. `words` allow all of them."""

    origin: str
    names: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def flag(self) -> str:
        """The flag that allows them; "" where it would be long."""
        return f"--trust {' '.join(map(quoted, self.words))}" if len(self.words) <= MOST_WORDS else ""

    def __str__(self) -> str:
        found = self._distinct
        kind = "class" if not any(word.endswith("()") for word in self.names) else "name"
        if len(found) == 1:
            return f"1 unknown {kind}, {found[0]}"
        return f"{len(found):,} unknown {'classes' if kind == 'class' else 'names'}, all of {self.origin}"

    @property
    def short(self) -> str:
        """The same in fewer words."""
        found = self._distinct
        return f"{len(found):,} classes of {self.origin}" if len(found) > 1 else found[0]

    @property
    def _distinct(self) -> list[str]:
        return list(dict.fromkeys(word.removesuffix("()") for word in self.names))


def quoted(word: str) -> str:
    """A word for `--trust` as a shell takes it."""
    return f"'{word}'" if word.endswith("()") else word


def unknown_names(report: ScanReport) -> Iterator[UnknownNames]:
    """The names in the findings that a user may trust: by preset where one has them all, else by package."""
    words = dict.fromkeys(finding.trust for finding in report.findings if finding.trust)
    if not words:
        return
    from ptzip.scanning.presets import PRESETS  # here and below: a large table, which clean files do not need
    from ptzip.scanning.trust import preset

    presets = {name: preset(name) for name in PRESETS}
    while words:
        covered = {name: [word for word in words if _is_in(word, known)] for name, known in presets.items()}
        best = max(covered, key=lambda name: len(covered[name]))
        if not covered[best]:
            break
        yield UnknownNames(best, tuple(covered[best]), (best,))
        words = {word: None for word in words if word not in covered[best]}
    packages = dict[str, list[str]]()
    for word in words:
        packages.setdefault(word.partition(".")[0], []).append(word)
    yield from (UnknownNames(package, tuple(names), tuple(names)) for package, names in packages.items())


def _is_in(word: str, known: Trust) -> bool:
    """Whether a preset allows what a word does: an import and instances, or calls."""
    path = word.removesuffix("()")
    module, colon, name = path.partition(":")
    row = known.get((module, name) if colon else pair(path))
    return row is not None and (path == word or (row.check is not None and not row.is_instance))


def safety(report: ScanReport) -> tuple[str, str, tuple[str, ...]]:
    """The verdict, why in a few words, and the words for `--trust` that make the file clean, "" and none where none do."""
    groups = tuple(unknown_names(report))
    is_all = all(finding.trust for finding in report.findings if finding.severity)
    words = tuple(word for group in groups for word in group.words) if is_all and report.verdict is Verdict.REVIEW else ()
    return report.verdict.value, _why(report, groups if is_all else ()), words


def _why(report: ScanReport, groups: tuple[UnknownNames, ...]) -> str:
    if report.verdict is Verdict.UNREADABLE:
        return report.reason
    if report.verdict is Verdict.CLEAN:
        return "nothing beyond the allow list"
    if report.verdict is Verdict.REVIEW and groups:
        shown = [group.short for group in groups[:MOST_WORDS]]
        return ", ".join(shown + [f"{len(groups) - MOST_WORDS:,} more"] * (len(groups) > MOST_WORDS))
    worst = max(report.findings, key=lambda finding: finding.severity)
    others = len(report.findings) - 1
    more = f", and {others:,} more finding{'' if others == 1 else 's'}" if others else ""
    return worst.message.partition(": ")[0] + more
