"""Fetch tokens from an issuer's token endpoint: by exchange (RFC 8693), and for oneself (RFC 6749 §4.4)."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from functools import partial
from hashlib import sha256
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.views.decorators.debug import sensitive_variables

from authx import metrics
from authx.client.cache import Issued, TokenCache
from authx.client.presented import presented_token
from authx.conf import conf
from authx.core.jws import MAX_TOKEN_LENGTH
from authx.errors import OAuthError, StoreUnavailable
from authx.gate.breaker import Breaker
from authx.gate.issuer_http import Refused, fetch_json
from authx.gate.shared_copy import drop_on_change

logger = logging.getLogger("authx")

_ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"
_EXCHANGE: Final = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": _ACCESS_TOKEN,
}
_OWN: Final = {"grant_type": "client_credentials"}

#: What a parameter is written as: it may be repeated.
_Form = Mapping[str, str | tuple[str, ...]]


@sensitive_variables()
def exchange(request: Any, *, audience: str | Collection[str], scope: str | Collection[str] = "") -> str:
    """Return a token with which to call ``audience`` for the user whose token has let ``request`` in.

    It names that user and session, ends with them, and lets its bearer do what ``scope`` says, or without one
    all that the user's token and this service have in common. It is kept, and given again for the same
    token, until shortly before it ends. Waits for the issuer: in async code, call it through
    ``sync_to_async``.

    Raises:
        TokenMalformed: no access token has let the request in.
        OAuthError: the issuer refuses; ``error`` and ``error_description`` say why.
        StoreUnavailable: the issuer does not answer, or not as it should.
        ImproperlyConfigured: AUTHX_TOKEN_URL or AUTHX_SERVICE_CREDENTIALS is missing.
    """
    subject = presented_token(request)
    return _token({**_EXCHANGE, "subject_token": subject}, audience, scope)


@sensitive_variables()
def service_token(
    *, audience: str | Collection[str], scope: str | Collection[str] = "", fresh: bool = False
) -> str:
    """Return a token with which to call ``audience`` for this service itself, and for no user.

    It is kept until shortly before it ends. ``fresh`` fetches another one, for where the one that was kept
    has been refused: its session may have been ended.

    Raises:
        OAuthError, StoreUnavailable, ImproperlyConfigured: as ``exchange``.
    """
    return _token(_OWN, audience, scope, fresh=fresh)


@sensitive_variables()
def _token(
    grant: Mapping[str, str],
    audience: str | Collection[str],
    scope: str | Collection[str],
    *,
    fresh: bool = False,
) -> str:
    url = conf.TOKEN_URL
    if not url or not conf.SERVICE_CREDENTIALS:
        raise ImproperlyConfigured(
            "Set AUTHX_TOKEN_URL, the issuer's token endpoint, and AUTHX_SERVICE_CREDENTIALS."
        )
    audiences = (audience,) if isinstance(audience, str) else tuple(sorted(audience))
    scopes = scope.split() if isinstance(scope, str) else list(scope)
    form: dict[str, str | tuple[str, ...]] = {**grant, "audience": audiences}
    if scopes:
        form["scope"] = " ".join(sorted(set(scopes)))
    return _tokens.get(_digest(url, form), partial(_fetch, url, form), fresh=fresh)


@sensitive_variables()
def _digest(url: str, form: _Form) -> bytes:
    return sha256(json.dumps([url, form], sort_keys=True).encode(errors="surrogatepass")).digest()


@sensitive_variables()
def _fetch(url: str, form: _Form) -> Issued:
    """Ask the issuer, unless it has just failed to answer."""
    if not _breaker.allows():
        raise StoreUnavailable("the issuer has not answered lately")
    try:
        issued = _issued(fetch_json(url, form=form, authenticated=True), form)
    except Refused as error:
        _breaker.worked()
        metrics.SERVICE_TOKENS.count(outcome="refused" if error.word else "unavailable")
        raise _refusal(error, form) from None
    except BaseException as error:
        _breaker.failed()
        metrics.SERVICE_TOKENS.count(outcome="unavailable")
        metrics.STORE_FAILURES.count(store="issuer")
        if isinstance(error, StoreUnavailable):
            logger.warning("AUTHX_TOKEN_URL gave no token: %s.", error, extra={"event": "token_not_fetched"})
        raise
    _breaker.worked()
    metrics.SERVICE_TOKENS.count(outcome="issued")
    return issued


@sensitive_variables()
def _issued(answer: Mapping[str, Any], form: _Form) -> Issued:
    """Read an answer strictly (RFC 6749 §5.1, RFC 8693 §2.2.1).

    Raises:
        StoreUnavailable: it is not what it should be.
    """
    token, kind, expires_in = (answer.get(name) for name in ("access_token", "token_type", "expires_in"))
    is_token = isinstance(token, str) and 0 < len(token) <= MAX_TOKEN_LENGTH and token.isascii()
    is_bearer = isinstance(kind, str) and kind.lower() == "bearer"
    is_of_kind = "subject_token" not in form or answer.get("issued_token_type") == _ACCESS_TOKEN
    is_timed = expires_in is None or (type(expires_in) is int and expires_in > 0)
    if not (is_token and is_bearer and is_of_kind and is_timed) or not str(token).isprintable():
        raise StoreUnavailable("the answer is not what it should be")
    longest = int(conf.ACCESS_TOKEN_LIFETIME.total_seconds())
    return Issued(str(token), None if expires_in is None else min(expires_in, longest))


def _refusal(error: Refused, form: _Form) -> OAuthError | StoreUnavailable:
    """Return what an answer 4xx means; without a word of OAuth, that AUTHX_TOKEN_URL leads elsewhere."""
    audience = ", ".join(form["audience"])
    if not error.word:
        logger.error(
            "AUTHX_TOKEN_URL is no token endpoint, or a proxy answers in its place: %s.",
            error,
            extra={"event": "token_url_wrong"},
        )
        return StoreUnavailable("the issuer does not answer as it should")
    refused = OAuthError(error.word, error.description)
    logger.warning(
        "The issuer gave no token for %s: %s, %s.",
        audience,
        refused.error,
        refused.error_description,
        extra={"event": "token_refused"},
    )
    return refused


_tokens = TokenCache()
_breaker = Breaker(name="issuer_tokens")


def _drop() -> None:
    _tokens.clear()
    _breaker.worked()


drop_on_change(_drop, "AUTHX_TOKEN_URL", "AUTHX_SERVICE_CREDENTIALS", "AUTHX_ISSUER")
