"""Mount as ``path("api/auth/", include("authx.api.urls"))``.

Decisions on tokens are committed even where the request fails: under ATOMIC_REQUESTS those views run
outside its transaction.
"""

from typing import Any

from django.db.transaction import non_atomic_requests
from django.urls import path

from authx.api.views import connected_apps, login, new_sign_ins, services, sessions, staff, tickets, tokens
from authx.http.renewal import never_renew

app_name = "authx-api"


def _own_verdict(view: Any) -> Any:
    """Return a view that reads its credentials itself, and commits what it decides."""
    return never_renew(non_atomic_requests(view.as_view()))


urlpatterns = [
    path("login/", _own_verdict(login.Login), name="login"),
    path("refresh/", _own_verdict(tokens.Refresh), name="refresh"),
    path("logout/", _own_verdict(tokens.Logout), name="logout"),
    path("session/", sessions.CurrentSession.as_view(), name="session"),
    path("sessions/", sessions.Sessions.as_view(), name="sessions"),
    path("sessions/end-others/", sessions.EndOthers.as_view(), name="end-others"),
    path("sessions/<uuid:sid>/", sessions.SessionDetail.as_view(), name="session-detail"),
    path("sessions/unconfirmed/", new_sign_ins.UnconfirmedSessions.as_view(), name="unconfirmed-sessions"),
    path("sessions/<uuid:sid>/confirm/", new_sign_ins.ConfirmSession.as_view(), name="session-confirm"),
    path("sessions/<uuid:sid>/disown/", new_sign_ins.DisownSession.as_view(), name="session-disown"),
    path("connected-apps/", connected_apps.ConnectedApps.as_view(), name="connected-apps"),
    path(
        "connected-apps/<uuid:sid>/", connected_apps.ConnectedSession.as_view(), name="connected-app-session"
    ),
    path("connected-apps/<path:client_id>/", connected_apps.ConnectedApp.as_view(), name="connected-app"),
    path("reauthenticate/", non_atomic_requests(sessions.Reauthenticate.as_view()), name="reauthenticate"),
    path("socket-ticket/", tickets.SocketTicket.as_view(), name="socket-ticket"),
    path("introspect/", _own_verdict(services.Introspect), name="introspect"),
    path("revoke/", _own_verdict(services.Revoke), name="revoke"),
    path("revocations/", _own_verdict(services.Revocations), name="revocations"),
    path("staff/sessions/", staff.StaffSessions.as_view(), name="staff-sessions"),
    path("staff/sessions/<uuid:sid>/kick/", staff.KickSession.as_view(), name="staff-kick"),
    # A not-before mark keeps the next one waiting until it is committed.
    path("staff/users/<str:pk>/kick/", non_atomic_requests(staff.KickUser.as_view()), name="staff-kick-user"),
]
