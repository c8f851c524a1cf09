"""Asking an issuer over HTTP: a configured address, no redirects, little patience, bounded answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, NoReturn
from urllib.error import HTTPError
from urllib.parse import quote_plus, urlencode
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
    UnknownHandler,
)

from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.errors import StoreUnavailable

#: Seconds that connecting, and each read, may take.
PATIENCE = 3.0
#: Bytes of an answer.
LARGEST = 4 * 1024 * 1024


def fetch_json(
    url: str, *, form: Mapping[str, str] | None = None, authenticated: bool = False
) -> dict[str, Any]:
    """The JSON object at ``url``; ``form`` makes it a POST, ``authenticated`` adds our credentials.

    Raises:
        StoreUnavailable: whatever else it was.
    """
    try:
        with _opener().open(_request(url, form, authenticated), timeout=PATIENCE) as answer:
            return _object(answer.read(LARGEST + 1))
    except HTTPError as error:
        error.close()
        _fail(f"the issuer answered {error.code}", error)
    except (OSError, HTTPException, ValueError) as error:
        _fail("the issuer does not answer as it should", error)


def _opener() -> OpenerDirector:
    """HTTP and nothing else: no files, no redirects, no proxies of the environment."""
    opener = OpenerDirector()
    for handler in (HTTPHandler, HTTPSHandler, HTTPDefaultErrorHandler, HTTPErrorProcessor, UnknownHandler):
        opener.add_handler(handler())
    return opener


@sensitive_variables()
def _request(url: str, form: Mapping[str, str] | None, authenticated: bool) -> Request:
    """With our credentials as Basic, each part form-encoded first (RFC 6749 §2.3.1)."""
    data = None if form is None else urlencode(form).encode()
    request = Request(url, data, {"Accept": "application/json"})
    if authenticated and conf.SERVICE_CREDENTIALS:
        pair = ":".join(map(quote_plus, conf.SERVICE_CREDENTIALS)).encode()
        request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(pair).decode()}")
    return request


def _object(octets: bytes) -> dict[str, Any]:
    if len(octets) > LARGEST:
        raise ValueError("too large")
    try:
        value = json.loads(octets)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _fail(said: str, error: Exception) -> NoReturn:
    raise StoreUnavailable(said) from error
