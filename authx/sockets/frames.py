"""What is said on an open socket: the codes that close it, and the one frame that is ours."""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

from authx.core import strict_json
from authx.errors import AuthxError, ScopeMissing, SessionEnded, StoreUnavailable, TokenError, TooManySockets

#: A text frame that begins so is for us; every other one is the app's.
RENEW: Final = '{"type":"authx.renew",'
#: A reason is a machine word: never a text, never a token.
_REASON: Final = re.compile(r"[a-z0-9_]{1,32}")


class Closing(NamedTuple):
    """A close code (RFC 6455 §7.4) and the reason beside it."""

    code: int
    reason: str = ""

    @property
    def in_private_use(self) -> Closing:
        """Return the same with a code from our own range, for servers that send none of RFC 6455's own.

        1009 becomes 4409, and 1013 becomes 4413. daphne can send 1000, and codes from 3000 on.
        """
        return self if self.code >= 3000 else self._replace(code=4400 + self.code % 100)


#: The session has ended; the reason is its ``EndReason``.
ENDED: Final = 4401
#: The token is not good any more; another one of the same session may be.
UNAUTHORIZED: Final = 4408
TOO_MANY: Final = 4429
#: It cannot be known whether the session is live.
TRY_AGAIN: Final = 1013
TOO_BIG: Final = Closing(1009)
#: The words of UNAUTHORIZED.
_TOKEN_WORDS: Final = frozenset({"token_expired", "key_unknown", "token_malformed", "insufficient_scope"})


def closing_for(error: AuthxError) -> Closing:
    """Return how a socket is closed where its credential comes to this."""
    if isinstance(error, SessionEnded):
        return Closing(ENDED, error.reason if _REASON.fullmatch(error.reason) else error.code)
    if isinstance(error, StoreUnavailable):
        return Closing(TRY_AGAIN, error.code)
    if isinstance(error, TooManySockets):
        return Closing(TOO_MANY, error.code)
    is_known = isinstance(error, TokenError | ScopeMissing) and error.code in _TOKEN_WORDS
    return Closing(UNAUTHORIZED, error.code if is_known else "token_malformed")


def is_reason(word: str) -> bool:
    """Return whether it may be sent as the reason of a close."""
    return _REASON.fullmatch(word) is not None


def renewed(expires_in: int) -> str:
    """Return the answer to a renewal; ``expires_in`` is seconds."""
    return _text({"type": "authx.renewed", "expires_in": expires_in})


def not_renewed(error: AuthxError) -> str:
    """Return the answer to a renewal that nobody could judge: the socket goes on as it was."""
    return _text({"type": "authx.not_renewed", "code": error.code})


def read_renewal(text: str) -> dict[str, Any]:
    """Return the members of a frame that begins as ours do.

    Raises:
        ValueError: it is not one JSON object.
    """
    return strict_json.loads(text.encode())


def _text(members: dict[str, Any]) -> str:
    return json.dumps(members, separators=(",", ":"))
