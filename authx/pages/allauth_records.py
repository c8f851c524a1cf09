"""allauth's records in the Django session: how a user authenticated, at login or later."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.http import HttpRequest

from authx.core.user_model import username_of
from authx.http.proof_notes import allauth_records

_OWNER = "account_authentication_methods_user"


def of_user(request: HttpRequest, user: Any) -> list[tuple[float, str]]:
    """Return time and name of each proof of ``user``: ``allauth.password``, ``allauth.mfa.totp`` ...

    Another user may have begun to sign in here before. Until 65.21 allauth did not note who it was: then only
    a record that names this user counts, and ``allauth.unknown`` stands for the others.
    """
    records, owner = allauth_records(request), request.session.get(_OWNER)
    if owner is not None:
        mine = owner == user._meta.pk.value_to_string(user)
        return [(at, _name(record)) for at, record in records if mine]
    return [(at, _name(record) if _names(record, user) else "allauth.unknown") for at, record in records]


def _name(record: dict[str, Any]) -> str:
    parts = ["allauth", str(record.get("method"))]
    parts += [str(record[key]) for key in ("type", "provider") if record.get(key)]
    if record.get("method") == "code":
        parts += [channel for channel in ("phone", "email") if record.get(channel)][:1]
    return ".".join([*parts, "passwordless"] if record.get("passwordless") else parts)


def _names(record: dict[str, Any], user: Any) -> bool:
    """Return whether the record names this user, and nobody else."""
    if record.get("method") == "mfa":
        return _has(user, "mfa", "Authenticator", pk=record.get("id"))
    if record.get("method") == "socialaccount":
        named = {key: record.get(key) for key in ("provider", "uid")}
        return _has(user, "socialaccount", "SocialAccount", **named)
    email = str(getattr(user, "email", ""))
    typed = {str(record[key]).casefold() for key in ("username", "email") if record.get(key)}
    return bool(typed) and typed <= {username_of(user).casefold(), email.casefold()}


def _has(user: Any, app: str, model: str, **named: Any) -> bool:
    is_named = all(isinstance(value, int | str) for value in named.values())
    if not is_named or not apps.is_installed(f"allauth.{app}"):
        return False
    found = apps.get_model(app, model)._default_manager.filter(user_id=user.pk, **named)
    return bool(found.exists())
