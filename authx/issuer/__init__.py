"""What a site does for other services: signing keys, clients, introspection, the feed of endings."""

from authx.issuer.clients import (
    ClientInvalid,
    authenticate_client,
    create_client,
    disable_client,
    enable_client,
    facts_of,
    renew_secret,
    update_client,
)

__all__ = [
    "ClientInvalid",
    "authenticate_client",
    "create_client",
    "disable_client",
    "enable_client",
    "facts_of",
    "renew_secret",
    "update_client",
]
