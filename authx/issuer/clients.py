"""Clients: who they are, what they may do, and how they are registered, changed and disabled."""

from authx.issuer.client_authentication import authenticate_client
from authx.issuer.client_ending import disable_client, enable_client
from authx.issuer.client_lookup import clients, find_client, with_audience
from authx.issuer.client_problems import ClientInvalid
from authx.issuer.client_registration import create_client, renew_secret, update_client
from authx.sessions.client_facts import facts_of

__all__ = [
    "ClientInvalid",
    "authenticate_client",
    "clients",
    "create_client",
    "disable_client",
    "enable_client",
    "facts_of",
    "find_client",
    "renew_secret",
    "update_client",
    "with_audience",
]
