"""Who may do what through the API."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from authx.api.authentication import session_of
from authx.api.refusals import StepUp
from authx.conf import conf
from authx.sessions.proving import is_recent


class MayKick(BasePermission):
    """``authx.kick_devicesession``, and a login as recent as AUTHX_STAFF_MAX_AUTH_AGE demands."""

    def has_permission(self, request: Request, view: Any) -> bool:
        user: Any = request.user
        if user is None or not user.is_authenticated or not user.has_perm("authx.kick_devicesession"):
            return False
        max_age = conf.STAFF_MAX_AUTH_AGE
        if max_age is not None and not is_recent(session_of(request), max_age):
            raise StepUp(max_age)
        return True
