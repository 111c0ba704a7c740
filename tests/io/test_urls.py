"""What is a URL, what of it is a file, and what of it may be shown."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.io.urls import is_url, redacted, redacted_text, split_url

SECRETS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=3).map(lambda text: f"secret{text}")


@pytest.mark.parametrize(
    "name",
    ["https://h/x", "s3://bucket/key", "memory://x", "git+ssh://h", "a_b://h", "simplecache::s3://b/x", "zip://*::s3://b"],
)
def test_a_scheme_makes_a_url(name: str) -> None:
    assert is_url(name)


@pytest.mark.parametrize(
    "name",
    [
        "x.pt",
        "C:/x.pt",
        "c://x",
        "./s3://x",
        "a/b://c",
        "-",
        "last.pt::model",
        "last.pt::s3://b",
        "a/b::s3://b",
        "://x",
        b"s3://x",
        None,
    ],
)
def test_anything_else_is_none(name: object) -> None:
    assert not is_url(name)


@given(SECRETS, SECRETS, SECRETS)
def test_userinfo_query_and_fragment_are_not_shown(user: str, password: str, query: str) -> None:
    user, password = quote(user, safe=""), quote(password, safe="")
    url = f"https://{user}:{password}@host:80/a/b.tar?sig={query}#{query}"
    assert redacted(url.partition("::")[0]) == "https://host:80/a/b.tar"
    assert "secret" not in redacted_text(f"error at {url.split()[0]}")


@given(SECRETS)
def test_a_password_that_is_not_quoted_is_not_shown_either(password: str) -> None:
    assert "secret" not in redacted(f"https://somebody:{password}@host/x")


@pytest.mark.parametrize("url", ["s3://u:secret@b/x.pt?a=secret#secret", "s3://secret@b/x.pt#secret", "s3://b/x.pt?secret"])
def test_what_a_library_says_of_a_url_in_its_own_words_is_without_credentials(url: str) -> None:
    assert redacted_text(f"no bucket {url[5:]}, no key {url[5:].partition('/')[2]}", url) == "no bucket b/x.pt, no key x.pt"
    assert redacted_text("no such key", url) == "no such key"


@pytest.mark.parametrize("first", ["", "simplecache::", "zip://a/*.pt::", "last.tar::"])
@given(SECRETS)
def test_each_url_of_a_chain_is_without_credentials(first: str, password: str) -> None:
    password = quote(password, safe="")
    url = f"https://{password}:{password}@[::1]:80/a.pt?token={password}#{password}"
    assert redacted(first + url) == f"{first}https://[::1]:80/a.pt"


@pytest.mark.parametrize(
    ("url", "file", "name"),
    [
        ("https://h/x.tar::a.pt", "https://h/x.tar", "a.pt"),
        ("https://h/x.tar?sig=a::b::c", "https://h/x.tar?sig=a", "b::c"),
        ("http://[::1]:80/x", "http://[::1]:80/x", ""),
        ("http://u:p@[::1]/x::m", "http://u:p@[::1]/x", "m"),
    ],
)
def test_a_name_follows_the_file(url: str, file: str, name: str) -> None:
    assert split_url(url) == (file, name)
    assert redacted(url) == redacted(file) + (f"::{name}" if name else "")


@pytest.mark.parametrize(
    "url", ["s3://bucket/epoch@3.pt", "abfs://container@account.dfs/x", "s3://arn:aws:s3:x:1:accesspoint/k"]
)
def test_what_is_no_credential_is_shown(url: str) -> None:
    assert redacted(url) == url


def test_the_account_of_azure_is_shown_without_its_key() -> None:
    assert redacted("abfs://container:secret@account/x?sas=secret") == "abfs://account/x"
