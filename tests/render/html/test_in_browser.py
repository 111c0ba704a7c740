"""Pages in a real browser, without a network: what a person does with them, and what a hostile file cannot."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checkpoint_builder import CheckpointBuilder, numbers
from tests.cli.shell import ptzip
from tests.render.html.browser import Opened, chromium, opened
from tests.small_checkpoints import save, training_records, weights

pytestmark = [pytest.mark.browser, pytest.mark.html]

ATTACKS = (
    "<script>document.title='attacked'</script>",
    "</script><script>document.title='attacked'</script>",
    "<img src=x onerror=\"document.title='attacked'\">",
    "<a href='javascript:document.title=1'>link</a>",
    "<b>bold</b>",
    "%{label} $\\alpha$ &lt;i&gt;",
    "<!--",
    "${title}",
    "__proto__",
    "toString",
    "\u202egnp.exe",
    "a\x00b\nc\u2028d",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


def report(path: Path, *flags: str) -> Path:
    """The page of a checkpoint."""
    page = path.with_suffix(".html")
    assert ptzip("inspect", path, "--html", page, *flags).code == 0
    return page


@pytest.fixture(scope="module")
def training(folder: Path) -> Path:
    """The page of a small training checkpoint, with statistics."""
    return report(save(folder / "training.pt", training_records(4096)), "--stats")


@pytest.fixture(scope="module")
def hostile(folder: Path) -> Path:
    """The page of a checkpoint whose keys and values are markup."""
    built = CheckpointBuilder()
    tensors = {name: built.tensor(numbers(100 + at)) for at, name in enumerate(ATTACKS)}
    values = {"state_dict": tensors, **{name: {name: name} for name in ATTACKS}}
    return report(built.save(folder / "hostile.pt", values), "--stats")


@pytest.fixture(scope="module")
def many(folder: Path) -> Path:
    """The page of 10,000 tensors."""
    built = CheckpointBuilder()
    storage = built.storage(np.zeros(10_000, "float32"))
    tensors = {f"blocks.{at // 10}.{at % 10}": built.view(storage, (1,), offset=at) for at in range(10_000)}
    return report(built.save(folder / "many.pt", {"state_dict": tensors}))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["training", "hostile", "many"])
def test_a_page_opens_without_complaints(name: str, scheme: str, browser: Any, request: pytest.FixtureRequest) -> None:
    with opened(browser, request.getfixturevalue(name), scheme) as found:
        assert found.complaints == []
        assert found.page.title() == f"{name}.pt"
        assert found.page.locator(".waiting").count() == 0


def test_a_click_on_the_treemap_zooms_in_and_a_path_does_too(training: Path, browser: Any) -> None:
    with opened(browser, training) as found:
        section = found.section("Where the bytes go")
        before = section.locator("g.treemap g.slice").count()
        section.locator("g.slice", has_text="optimizer").first.click(position={"x": 8, "y": 8})
        assert "optimizer" in section.locator("output").inner_text()
        assert section.locator("g.treemap g.slice").count() < before
        section.get_by_role("button", name="Show all").click()
        assert section.locator("g.treemap g.slice").count() == before
        box = section.get_by_label("Zoom to a path")
        box.fill(section.locator("datalist option").nth(1).get_attribute("value"))
        box.press("Enter")
        assert section.locator("output").inner_text().startswith(box.input_value())
        section.get_by_role("button", name="Up").click()
        assert section.locator("g.treemap g.slice").count() == before
        assert found.complaints == []


def test_a_table_is_sorted_by_a_column_and_searched_by_words(training: Path, browser: Any) -> None:
    with opened(browser, training) as found:
        section = found.section("Tensors")
        in_file = found.rows("Tensors")
        head = section.locator("th").first
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        assert found.rows("Tensors") == sorted(in_file)
        head.get_by_role("button").click()
        assert found.rows("Tensors") == sorted(in_file, reverse=True)
        head.get_by_role("button").click()
        assert found.rows("Tensors") == in_file
        section.get_by_role("searchbox").fill("conv.w WEIGHTS")
        assert found.rows("Tensors") == ["model.conv.weight"]
        assert section.locator("output").inner_text() == f"1 of {len(in_file)}"


def test_a_page_is_used_with_the_keyboard_alone(training: Path, browser: Any) -> None:
    with opened(browser, training) as found:
        found.page.keyboard.press("/")
        found.page.keyboard.type("conv")
        assert found.page.evaluate("document.activeElement.type") == "search"
        found.page.get_by_role("button", name="light and dark").focus()
        found.page.keyboard.press("Enter")
        assert found.page.locator("html").get_attribute("data-theme") == "dark"
        tree = found.section("Object").locator("summary").nth(1)
        tree.focus()
        found.page.keyboard.press("Enter")
        assert found.section("Object").locator("details[open]").count() == 2


def brightness(found: Opened) -> int:
    background: str = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(part) for part in background.strip("rgba()").split(",")[:3])


def test_the_button_switches_between_light_and_dark_with_the_figures(training: Path, browser: Any) -> None:
    def axis() -> str:
        tick: str = found.section("What slim would do").locator(".ytick text").first.evaluate("it => getComputedStyle(it).fill")
        return tick

    with opened(browser, training, "dark") as found:
        dark, words = brightness(found), axis()
        found.page.get_by_role("button", name="light and dark").click()
        assert brightness(found) > 600 > 200 > dark
        assert axis() != words


def test_long_tables_show_more_rows_while_they_are_scrolled(many: Path, browser: Any) -> None:
    with opened(browser, many) as found:
        section = found.section("Tensors")
        assert len(found.rows("Tensors")) < 1000
        region = section.get_by_role("region")
        for _ in range(3):
            region.evaluate("it => { it.scrollTop = it.scrollHeight; }")
            found.page.wait_for_timeout(200)
        assert len(found.rows("Tensors")) > 400
        section.get_by_role("searchbox").fill("blocks.999.9")
        assert found.rows("Tensors") == ["state_dict.blocks.999.9"]


def test_keys_that_are_markup_are_shown_as_they_are(hostile: Path, browser: Any) -> None:
    with opened(browser, hostile) as found:
        found.page.locator("summary").first.wait_for()
        for at in range(found.page.locator("summary").count()):
            found.page.locator("summary").nth(at).evaluate("it => { it.parentElement.open = true; }")
        found.page.wait_for_timeout(200)
        names = "\n".join(found.rows("Tensors"))
        assert all(attack in names for attack in ATTACKS if attack.isprintable())
        assert "\\u202egnp.exe" in names
        assert found.page.title() == "hostile.pt"
        assert found.page.locator("main img, main b, main a, main script").count() == 0
        assert found.complaints == []


def test_a_page_is_printed_in_light_colours_with_every_figure(training: Path, browser: Any) -> None:
    def tick() -> str:
        colour: str = found.page.locator(".ytick text").first.evaluate("it => getComputedStyle(it).fill")
        return colour

    with opened(browser, training, "light") as found:
        light = tick()
    with opened(browser, training, "dark") as found:
        dark = tick()
        found.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert tick() == light != dark
        found.page.emulate_media(media="print")
        assert not found.page.get_by_role("button", name="light and dark").is_visible()
        found.page.emulate_media(media="screen")
        found.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert tick() == dark
        assert found.page.pdf().startswith(b"%PDF")


def test_the_file_map_is_walked_and_zoomed_with_keys(training: Path, browser: Any) -> None:
    with opened(browser, training) as found:
        section = found.section("File map")
        map_words = section.locator(".strip output")
        section.locator("canvas").focus()
        found.page.keyboard.press("ArrowRight")
        assert "pickle, training/data.pkl" in map_words.inner_text() or "last/data.pkl" in map_words.inner_text()
        before = section.locator("canvas").screenshot()
        found.page.keyboard.press("+")
        assert section.locator("canvas").screenshot() != before
        found.page.keyboard.press("End")
        assert "end of central directory" in map_words.inner_text()


def test_pages_of_diff_and_slim_open_without_complaints(folder: Path, browser: Any) -> None:
    path = save(folder / "input.pt", training_records(4096))
    moved = save(folder / "moved.pt", training_records(4096, model={"conv.weight": weights(4096).reshape(4, -1) * 1.01}))
    pages = folder / "slim_page.html", folder / "diff_page.html"
    assert ptzip("slim", path, "-o", folder / "output.pt", "--check", "--html", pages[0]).code == 0
    assert ptzip("diff", path, moved, "--html", pages[1]).code == 1
    for page, title in zip(pages, ("What slim did", "Where weights moved"), strict=True):
        with opened(browser, page) as found:
            assert found.complaints == []
            assert found.section(title).locator(".js-plotly-plot").count() == 1


def test_on_a_narrow_screen_the_names_leave_room_for_other_columns(training: Path, browser: Any) -> None:
    with opened(browser, training) as found:
        found.page.set_viewport_size({"width": 400, "height": 900})
        found.page.wait_for_timeout(200)
        region = found.section("Tensors").get_by_role("region")
        names, whole = region.locator("tbody td").first.bounding_box(), region.bounding_box()
        assert names["width"] < whole["width"] / 2
