"""What each route takes and answers, by the name of its view and the method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer

from authx.contrib.spectacular import bodies, services
from authx.contrib.spectacular.components import UNSUPPORTED, empty, error, header
from authx.contrib.spectacular.schemes import CLIENT, CSRF, REFRESH_COOKIE, TOKEN


@dataclass(frozen=True, slots=True)
class Route:
    """One method of a view."""

    text: str
    #: By status; those that all routes of its kind have are added.
    answers: dict[int, Any]
    request: Any = None
    parameters: tuple[OpenApiParameter, ...] = ()
    #: The schemes needed together, in each way to be let in; None where authentication classes say it.
    security: tuple[tuple[str, ...], ...] | None = None


_LIMITED: Final = {429: error("AuthxThrottled", description="Too many tries; without `Retry-After`, locked.")}
_MISSING: Final = {404: error("AuthxNotFound", description="There is none, or it is somebody else's.")}
_FIELDS: Final = {400: error("AuthxError", "AuthxFieldErrors", description="A field is wrong, or the body.")}
_BODY: Final = {**_FIELDS, **UNSUPPORTED}
_ENDED: Final = {200: bodies.Ended}
_TOO_OLD: Final = {
    401: error("AuthxRefusedOrTooOld", description="No login, or one too long ago."),
    403: error("AuthxForbidden", description="Neither the permission, nor the CSRF token of a cookie."),
}
_NOT_THIS_ONE: Final = {
    403: error(
        "AuthxForbidden",
        description="The session that asks may not say it, or the CSRF token of a cookie is missing.",
    )
}
_DISCONNECTED: Final = {204: empty("It has no session and no consent any more."), **_MISSING}

_AS_CLIENT: Final = ((CLIENT,), ())


def _query(name: str, description: str, kind: Any = str, **more: Any) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.QUERY, description=description, **more)


_CSRF_ROUTE: Final = Route(
    "Get the CSRF token, for a login by cookie and whatever follows it.",
    {204: empty("The token is in the header `X-CSRFToken`, and in its cookie.")},
    parameters=(header("X-CSRFToken", "For unsafe requests with cookies.", 204),),
    security=((),),
)
_LOGIN_ROUTE: Final = Route(
    "Log in by name and password, or by the proof of a full limit and the sessions to end for it. "
    "With `transport: cookie`, which needs the CSRF token, the refresh token is only in a cookie.",
    {
        200: bodies.Tokens,
        **_BODY,
        401: error(
            "AuthxError", description="`invalid_credentials`, `proof_invalid`, or the site's own word."
        ),
        403: error("AuthxForbidden", description="The CSRF token is missing."),
        404: error("AuthxNotFound", description="The site takes no passwords here."),
        409: bodies.SessionLimit,
        **_LIMITED,
    },
    request=PolymorphicProxySerializer("AuthxLogin", [bodies.PasswordLogin, bodies.ProofLogin], None),
    security=((), (CSRF,)),
)
_REFRESH_ROUTE: Final = Route(
    "Exchange the refresh token, in the body or the cookie, for the next pair of tokens. "
    "If the answer is lost, send the same token again.",
    {
        200: bodies.Tokens,
        401: error("AuthxRefreshRefused"),
        403: error("AuthxForbidden", description="The CSRF token of a cookie is missing."),
        409: error("AuthxConflict", description="It was spent, and its successor is in use."),
        **_LIMITED,
    },
    request=bodies.Refresh,
    security=((), (REFRESH_COOKIE, CSRF)),
)
_LOGOUT_ROUTE: Final = Route(
    "End the session of the credential, by token, cookie or refresh token in the body.",
    {
        204: empty("It has ended, now or before."),
        401: error("AuthxRefused"),
        403: error("AuthxForbidden", description="The CSRF token of a cookie is missing."),
    },
    request=bodies.Refresh,
    security=((TOKEN,), (REFRESH_COOKIE, CSRF), ()),
)
_FEED: Final = {
    200: services.Feed,
    304: empty("Nothing has ended since."),
    403: error("AuthxForbidden", description="The client is an app and nothing more."),
}
_ETAG: Final = header("ETag", "Unless there is more: send it back as `If-None-Match`.", 200)

#: Views without a path of their own: to OpenAPI, two paths are one where their variables alone differ.
HIDDEN: Final = frozenset({"ConnectedSession"})

#: By the name of the view, then by method.
ROUTES: Final[dict[str, dict[str, Route]]] = {
    "Login": {"GET": _CSRF_ROUTE, "POST": _LOGIN_ROUTE},
    "Refresh": {"POST": _REFRESH_ROUTE},
    "Logout": {"POST": _LOGOUT_ROUTE},
    "CurrentSession": {"GET": Route("Show the session that asks.", {200: bodies.Session})},
    "Sessions": {"GET": Route("List the user's live sessions.", {200: bodies.Session(many=True)})},
    "SessionDetail": {
        "PATCH": Route("Name the device.", {200: bodies.Session, **_MISSING, **_BODY}, bodies.Name),
        "DELETE": Route("End the session.", {204: empty("It has ended, now or before."), **_MISSING}),
    },
    "EndOthers": {"POST": Route("End all of the user's sessions but this one.", _ENDED)},
    "UnconfirmedSessions": {
        "GET": Route(
            "List the user's live sessions from new devices that nobody has confirmed yet.",
            {200: bodies.UnconfirmedSession(many=True)},
        )
    },
    "ConfirmSession": {
        "POST": Route(
            "Say that this sign-in was the user's own.",
            {204: empty("It is known now."), **_MISSING, **_NOT_THIS_ONE},
        )
    },
    "DisownSession": {
        "POST": Route(
            "Say that this sign-in was somebody else's, and end the session.",
            {204: empty("It has ended, now or before."), **_MISSING, **_NOT_THIS_ONE},
        )
    },
    "ConnectedApps": {
        "GET": Route(
            "List the live sessions of apps that act for the user.", {200: bodies.ConnectedApp(many=True)}
        )
    },
    "ConnectedApp": {
        "DELETE": Route(
            "Disconnect an app.",
            _DISCONNECTED,
            parameters=(
                OpenApiParameter(
                    "client_id", str, OpenApiParameter.PATH, description="The app's, or one of its sessions'."
                ),
            ),
        )
    },
    "Reauthenticate": {
        "POST": Route(
            "Give the password again, for a new session that continues this one, which ends.",
            {
                200: bodies.Tokens,
                **_BODY,
                401: error("AuthxRefusedOrWrongPassword", description="No login, or a wrong password."),
                **_LIMITED,
            },
            bodies.Password,
        )
    },
    "SocketTicket": {"POST": Route("Get a ticket that opens one socket.", {200: bodies.Ticket})},
    "Introspect": {
        "POST": Route(
            "Ask what a token says (RFC 7662).",
            {200: services.Introspection},
            services.TokenOfClient,
            security=_AS_CLIENT,
        )
    },
    "Revoke": {
        "POST": Route(
            "End the session of a token (RFC 7009).",
            {200: {"type": "object", "description": "Nothing; also for a token that was none."}},
            services.TokenOfClient,
            security=_AS_CLIENT,
        )
    },
    "Revocations": {
        "GET": Route(
            "Read the recent endings, for services that keep a copy.",
            _FEED,
            parameters=(_query("since", "The `cursor` of the answer before."), _ETAG),
            security=((CLIENT,),),
        ),
        "POST": Route(
            "Read the same, as a client that proves itself in the body.",
            _FEED,
            services.FeedRequest,
            parameters=(_ETAG,),
            security=_AS_CLIENT,
        ),
    },
    "StaffSessions": {
        "GET": Route(
            "List everybody's sessions, newest first.",
            {200: bodies.StaffSession(many=True), **_TOO_OLD},
            parameters=(
                _query("user", "A `user_id`."),
                _query("device_type", "A type of device."),
                _query("status", "`live`, `ended` or `all`."),
                _query("limit", "At most 100.", int),
                _query("offset", "How many to leave out.", int),
                header("Link", "The next page, while there is one (RFC 8288).", 200),
            ),
        )
    },
    "KickSession": {
        "POST": Route("End one session.", {**_ENDED, **_TOO_OLD, **_MISSING, **_BODY}, bodies.Kick)
    },
    "KickUser": {
        "POST": Route("End all sessions of a user.", {**_ENDED, **_TOO_OLD, **_MISSING, **_BODY}, bodies.Kick)
    },
}
