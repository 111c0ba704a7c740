"""Inputs in which a loader once resolved a name, or crashed, although the scan found nothing."""

import base64
import zlib


def packed(text: str) -> bytes:
    """Bytes that were compressed, since they are mostly zeros."""
    return zlib.decompress(base64.b64decode(text))


REGRESSIONS = (
    # a bare import in bytes that a call loads
    b"\x80\x02}X\x01\0\0\0kctorch.storage\n_load_from_bytes\n(C\x06cm\nx\n.tRs.",
    b"\x80\x02}X\x01\0\0\0k\x8c\rtorch.storage\x8d\x10\0\0\0\0\0\0\0_load_from_bytes\x93(C\x06cm\nx\n.tRs.",
    # ... or behind what looks like the beginning of a safetensors file
    b"I\0\0\0\0\0\0\0{}                    \ncm\nx\ns",
    # Python's own unpickler takes the end of the file for the end of a line
    b"cm\nPK\x05\x06" + bytes(18),
    b"cm\nx!",
    # numpy crashes on the state of a dtype that is too short
    b"cnumpy\ndtype\nX\x02\0\0\0f2\x89\x88\x87R(K\x03X\x01\0\0\0<NJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb.",
    # a pickle whose first opcode is the P of a zip, up to a newline in its directory
    packed(
        "eNoL8GZmEWHACjiBOLGoKN5AL6+gMsCbkUmEAY9KNADXyBXBCOTmRjADyUq9qikZDFBmUgQrkM4rzS2oBLNSSioLUicHeLOygfQzAqE5kFYHmwYATn8Tnw=="
    ),
    # Stable-Baselines3 decodes base64 that has a character outside the alphabet
    packed(
        "eNoL8GZmEWGAgcJTy1Z5AGkQZgHilMSSxGqlgvyczORKJSuFaiWrksqCVCsgU6lCSUdByao4tSgzMSezKjUFLKgVaWRQmpReYOKcmRPsk25rq1QLVJUHlDKs"
        "DfBmZBJhwG0XKgDZHODNygZiMwKhEZDOAssAAKccIZc="
    ),
    # tars without the magic of ustar
    packed(
        "eNorLskvSkxPLWagITAAAjMTEzANBOi0gYGxCYINFjc3MjVhUDBgoAMIDQ5xDAJayTAyQQNTbQQjkM4Gk7lgsmJysd7Q9tV/YhXmDxkvBXizslHZSACMVBWh"
    ),
    packed(
        "eNorLskvSkxPLWagITAAAjMTEzANBOi0gaExgg0RNzcyNWRQMGCgAwgNDnEMAlrJMDJBA5M3o14DU20EI5CTnZycn5OTmlySmZ9XzOWSmVzCVazXwOxjUMGlQRXbSotLEotGcmBDwxlMJhbr0cXWAG9WNvwqANeDIO8="
    ),
    # a frame that is longer than the file, which Python's own unpickler accepts, in the first name of a tar
    packed(
        "eNqbasjAyAACGr4MjM4cDSzJuVwVXHptOQYR3EDR5PycnNTkksz8vGKjyREcYJFiruLMPC49BqKBARCYmZiAaSBApw0MzM0QbJC4obGJoTGDggHDKKA10NCI"
        "7WKYOLHo/38GhmB1dS4Ng/TMvDSubiWgXAQoZVQUsoPp3EIOA4MMjgz2yRrObJBEUhI0Gn5DHQAAtI4mmg=="
    ),
    # a member of a zip that is a pickle with a bare import and breaks off
    packed(
        "eNoL8GZmEWGAgZnWy95YAmkQ5gHiRH09/ZTEkkS9guycUKb84hA2oGBxZXFJau7kQubgXF4uAx9LXIDLIEw9V12BKwDFiovz0kOZgDQIc4KtKEstKs7MzzNG"
        "U9hq+1gSZB0Ic4MVJlWWpOYXpaQW5WSWlOSkBngzMokw4HY8KkD2CrpOdDchQDKyC9G1oboQ2coeVPcyMnCAFYFAgDcrmMkMhNuA9G6wKAADPj3F"
    ),
    # the scan raised errors: an entry that begins after the end of the file, and one that begins before the file
    packed(
        "eNpjCPBmZhFhgIFW28eSbEAahLmBOFE/qbIkNb8oJbUoJ7Ok5E0qqvKk4DRfmHIOsPKUxJJEfYPkXK4KLj1UtRfnpYcyAWkQ5gSrLUstKs7MzzPmQihkBWI/"
        "xzxFWSANwlxwQ/UKsnOC1Uvyi5Iz1LnC3HLyE0uCgbzE9FSuyUaaQQZA2xiZRBggxnBAvfLi////MK+gAiSPIWvE9BQbkiZ9JC+6OTExREUh623A4kkEiEb2"
        "MkLbf7AkspeZULS1oARAgDcr2D0sQPgESJ8EmfAf3QOokciD2+eMSP4DG1IPZDBiCwUeHKGAYQIDZoQ/AUYCUWHBgREWfCgWo4YFyGpZuNWIcGECeuAwI8jh"
        "kFQIACvxa20="
    ),
    packed(
        "eNprYHJKYGRgCPBmZhFhgAGncqYbYkAahLmAOFE/JbEkUa8gO6eB1a+QebqGYXKuXh5XBVesRkfh/9RWVN0X56WHMgFpEOYE6y5LLSrOzM8z5kJV2Gr7WJIN"
        "SIMwN1hhUmVJan5RSmpRTmZJSU5qgDcjkwgDbnehAoQr0fWhuogHSY8dsvsYGTjASkAA3Qh0tyJAOqrLA7xZQWoYmIFwC5CeNm0aWJkeAGLnNt0="
    ),
)
