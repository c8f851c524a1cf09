"""Requests to an issuer over HTTP: a configured address, no redirects, short time-outs, bounded answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from socket import SHUT_RDWR
from ssl import SSLContext, create_default_context
from threading import Timer
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
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
from authx.conf.rules import address
from authx.core import strict_json
from authx.errors import StoreUnavailable
from authx.gate.public_address import connect_publicly
from authx.gate.service_credentials import Proof, prove

#: The parameters of a form; one with several values is repeated.
Form = Mapping[str, str | tuple[str, ...]]

#: Seconds that connecting, and each wait for more data, may take; and the whole request, once connected.
WAIT_TIMEOUT_SECONDS, TOTAL_TIMEOUT_SECONDS = 3.0, 10.0
#: Most bytes of an answer.
MAX_BODY_BYTES = 4 * 1024 * 1024
#: Most bytes of a refusal that are read.
MAX_REFUSAL_BYTES = 64 * 1024
#: An error code of OAuth (RFC 6749 §5.2).
_WORD = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]{1,64}")


class Refused(StoreUnavailable):
    """The issuer answered 4xx: the same request will not succeed later."""

    def __init__(self, message: str = "", *, word: str = "", description: str = "") -> None:
        super().__init__(message)
        #: ``error`` and ``error_description`` of OAuth (RFC 6749 §5.2); empty where the answer has none.
        self.word, self.description = word, description


def fetch_json(
    url: str,
    *,
    form: Form | None = None,
    authenticated: bool = False,
    public_only: bool = False,
    max_bytes: int = MAX_BODY_BYTES,
) -> dict[str, Any]:
    """Fetch the JSON object at ``url``; ``form`` makes it a POST, ``authenticated`` adds our credentials.

    Those of a private key stand in the form, and make it a POST as well. ``public_only``: by https from a
    host on the public internet alone, for an address that is not ours: it must not make us ask what only we
    can reach.

    Raises:
        StoreUnavailable: on any failure, and if ``url`` is not allowed; Refused if the answer is 4xx.
    """
    if complaint := address(url):
        raise StoreUnavailable(f"the address {complaint}")
    watch = _Watch()
    opener = _opener(_WatchedHandler(watch, public_only=public_only))
    try:
        with opener.open(_request(url, form, authenticated), timeout=WAIT_TIMEOUT_SECONDS) as answer:
            if answer.status != 200:
                raise ValueError("not the whole of it")
            return _object(answer.read(max_bytes + 1), max_bytes)
    except HTTPError as error:
        with error:
            raise _refusal(error) from error
    except (OSError, HTTPException, ValueError) as error:
        reason = type(getattr(error, "reason", error)).__name__  # of a URLError: its cause
        raise StoreUnavailable(f"the issuer does not answer as it should ({reason})") from error
    finally:
        watch.over()


class _Watch:
    """Closes a connection that takes too long: an octet now and then would keep a thread waiting for ever."""

    def __init__(self) -> None:
        self._timer: Timer | None = None

    def connected(self, connection: HTTPConnection) -> None:
        self._timer = Timer(TOTAL_TIMEOUT_SECONDS, self._hang_up, [connection.sock])
        self._timer.daemon = True
        self._timer.start()

    def _hang_up(self, socket: Any) -> None:
        with suppress(OSError):
            socket.shutdown(SHUT_RDWR)

    def over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class _Watched(HTTPConnection):
    """A connection that is watched from when it is established."""

    def __init__(self, *args: Any, watch: _Watch, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watch = watch

    def connect(self) -> None:
        super().connect()
        self._watch.connected(self)


class _WatchedTLS(_Watched, HTTPSConnection):
    pass


class _PublicTLS(HTTPSConnection):
    """The same to a public address, which is looked up and checked once: a second look could find another."""

    def __init__(self, *args: Any, watch: _Watch, context: SSLContext | None = None, **kwargs: Any) -> None:
        self._watch, self._tls = watch, context or create_default_context()
        super().__init__(*args, context=self._tls, **kwargs)

    def connect(self) -> None:
        self.sock = connect_publicly(self.host, self.port, WAIT_TIMEOUT_SECONDS)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host)
        self._watch.connected(self)


class _WatchedHandler(HTTPHandler, HTTPSHandler):
    """Opens both schemes, each on watched connections."""

    def __init__(self, watch: _Watch, *, public_only: bool) -> None:
        super().__init__()
        self._watch, self._public_only = watch, public_only

    def http_open(self, request: Request) -> Any:
        if self._public_only:
            raise ValueError("not https")
        return self.do_open(partial(_Watched, watch=self._watch), request)

    def https_open(self, request: Request) -> Any:
        kind = _PublicTLS if self._public_only else _WatchedTLS
        return self.do_open(partial(kind, watch=self._watch), request)


def _opener(handler: HTTPHandler) -> OpenerDirector:
    """Return an opener for HTTP and HTTPS alone: no files, no redirects, no proxies from the environment."""
    opener = OpenerDirector()
    errors = (HTTPDefaultErrorHandler(), HTTPErrorProcessor(), UnknownHandler())
    for found in (handler, *errors):
        opener.add_handler(found)
    return opener


@sensitive_variables()
def _request(url: str, form: Form | None, authenticated: bool) -> Request:
    proof = prove() if authenticated and conf.SERVICE_CREDENTIALS else Proof()
    parameters = {**(form or {}), **proof.form}
    data = urlencode(parameters, doseq=True).encode() if parameters or form is not None else None
    request = Request(url, data, {"Accept": "application/json"})
    if proof.header:
        request.add_unredirected_header("Authorization", proof.header)
    return request


def _refusal(error: HTTPError) -> StoreUnavailable:
    """Return what an answer says that is no success: its status, and the words of OAuth in it."""
    message = f"the issuer answered {error.code}"
    if not 400 <= error.code < 500:
        return StoreUnavailable(message)
    try:
        answer = strict_json.loads(error.read(MAX_REFUSAL_BYTES))
    except (OSError, HTTPException, ValueError):
        return Refused(message)
    word, description = answer.get("error"), answer.get("error_description", "")
    if not isinstance(word, str) or not _WORD.fullmatch(word):
        return Refused(message)
    return Refused(message, word=word, description=description if isinstance(description, str) else "")


def _object(octets: bytes, max_bytes: int) -> dict[str, Any]:
    if len(octets) > max_bytes:
        raise ValueError("too large")
    return strict_json.loads(octets)
