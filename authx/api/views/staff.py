"""Views for staff: everybody's sessions, and kicking users out."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from authx.api.authentication import session_or_none
from authx.api.permissions import MayKick, MayKickEverywhere
from authx.api.serializers import KickSerializer, StaffSessionSerializer
from authx.api.views.base import SessionAPIView
from authx.core.reasons import EndReason
from authx.http.actor import actor_of
from authx.sessions import end_session, end_user_sessions
from authx.sessions.connected_apps import names_of_clients
from authx.sessions.kick_permissions import KICK_SUPERUSER, may_kick
from authx.sessions.queries import find_session, search_sessions
from authx.store import database

PAGE_SIZE = 100


class StaffSessions(SessionAPIView):
    """``GET``: sessions, newest first; ``?user=&device_type=&status=live|ended|all&limit=&offset=``.

    A plain list; a ``Link`` header names the next page while there is one (RFC 8288).
    """

    permission_classes: Any = [MayKick]

    def get(self, request: Request) -> Response:
        asked = request.query_params
        limit, offset = _number(asked.get("limit"), PAGE_SIZE, 1, PAGE_SIZE), _number(asked.get("offset"), 0)
        found = search_sessions(
            user=asked.get("user"), device_type=asked.get("device_type"), status=asked.get("status")
        )
        page = list(found[offset : offset + limit + 1])
        current = session_or_none(request)
        context = {"current": None if current is None else current.pk, "names": names_of_clients(page)}
        response = Response(StaffSessionSerializer(page[:limit], many=True, context=context).data)
        if len(page) > limit:
            query = {**asked.dict(), "limit": limit, "offset": offset + limit}
            response["Link"] = f'<?{urlencode(query)}>; rel="next"'
        return response


class KickSession(SessionAPIView):
    """``POST``: end one session of any user."""

    path_arguments = ("sid",)
    permission_classes: Any = [MayKick]

    def post(self, request: Request, sid: UUID) -> Response:
        note = _note(request)
        session = find_session(sid)
        if session is None:
            raise Http404
        _demand_may_kick(request, session.user)
        ended = end_session(session, EndReason.KICKED, by=actor_of(request, request.user), note=note)
        return Response({"ended": int(ended)})


class KickUser(SessionAPIView):
    """``POST``: end all sessions of a user."""

    path_arguments = ("pk",)
    permission_classes: Any = [MayKickEverywhere]

    def post(self, request: Request, pk: str) -> Response:
        note = _note(request)
        user = _find_user(pk)
        _demand_may_kick(request, user)
        ended = end_user_sessions(user, EndReason.KICKED, by=actor_of(request, request.user), note=note)
        return Response({"ended": ended})


def _demand_may_kick(request: Request, user: Any) -> None:
    if not may_kick(request.user, user):
        raise PermissionDenied(
            _("To kick out a superuser takes the permission %(permission)s.") % {"permission": KICK_SUPERUSER}
        )


def _find_user(pk: str) -> Any:
    """Return the user as the row is now: a replica may not know yet that this is a superuser.

    The key must match exactly: one that only a field or a database converts to it is nobody's.

    Raises:
        Http404: there is no such user.
    """
    try:
        user = get_user_model()._base_manager.using(database.alias()).filter(pk=pk).first()
    except (ValueError, ValidationError, OverflowError):
        user = None
    if user is None or str(user.pk) != pk:
        raise Http404
    return user


def _note(request: Request) -> str:
    serializer = KickSerializer(data=request.data)
    serializer.is_valid(raise_exception=True)
    note: str = serializer.validated_data["reason"]
    return note


def _number(text: str | None, default: int, least: int = 0, most: int = 1_000_000) -> int:
    """Return a number from a query string, kept in bounds; the default if the text is not a number."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 9:
        return default
    return min(max(int(text), least), most)
