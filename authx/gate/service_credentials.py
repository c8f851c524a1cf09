"""How a service proves to an issuer who it is: by its secret (RFC 6749 §2.3.1), or its own key (RFC 7523)."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote_plus

from django.views.decorators.debug import sensitive_variables
from jwt.utils import base64url_encode

from authx import clocks
from authx.conf import conf
from authx.conf.secret_files import is_file, read_credentials, read_text
from authx.core import strict_json
from authx.core.client_assertion import ASSERTION_TYPE
from authx.core.keys import Key
from authx.errors import KeyInvalid, StoreUnavailable

#: Seconds that an assertion is good for; it is made for one request.
ASSERTION_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Proof:
    """What a request carries: a header, or more parameters of its form."""

    header: str | None = field(default=None, repr=False)
    form: Mapping[str, str] = field(default_factory=dict, repr=False)


def has_key() -> bool:
    """Return whether AUTHX_SERVICE_CREDENTIALS are a private key, whose proof stands in a form."""
    return isinstance(conf.SERVICE_CREDENTIALS, Mapping)


@sensitive_variables()
def prove(*, now: float | None = None) -> Proof:
    """Return the proof of AUTHX_SERVICE_CREDENTIALS for one request.

    They are read anew: a mounted secret may change while the service runs. ``now`` is seconds since the
    epoch.

    Raises:
        StoreUnavailable: they cannot be read.
    """
    value = conf.SERVICE_CREDENTIALS
    try:
        if not has_key():
            return Proof(header=_basic(*read_credentials(value)))
        client_id, key = read_key(value)
    except KeyInvalid as error:
        raise StoreUnavailable(f"AUTHX_SERVICE_CREDENTIALS: {error}") from error
    assertion = write_assertion(
        client_id, key, audience=conf.ISSUER, now=clocks.time() if now is None else now
    )
    return Proof(
        form={
            "client_id": client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        }
    )


@sensitive_variables()
def read_key(value: Mapping[str, Any]) -> tuple[str, Key]:
    """Return the client id and the private key in a dict of AUTHX_SERVICE_CREDENTIALS.

    Raises:
        KeyInvalid: a file cannot be read, or the key is weak, unreadable, or the public one.
    """
    client_id, pem = (
        read_text(value[name]) if is_file(value[name]) else value[name] for name in ("client_id", "key")
    )
    key = Key.load(pem, alg=value.get("alg"))
    if not key.can_sign:
        raise KeyInvalid("the key is the public one: the private one signs")
    return client_id.strip(), key


@sensitive_variables()
def write_assertion(client_id: str, key: Key, *, audience: str, now: float) -> str:
    """Return a JWT by which the client proves itself to the issuer ``audience``, once (RFC 7523 §3).

    Raises:
        KeyInvalid: the key cannot sign.
    """
    issued = int(now)
    header = {"typ": "JWT", "alg": key.alg, "kid": key.kid}
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": issued,
        "exp": issued + ASSERTION_SECONDS,
        "jti": secrets.token_urlsafe(16),
    }
    signed = b".".join(base64url_encode(strict_json.dumps(part)) for part in (header, claims))
    return b".".join([signed, base64url_encode(key.sign(signed))]).decode()


@sensitive_variables()
def _basic(client_id: str, secret: str) -> str:
    """Return the header; each part is form-encoded first (RFC 6749 §2.3.1)."""
    pair = ":".join(map(quote_plus, (client_id, secret))).encode()
    return f"Basic {base64.b64encode(pair).decode()}"
