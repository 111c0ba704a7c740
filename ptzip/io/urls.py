"""URLs as names of files, and what of them may be shown: their userinfo and query may be credentials."""

import re

MEMBER_MARK = "::"

URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+._-]+)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)", re.DOTALL)
"""RFC 3986, appendix B. A scheme has at least two letters, since `c:` is a drive of Windows; some of fsspec's have `_`."""

LINK = re.compile(r"::(?=[A-Za-z][A-Za-z0-9+._-]+://)")
"""What joins the parts of a chain of fsspec, as in `simplecache::https://...`."""

HOST = re.compile(r"(\[[0-9A-Fa-f:.]*\]|[^:]*)(:[0-9]*)?|arn:.*", re.DOTALL)
"""A host and its port, or an access point of S3."""

CONTAINERS = frozenset(("abfs", "abfss", "az"))
"""Schemes of Azure, whose URLs have CONTAINER@ACCOUNT where others have userinfo."""


def is_url(name: object) -> bool:
    """Whether something to open is a URL. A file of such a name is opened as `./NAME`."""
    return isinstance(name, str) and "://" in name and (URL.match(name) is not None or is_chain(name))


def is_chain(name: str) -> bool:
    """Whether a name is a chain of URLs, the first of which may be a word alone."""
    first, *others = LINK.split(name)
    return bool(others) and (first.isidentifier() or URL.match(first) is not None)


def split_url(name: str) -> tuple[str, str]:
    """A URL as the file and the name behind the mark in it; "" without one. An IPv6 address has such marks too."""
    if is_chain(name):
        return name, ""
    found = URL.match(name)
    at = name.find(MEMBER_MARK, found.end("authority") if found else 0)
    return (name, "") if at < 0 else (name[:at], name[at + len(MEMBER_MARK) :])


def redacted(name: str) -> str:
    """A name in which each URL, also that of FILE::NAME, is without userinfo, query and fragment."""
    return MEMBER_MARK.join(map(_redacted, LINK.split(name)))


def _redacted(name: str) -> str:
    found = URL.match(name)
    if found is None:
        return name
    file, member = split_url(name)
    scheme, authority, path = URL.match(file).groups()  # type: ignore[union-attr]  # as the whole does
    userinfo, _, host = authority.rpartition("@")
    if not HOST.fullmatch(host):  # a part of a password, perhaps
        host, path = "", path.rpartition("@")[2]
    shown = f"{userinfo}@{host}" if scheme.lower() in CONTAINERS and ":" not in userinfo and userinfo else host
    return f"{scheme}://{shown}{path}{MEMBER_MARK if member else ''}{member}"


def redacted_text(text: str, of: str = "") -> str:
    """A message of another library about a URL: each URL in it redacted, and what of that one may not be shown removed, which
    some have in other forms, such as `user:password@bucket`."""
    shown = re.sub(r"[A-Za-z][A-Za-z0-9+._-]+://\S+", lambda found: redacted(found[0]), text)
    found = URL.match(of)
    userinfo, mark, _ = found["authority"].rpartition("@") if found else ("", "", "")
    for secret in (userinfo + mark, of[found.end() :] if found else ""):
        shown = shown.replace(secret, "") if len(secret) > 1 else shown
    return shown
