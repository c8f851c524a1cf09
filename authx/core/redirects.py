"""Redirect URIs: which may be registered, which are accepted, and what is appended to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from authx.core.sentences import Sentence
from authx.core.sentences import sentence as _
from authx.core.uris import LOOPBACK_HOSTS, MAX_URI_LENGTH, Uri, read_uri

#: To ``LOOPBACK_HOSTS``, whose port is free (RFC 8252 §7.3).
_LOOPBACK: Final = re.compile(
    r"http://(?P<host>127\.0\.0\.1|\[::1\])(?::(?P<port>[0-9]{1,5}))?(?P<rest>(?:[/?].*)?)"
)
#: What an answer of ours is made of: in the query of a redirect URI they would be there twice.
_OURS: Final = frozenset(
    {
        "code",
        "state",
        "iss",
        "error",
        "error_description",
        "error_uri",
        "access_token",
        "id_token",
        "response",
    }
)


def is_registered(given: str, registered: Iterable[str]) -> bool:
    """Return whether ``given`` is one of the ``registered`` redirect URIs, character by character.

    The port alone is free, and only for ``http://127.0.0.1`` and ``http://[::1]`` (RFC 9700 §4.1.3,
    RFC 8252 §7.3).
    """
    if len(given) > MAX_URI_LENGTH:  # a port may make it longer than what is registered
        return False
    return any(given == uri or _differs_in_port(given, uri) for uri in registered)


def _differs_in_port(given: str, registered: str) -> bool:
    mine, theirs = _LOOPBACK.fullmatch(given), _LOOPBACK.fullmatch(registered)
    if mine is None or theirs is None or not 0 < int(mine["port"] or 80) < 2**16:
        return False
    return mine.group("host", "rest") == theirs.group("host", "rest")


def is_loopback_or_private(uri: str) -> bool:
    """Return whether any program on the user's computer could answer at ``uri`` (RFC 8252 §8.6).

    So its client cannot be recognized, and consent is asked for every time.
    """
    parts = read_uri(uri)
    return parts is None or parts.scheme != "https" or parts.host in LOOPBACK_HOSTS


def redirect_problem(uri: str) -> Sentence:
    """Return why ``uri`` cannot be registered as a redirect URI, as half a sentence; "" if it can be.

    It can be an https URL, http to a loopback address, or the private scheme of an app, a domain name of its
    maker's backwards (RFC 8252 §7).
    """
    parts = read_uri(uri)
    if parts is None:
        return _(
            "is not an absolute URI of at most 2000 ASCII characters, such as https://app.example/callback"
        )
    if "*" in uri:
        return _("has a wildcard: register each redirect URI in full")
    if parts.fragment is not None:
        return _("has a fragment, which a redirect URI never has")
    if parts.userinfo is not None:
        return _("names a user before its host")
    names = {pair.partition("=")[0].lower() for pair in (parts.query or "").split("&")}
    if taken := _OURS & names:
        return _("has %(name)s in its query, which the answer appends", name=min(taken))
    return _place_problem(parts)


def _place_problem(parts: Uri) -> Sentence:
    if parts.scheme in {"https", "http"} and (parts.host or "").rstrip(".") == "localhost":
        return _("names localhost, which need not be this computer: use http://127.0.0.1, whose port is free")
    if parts.scheme == "https":
        return _("") if parts.has_host_name else _("names no host")
    if parts.scheme == "http":
        is_loopback = parts.host in LOOPBACK_HOSTS
        return _("") if is_loopback else _("is http, which is for 127.0.0.1 and [::1] alone: use https")
    if "." not in parts.scheme.strip("."):
        return _(
            "has the scheme %(scheme)s: use https, or a domain backwards, such as com.example.app:/done",
            scheme=parts.scheme,
        )
    return _("") if parts.host or parts.path else _("ends after its scheme")


def with_parameters(uri: str, parameters: Mapping[str, str]) -> str:
    """Return ``uri`` with ``parameters`` appended to its query, which stays as it is (RFC 6749 §3.1.2)."""
    pairs = "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in parameters.items())
    if not pairs:
        return uri
    separator = "?" if "?" not in uri else "" if uri.endswith(("?", "&")) else "&"
    return f"{uri}{separator}{pairs}"


def answer_uri(redirect_uri: str, parameters: Mapping[str, str], *, issuer: str, state: str | None) -> str:
    """Return where an answer to an authorization request is sent, good or bad.

    Every one names the issuer, so that a client of several knows whose it is (RFC 9207 §2), and the client's
    ``state``, unless there was none.
    """
    kept = {} if state is None else {"state": state}
    return with_parameters(redirect_uri, {**parameters, **kept, "iss": issuer})


def _encoded(text: str) -> str:
    """Encode everything but unreserved characters, a space too: every reader of a query undoes that alike."""
    return "".join(chr(octet) if chr(octet) in _UNRESERVED else f"%{octet:02X}" for octet in text.encode())


_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
