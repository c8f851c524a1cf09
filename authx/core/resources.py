"""Resource indicators: what a delegated token is for (RFC 8707)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from authx.core.claim_forms import IDENTIFIER
from authx.core.uris import read_uri
from authx.errors import OAuthError


def is_resource(value: object) -> bool:
    """Return whether ``value`` is an absolute URI without a fragment (RFC 8707 §2), and may be an ``aud``."""
    parts = read_uri(value) if isinstance(value, str) and IDENTIFIER.fullmatch(value) else None
    if parts is None or parts.fragment is not None or parts.userinfo is not None:
        return False
    return bool(parts.host or (parts.host is None and parts.path))


def narrow_resources(requested: Sequence[str], allowed: Collection[str]) -> tuple[str, ...]:
    """Return the resources that a request gets of the ``allowed`` ones: what it names, or else all.

    Raises:
        OAuthError: ``invalid_target``: one is no resource, or is not allowed, or none is left.
    """
    for resource in requested:
        if not is_resource(resource):
            raise OAuthError("invalid_target", "a resource is not an absolute URI without a fragment")
        if resource not in allowed:
            raise OAuthError("invalid_target", "a resource is not one that this client may use here")
    resources = tuple(dict.fromkeys(requested or allowed))
    if not resources:
        raise OAuthError(
            "invalid_target", "no resource is registered for this client, so a token had no audience"
        )
    return resources
