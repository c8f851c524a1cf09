"""System checks: of every declared setting here, and one module for each other subject."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from authx.checks.deployment import check_deployment
from authx.checks.logins import check_counting, check_lockout, check_login_backend, check_proxies
from authx.checks.middleware import MIDDLEWARE, check_middleware, check_pages
from authx.checks.password_login import check_password_login
from authx.checks.secrets import check_secrets, check_secrets_in_production
from authx.checks.session_apps import check_session_apps
from authx.checks.sockets import check_sockets, check_sockets_in_production
from authx.checks.stores import check_store
from authx.checks.together import check_together
from authx.checks.verifier import check_verifier
from authx.conf import Conf

__all__ = [
    "MIDDLEWARE",
    "check_deployment",
    "check_middleware",
    "check_settings",
    "check_together",
    "connect",
]


def connect() -> None:
    """Register all checks of a site that has our tables."""
    # Imported here: they need our models, which a verify-only service that imports this module has not.
    from authx.checks.authentication import check_bearer_order
    from authx.checks.clients import check_clients
    from authx.checks.databases import check_databases
    from authx.checks.delegated_views import check_delegated_views
    from authx.checks.notices import check_notices
    from authx.checks.other_logins import check_other_logins
    from authx.checks.subjects import check_subject_field

    register(check_settings, Tags.security)
    register(check_together, Tags.security)
    register(check_secrets, Tags.security)
    register(check_secrets_in_production, Tags.security, deploy=True)
    register(check_subject_field, Tags.security)
    register(check_databases, Tags.security)
    register(check_clients, Tags.security)
    register(check_delegated_views, Tags.security)
    register(check_middleware, Tags.security)
    register(check_pages, Tags.security)
    register(check_bearer_order, Tags.security)
    register(check_other_logins, Tags.security)
    register(check_password_login, Tags.security)
    register(check_store, Tags.security)
    register(check_login_backend, Tags.security)
    register(check_session_apps, Tags.security)
    register(check_lockout, Tags.security)
    register(check_notices, Tags.security)
    register(check_verifier, Tags.security)
    register(check_sockets, Tags.security)
    register(check_sockets_in_production, Tags.security, deploy=True)
    register(check_deployment, Tags.security, deploy=True)
    register(check_counting, Tags.security, deploy=True)
    register(check_proxies, Tags.security, deploy=True)


def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """Check each setting by its own rule; suggest the nearest right name for an unknown one."""
    found: list[CheckMessage] = []
    for setting in Conf.declared():
        if complaint := setting.complaint():
            found.append(Error(f"{setting.name} {complaint}.", id="authx.E001"))
    names = [setting.name.removeprefix("AUTHX_") for setting in Conf.declared()]
    for name in dir(settings):
        if name.startswith("AUTHX_") and name.removeprefix("AUTHX_") not in names:
            near = get_close_matches(name.removeprefix("AUTHX_"), names, n=1)
            hint = f"Did you mean AUTHX_{near[0]}?" if near else None
            found.append(Warning(f"{name}: no such setting.", hint=hint, id="authx.W001"))
    return found
