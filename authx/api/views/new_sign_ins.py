""" "Was this you?": a user's own sessions from new devices, and what the user says of them."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from authx.api.authentication import session_of, session_or_none
from authx.api.serializers import UnconfirmedSessionSerializer
from authx.api.views.base import SessionAPIView
from authx.http.actor import actor_of
from authx.identity.new_sign_ins import confirmable, objection_to_no, objection_to_yes
from authx.sessions.new_devices import confirm, disown
from authx.sessions.queries import find_live_session, find_own_session, unconfirmed_sessions


class UnconfirmedSessions(SessionAPIView):
    """``GET``: the user's live sessions that nobody has confirmed yet, and which of them this one may."""

    def get(self, request: Request) -> Response:
        current, sessions = session_or_none(request), unconfirmed_sessions(request.user)
        context = {
            "current": None if current is None else current.pk,
            "confirmable": {one.pk for one in confirmable(request._request, current, sessions)},
        }
        return Response(UnconfirmedSessionSerializer(sessions, many=True, context=context).data)


class ConfirmSession(SessionAPIView):
    """``POST``: "yes, it was me". Another user's session is a 404, as one that is over (P1).

    Only a session that is not in question itself may say it, and none about itself.
    """

    path_arguments = ("sid",)

    def post(self, request: Request, sid: UUID) -> Response:
        current, session = session_of(request), find_live_session(request.user, sid)
        if session is None:
            raise Http404
        if objection := objection_to_yes(request._request, current, session):
            raise PermissionDenied(objection)
        confirm(session, actor_of(request, request.user))
        return Response(status=204)


class DisownSession(SessionAPIView):
    """``POST``: "no, it was not me", which ends the session. Another user's is a 404 (P1).

    What has ended has ended: to say it once more is the same 204, and nothing happens.
    """

    path_arguments = ("sid",)

    def post(self, request: Request, sid: UUID) -> Response:
        session = find_live_session(request.user, sid)
        if session is None and find_own_session(request.user, sid) is None:
            raise Http404
        if session is not None:
            if objection := objection_to_no(session_or_none(request), session):
                raise PermissionDenied(objection)
            disown(session, actor_of(request, request.user))
        return Response(status=204)
