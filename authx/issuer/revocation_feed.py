"""The feed of endings, for services that keep a copy of their own."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from itsdangerous import BadData, Signer, base64_decode, base64_encode

from authx.conf import secret_keys
from authx.core.derivation import signer
from authx.core.log_position import LogPosition
from authx.core.revocation_log import is_key, is_mark, read_mark
from authx.gate.revocation.window import window
from authx.models import ServiceClient
from authx.store.revocation_log import EndedLog

#: The members of a response that hold entries.
KINDS = ("endings", "not_before", "withdrawn_keys")
#: Endings in one response; a reader requests the next one while there are more.
PAGE_SIZE = 5000


def may_follow(client: ServiceClient) -> bool:
    """Return whether a client may read the feed, which tells of everybody's sessions.

    An app may not that users sign in to and nothing more: no token is for it, so no ending concerns it.
    """
    return bool(client.audience) or client.may_manage_sessions or not client.redirect_uris


def endings_since(cursor: str) -> dict[str, Any]:
    """Return the endings committed since the reading that gave ``cursor``; all that matter, if it is invalid.

    ``endings`` are pairs of sid and reason. ``not_before`` are marks: a subject, or None for everybody, a
    number, a reason and, where there is one, the sid that it does not end; the mark ends each other session
    whose tokens carry a smaller ``era``, or none. ``withdrawn_keys`` are kids. ``whole`` says that this is a
    reading from the start, ``more`` that the next entries follow after ``cursor``; ``keep`` is the number of
    seconds for which an ending matters.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    log = EndedLog(_position(cursor), limit=PAGE_SIZE)
    found = log.read()
    return {
        **_by_kind(found.ended),
        "whole": found.whole,
        "more": found.more,
        "cursor": _cursor(found.position),
        "keep": int(window().total_seconds()),
    }


def _by_kind(ended: Mapping[str, str]) -> dict[str, list[Any]]:
    endings: list[Any] = []
    not_before: list[Any] = []
    withdrawn: list[Any] = []
    for name, value in ended.items():
        if is_mark(name):
            number, reason, kept = read_mark(value)
            not_before.append((name[1:] or None, number, reason, *([kept] if kept else [])))
        elif is_key(name):
            withdrawn.append(name[1:])
        else:
            endings.append((name, value))
    return {"endings": endings, "not_before": not_before, "withdrawn_keys": withdrawn}


def _cursor(position: LogPosition) -> str:
    """Sign the position, so that nobody can make the database look for gaps of their own choice."""
    text = json.dumps(position.as_json(), separators=(",", ":"))
    return _signer().sign(base64_encode(zlib.compress(text.encode()))).decode()  # it travels in a URL


def _position(cursor: str) -> LogPosition | None:
    try:
        text = zlib.decompress(base64_decode(_signer().unsign(cursor))) if cursor else b"null"
        return LogPosition.from_json(json.loads(text))
    except (BadData, ValueError, zlib.error):
        return None


def _signer() -> Signer:
    return signer(secret_keys(), "feed", salt=b"authx.feed")
