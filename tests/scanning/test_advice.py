"""Names that are not allow-listed are grouped by what allows them, however many there are."""

import time

import ptzip
from ptzip.render.scan import MOST_SHOWN, lines
from ptzip.scanning.advice import MOST_WORDS, safety, unknown_names

YOLO = ("models.yolo.DetectionModel", "models.common.Conv")
PACKAGES = 5_000


def imports(*names: str) -> bytes:
    """A pickle that imports names, and makes a list of them."""
    parts = (name.rpartition(".") for name in names)
    return b"\x80\x02](" + b"".join(f"c{module}\n{name}\n".encode() for module, _, name in parts) + b"e."


def test_names_of_a_preset_are_one_group_and_others_one_for_each_package() -> None:
    groups = list(unknown_names(ptzip.scan(imports(*YOLO, "mine.A", "mine.sub.B", "other.C"))))
    assert [(group.origin, group.flag) for group in groups] == [
        ("yolov5", "--trust yolov5"),
        ("mine", "--trust mine.A mine.sub.B"),
        ("other", "--trust other.C"),
    ]


def test_the_words_of_the_advice_make_the_file_clean() -> None:
    data = imports(*YOLO, "mine.A")
    verdict, why, words = safety(ptzip.scan(data))
    assert (verdict, why) == ("review", "2 classes of yolov5, mine.A")
    assert ptzip.scan(data, trust=words).verdict == "clean"


def test_thousands_of_packages_are_a_few_lines_and_take_no_longer_than_the_scan() -> None:
    report = ptzip.scan(imports(*(f"pkg{number}.Name" for number in range(PACKAGES))))
    before = time.process_time()
    shown = list(lines(report))
    assert time.process_time() - before < 1
    assert len(shown) == MOST_SHOWN + 2
    assert shown[-1] == f"  ... unknown names of {PACKAGES - MOST_SHOWN:,} more packages (-v shows them)"
    assert safety(report)[1].endswith(f", {PACKAGES - MOST_WORDS:,} more")
