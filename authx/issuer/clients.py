"""Services and their credentials: generated once, stored as a hash, checked in constant time."""

from __future__ import annotations

import secrets
from hashlib import sha256

from django.db import models
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.debug import sensitive_variables

from authx.core.device import clean_text
from authx.models import ServiceClient
from authx.store import database


@sensitive_variables("secret")
def create_service(name: str) -> tuple[ServiceClient, str]:
    """Create a service; return it with its secret, which is shown this once.

    Raises:
        ValueError: the name is empty.
        StoreUnavailable: the database cannot be written.
    """
    name = clean_text(name, 100).strip()
    if not name:
        raise ValueError("a service needs a name")
    secret = secrets.token_urlsafe(32)
    service = ServiceClient(
        client_id=f"service-{secrets.token_hex(8)}",
        name=name,
        secret_hash=_hash(secret),
        created_at=timezone.now(),
    )
    with database.store_errors():
        service.save(using=database.alias(), force_insert=True)
    return service, secret


@sensitive_variables("secret")
def renew_secret(service: ServiceClient) -> str:
    """Replace the service's secret and enable it; return the new one, which is shown this once."""
    secret = secrets.token_urlsafe(32)
    with database.store_errors():
        _services().filter(pk=service.pk).update(secret_hash=_hash(secret), disabled_at=None)
    return secret


def disable_service(service: ServiceClient) -> None:
    """Refuse the service from now on."""
    with database.store_errors():
        _services().filter(pk=service.pk, disabled_at=None).update(disabled_at=timezone.now())


@sensitive_variables("secret")
def find_service(client_id: str, secret: str) -> ServiceClient | None:
    """Return the enabled service with these credentials; None if there is none.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    if len(client_id) > 64 or not client_id.isascii() or not client_id.isprintable():
        return None
    with database.store_errors():
        found = _services().filter(client_id=client_id, disabled_at=None).first()
    # Compared even if none was found, so that an unknown id takes as long as a wrong secret.
    same = constant_time_compare(_hash(secret), found.secret_hash if found else _hash(""))
    return found if found is not None and same else None


def _services() -> models.QuerySet[ServiceClient]:
    return ServiceClient.objects.using(database.alias())


def _hash(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
