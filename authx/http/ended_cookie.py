"""Why the last session ended, for as long as the browser has nothing else that says so.

The login page takes back the cookies of a session that is over, and an ended Django session is emptied. The
reason has to outlast both: it stands on the page until somebody has signed in, after a wrong password too.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from itsdangerous import BadData, Signer, base64_decode, base64_encode

from authx import clocks
from authx.conf import secret_keys
from authx.core.derivation import signer
from authx.core.ended import Ended
from authx.core.reasons import EndReason
from authx.http.cookies import ENDED_SECONDS, ended_cookie, is_sent, read_cookie, set_ended_cookie


def keep(response: HttpResponseBase, ended: Ended, *, is_shown: bool = False) -> None:
    """Let the browser say for a while why its session has ended. It is no credential, and names nobody.

    With ``is_shown``, for this page has said it, to a form that is sent back alone.
    """
    at = None if ended.at is None else int(ended.at.timestamp())
    content = int(clocks.time()), ended.reason, at, ended.replaced_by, ended.answers_lost, is_shown
    text = json.dumps(content, separators=(",", ":")).encode()
    set_ended_cookie(response, _signer().sign(base64_encode(text)).decode())


def kept(request: HttpRequest) -> Ended | None:
    """Return what the request's own cookie says; None without one of ours, or where it is too old."""
    value = read_cookie(request, ended_cookie())
    if value is None or not value.isascii():
        return None
    try:
        return _read(json.loads(base64_decode(_signer().unsign(value))), is_form=request.method == "POST")
    except (BadData, ValueError, TypeError, ArithmeticError, OSError):  # or of another version of ours
        return None


def _read(content: Any, *, is_form: bool) -> Ended | None:
    written, reason, at, replaced_by, lost, is_shown = content
    if abs(clocks.time() - written) > ENDED_SECONDS or (is_shown and not is_form):
        return None
    ended_at = None if at is None else datetime.fromtimestamp(at, UTC)
    return Ended(EndReason(reason).value, ended_at, str(replaced_by), bool(lost))


def forget(request: HttpRequest, response: HttpResponseBase) -> None:
    """Delete the cookie, if there is one: somebody has signed in, or out."""
    if is_sent(request, ended_cookie()):
        set_ended_cookie(response, "")


def _signer() -> Signer:
    return signer(secret_keys(), "ended", salt=b"authx.ended")
