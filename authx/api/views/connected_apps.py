"""The apps that a user has let act for them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response

from authx.api.serializers import ConnectedAppSerializer
from authx.api.views.base import SessionAPIView
from authx.http.actor import actor_of
from authx.sessions.connected_apps import (
    app_sessions,
    disconnect,
    find_app_session,
    find_live_app_session,
    names_of_clients,
    was_connected,
)


class ConnectedApps(SessionAPIView):
    """``GET``: the live sessions of the user's apps."""

    def get(self, request: Request) -> Response:
        sessions = app_sessions(request.user)
        context = {"names": names_of_clients(sessions)}
        return Response(ConnectedAppSerializer(sessions, many=True, context=context).data)


class ConnectedApp(SessionAPIView):
    """``DELETE``: disconnect an app, by its client id. One that is nothing to the user is a 404 (P1).

    What is disconnected stays so: to do it once more is the same 204, and nothing happens.
    """

    path_arguments = ("client_id",)

    def delete(self, request: Request, client_id: str) -> Response:
        if not was_connected(request.user, client_id):
            raise Http404
        return _disconnected(request, client_id)


class ConnectedSession(SessionAPIView):
    """``DELETE``: disconnect the app whose session this is, with all of its sessions of this user."""

    path_arguments = ("sid",)

    def delete(self, request: Request, sid: UUID) -> Response:
        session = find_live_app_session(request.user, sid)
        if session is not None:
            return _disconnected(request, session.client_id)
        if find_app_session(request.user, sid) is not None:
            return Response(status=204)  # said again: what has connected anew since is not meant
        return ConnectedApp().delete(request, str(sid))  # the id of a client may look the same


def _disconnected(request: Request, client_id: Any) -> Response:
    disconnect(request.user, client_id, actor_of(request, request.user))
    return Response(status=204)
