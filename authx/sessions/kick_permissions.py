"""Whom staff may kick out: superusers only with a separate permission."""

from __future__ import annotations

from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet

from authx.core.user_model import has_permission
from authx.models import DeviceSession
from authx.store import database

KICK_SUPERUSER: Final = "authx.kick_superuser_devicesession"


def may_kick(staff: Any, user: Any) -> bool:
    """Return whether ``staff`` may kick out ``user``; None stands for a user who has been deleted."""
    return not _is_superuser(user) or may_kick_superusers(staff)


def may_kick_superusers(staff: Any) -> bool:
    """Return whether ``staff`` is a superuser, or has the permission to kick out superusers."""
    return _is_superuser(staff) or has_permission(staff, KICK_SUPERUSER)


def of_superusers(found: QuerySet[DeviceSession]) -> Q:
    """Return the condition for those of ``found`` that belong to superusers, by the users' current rows."""
    model: Any = get_user_model()
    if any(field.name == "is_superuser" for field in model._meta.concrete_fields):
        return Q(user__is_superuser=True)
    if not hasattr(model, "is_superuser"):
        return Q(pk__in=[])
    owners = model._base_manager.using(database.alias()).filter(pk__in=found.order_by().values("user"))
    return Q(user__in=[user.pk for user in owners if _is_superuser(user)])


def _is_superuser(user: Any) -> bool:
    """Return whether ``user`` is a superuser; a user model may lack the attribute."""
    return bool(getattr(user, "is_superuser", False))
