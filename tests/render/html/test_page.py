"""The template of a page: the only place where text of a checkpoint meets markup."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.render.html.page import LONGEST, Badge, Section, as_data, page

pytestmark = pytest.mark.html


@given(st.recursive(st.text() | st.integers() | st.floats() | st.none(), st.lists))
def test_data_cannot_leave_its_element(value: object) -> None:
    text = as_data(value)
    assert not set(text) & set("<>&\u2028\u2029")
    json.loads(text)


@given(st.text(max_size=LONGEST))
def test_texts_are_fit_to_print(text: str) -> None:
    shown = json.loads(as_data(text))
    assert shown.isprintable()
    assert shown == text or not text.isprintable()


def test_numbers_that_json_lacks_are_words() -> None:
    assert json.loads(as_data([math.nan, math.inf, -math.inf])) == ["nan", "inf", "-inf"]


HOSTILE = "</title></script><script>alert(1)</script><!-- $title ${report} \ud800"


def test_a_page_is_the_template_with_nothing_but_its_scripts() -> None:
    section = Section(HOSTILE, "table", {"columns": [], "rows": [[HOSTILE]]}, HOSTILE)
    text = page(HOSTILE, [Badge(HOSTILE)], [section])
    plain = page("", [], [])
    for tag in ("<script", "</script", "</title", "<!--", "<section"):
        assert text.count(tag) == plain.count(tag), tag
    text.encode()


def test_the_same_report_is_the_same_page() -> None:
    assert page("a", [], []) == page("a", [], [])


def test_a_page_names_nothing_to_load() -> None:
    template = page("a", [], []).partition('<script type="text/plain"')[0]
    assert "http" not in template.replace("http-equiv", "")
    assert "default-src 'none'" in template
