"""A user's own sessions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from rest_framework.request import Request
from rest_framework.response import Response

from authx.api import browser
from authx.api.authentication import session_of, session_or_none
from authx.api.exceptions import Refused
from authx.api.serializers import NameSerializer, PasswordSerializer, SessionSerializer
from authx.api.tokens import token_body
from authx.api.views.base import SessionAPIView
from authx.api.views.tokens import check_credentials
from authx.core.reasons import EndReason
from authx.core.user_model import username_of
from authx.http.actor import actor_of
from authx.http.renewal import has_bearer
from authx.http.request_state import request_state
from authx.identity.step_up import new_key
from authx.models import DeviceSession
from authx.sessions import end_session, end_sessions
from authx.sessions.continuing import continue_session
from authx.sessions.methods import password_methods
from authx.sessions.queries import (
    find_live_session,
    live_sessions,
    other_sessions,
    rename_session,
)


def _shown(sessions: Any, current: DeviceSession | None, *, many: bool = False) -> Response:
    context = {"current": None if current is None else current.pk}
    return Response(SessionSerializer(sessions, many=many, context=context).data)


class CurrentSession(SessionAPIView):
    """``GET``: the session that the request came with."""

    def get(self, request: Request) -> Response:
        current = session_of(request)
        return _shown(current, current)


class Sessions(SessionAPIView):
    """``GET``: the user's live sessions."""

    def get(self, request: Request) -> Response:
        return _shown(live_sessions(request.user), session_or_none(request), many=True)


class SessionDetail(SessionAPIView):
    """``PATCH``: name the device. ``DELETE``: end the session. Another user's is a 404 (P1)."""

    path_arguments = ("sid",)

    def patch(self, request: Request, sid: UUID) -> Response:
        session = self._find(request, sid)
        serializer = NameSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        rename_session(session, serializer.validated_data["name"], actor_of(request, request.user))
        return _shown(session, session_or_none(request))

    def delete(self, request: Request, sid: UUID) -> Response:
        session = self._find(request, sid)
        own = session == session_or_none(request)
        reason = EndReason.LOGOUT if own else EndReason.ENDED_BY_USER
        end_session(session, reason, by=actor_of(request, request.user))
        response = Response(status=204)
        if own and not has_bearer(request._request):
            browser.sign_out(request, response)
        return response

    def _find(self, request: Request, sid: UUID) -> DeviceSession:
        session = find_live_session(request.user, sid)
        if session is None:
            raise Http404
        return session


class EndOthers(SessionAPIView):
    """``POST``: end all of the user's sessions but the current one."""

    def post(self, request: Request) -> Response:
        others = other_sessions(request.user, session_of(request).pk)
        ended = end_sessions(others, EndReason.ENDED_BY_USER, by=actor_of(request, request.user))
        return Response({"ended": ended})


@method_decorator(sensitive_post_parameters(), name="dispatch")
class Reauthenticate(SessionAPIView):
    """``POST``: the password again, for a new session that continues this one, as ``login/`` (RFC 9470)."""

    @sensitive_variables()
    def post(self, request: Request) -> Response:
        serializer = PasswordSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        password = serializer.validated_data["password"]
        session = session_of(request)
        user: Any = session.user  # not one whom it carries, such as an impersonated one
        proved = check_credentials(request, username_of(user), password, proof_of=session)
        if proved.pk != user.pk:
            raise Refused("invalid_credentials")
        by_cookie = request_state(request._request).by_cookie
        credentials = continue_session(
            session,
            actor_of(request, session.user),
            methods=password_methods(proved),
            came_back=True,
            django_key=new_key(request._request, session) if by_cookie else None,
        )
        response = Response(token_body(credentials, with_refresh=not by_cookie))
        if by_cookie:
            browser.go_on(request, response, session, credentials)
        return response
