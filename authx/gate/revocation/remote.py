"""A verify-only service's questions to the issuer: what has ended, or whether one token is valid."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from authx import clocks, metrics
from authx.conf import conf
from authx.core import revocation_log
from authx.core.claims import AccessClaims
from authx.core.liveness import Liveness
from authx.errors import KeyUnknown, StoreUnavailable
from authx.gate.issuer_http import Refused, fetch_json
from authx.gate.keys.remote import remote_keys
from authx.gate.revocation import window
from authx.gate.revocation.window import Endings
from authx.gate.service_credentials import has_key

logger = logging.getLogger("authx")

#: Seconds that one reading may take, whatever the number of its pages.
TOTAL_TIMEOUT_SECONDS = 30.0
#: The form of a reason; it goes into headers.
_REASON = re.compile("[a-z_]{1,32}")
#: The reason where none is given, as by introspection.
UNKNOWN_REASON = ""


class RemoteFeed:
    """The issuer's feed of endings, from where the last reading ended."""

    def __init__(
        self,
        url: str,
        *,
        fetch: Callable[..., dict[str, Any]] = fetch_json,
        clock: Callable[[], float] = clocks.monotonic,
    ) -> None:
        self._url, self._fetch, self._clock = url, fetch, clock
        self._cursor = ""
        #: For how many seconds an ending matters, according to the issuer.
        self.keep = 0.0

    def read(self) -> Endings:
        """Return the endings of all pages since the last reading; a failure is logged.

        Raises:
            StoreUnavailable: the issuer does not answer as it should, or not in time.
        """
        try:
            return self._read()
        except StoreUnavailable as error:
            metrics.STORE_FAILURES.count(store="issuer")
            logger.warning(
                "The endings at AUTHX_REVOCATIONS_URL were not read: %s.",
                error,
                extra={"event": "endings_not_read"},
            )
            if isinstance(error, Refused):
                self.begin_again()  # the issuer may have refused the cursor
            raise

    def _read(self) -> Endings:
        ended: dict[str, str] = {}
        cursor, whole, until = self._cursor, False, self._clock() + TOTAL_TIMEOUT_SECONDS
        while self._clock() < until:
            page = self._page(cursor)
            entries, cursor, keep = _checked(page)
            if page.get("whole") is True:
                ended, whole = {}, True
            revocation_log.merge_entries(entries.items(), ended)
            self.keep = max(self.keep, keep)
            if page.get("more") is not True:
                self._cursor = cursor
                return Endings(ended, cursor, whole)
            if len(ended) > window.MAX_ENDINGS:
                return Endings(ended, cursor, whole, more=True)
        raise StoreUnavailable(
            f"the feed of endings has not come to its end in {TOTAL_TIMEOUT_SECONDS:.0f} s"
        )

    def begin_again(self) -> None:
        """Make the next reading a whole one."""
        self._cursor = ""

    def _page(self, cursor: str) -> dict[str, Any]:
        """Fetch a page; who proves itself by a key does so in a form, and the cursor stands there too."""
        if has_key():
            return self._fetch(self._url, form={"since": cursor} if cursor else {}, authenticated=True)
        return self._fetch(self._address(cursor), authenticated=True)

    def _address(self, cursor: str) -> str:
        separator = "&" if "?" in self._url else "?"
        return f"{self._url}{separator}{urlencode({'since': cursor})}" if cursor else self._url


def _checked(page: Mapping[str, Any]) -> tuple[dict[str, str], str, float]:
    """Check a page, and return its entries, its cursor and how many seconds an ending matters."""
    try:
        entries = revocation_log.merge_entries(_entries(page))
        cursor, keep = page["cursor"], float(page["keep"])
    except (KeyError, TypeError, ValueError) as error:
        raise StoreUnavailable("the feed of endings is not what it should be") from error
    if not isinstance(cursor, str) or not cursor or not 0 < keep < 1e7:
        raise StoreUnavailable("the feed of endings is not what it should be")
    return entries, cursor, keep


def _entries(page: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each entry of a page.

    Raises:
        KeyError, TypeError, ValueError: it is not a page of the feed.
    """
    for sid, reason in page["endings"]:
        if revocation_log.is_mark(str(sid)) or revocation_log.is_key(str(sid)):
            raise ValueError("what should be a sid is not one")
        yield str(sid), _reason(reason)
    for subject, number, reason, *kept in page.get("not_before", ()):
        if type(number) is not int:
            raise TypeError("what should be the number of a mark is not one")
        name = revocation_log.name_of_subject("" if subject is None else str(subject))
        yield name, revocation_log.mark(number, _reason(reason), *map(str, kept))
    for kid in page.get("withdrawn_keys", ()):
        yield revocation_log.name_of_key(str(kid)), ""


def _reason(value: Any) -> str:
    """Return the reason; an ending counts, whatever its reason looks like."""
    return value if isinstance(value, str) and _REASON.fullmatch(value) else UNKNOWN_REASON


class IntrospectionSource:
    """Asks the issuer about each token (RFC 7662): exact, and a round trip per request."""

    def __init__(self, token: str, url: str, *, fetch: Callable[..., dict[str, Any]] = fetch_json) -> None:
        self._token, self._url, self._fetch = token, url, fetch

    def answer(self, claims: AccessClaims, now: datetime | None) -> Liveness:
        """Return whether the issuer calls the token active, now: it is asked about no other time.

        Raises:
            KeyUnknown: it does not, and no longer publishes the key of the token.
            StoreUnavailable: it does not answer as it should.
        """
        try:
            answer = self._fetch(self._url, form={"token": self._token}, authenticated=True)
            if not isinstance(active := answer.get("active"), bool):
                raise StoreUnavailable("the answer is not what it should be")
        except StoreUnavailable as error:
            metrics.STORE_FAILURES.count(store="issuer")
            logger.warning(
                "AUTHX_INTROSPECTION_URL gave no answer about a token: %s.",
                error,
                extra={"event": "introspection_failed"},
            )
            raise
        if active and (answer.get("sid"), answer.get("jti")) == (claims.sid, claims.jti):
            return Liveness(None)
        if conf.JWKS_URL and remote_keys(conf.JWKS_URL).is_gone(claims.kid):
            raise KeyUnknown("the issuer publishes its key no more")  # its session may be alive
        return Liveness(UNKNOWN_REASON)
