"""Moving in from djangorestframework-simplejwt: the views for its paths; ``jwt_access`` has the rest.

Each takes and answers with the names of both packages, so that a client that is never updated lives on.
"""

from __future__ import annotations

from typing import Any, Final

from django.contrib.auth import get_user_model
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.settings import api_settings as jwt_settings

from authx.api.exceptions import Refused
from authx.api.tokens import token_body
from authx.api.views import login, tokens
from authx.api.views.base import AuthxAPIView, BoundedJSONParser
from authx.conf import conf, secret_keys
from authx.contrib.moving.jwt_access import is_good
from authx.contrib.moving.jwt_refresh import OldRefreshToken
from authx.contrib.moving.once import move, moved_session
from authx.contrib.moving.view import (
    FieldsParser,
    OwnVerdict,
    demand_within,
    device_in,
    within_address_rate,
)
from authx.core.reasons import EndReason
from authx.core.refresh_token import read_refresh_token
from authx.errors import RefreshMalformed
from authx.http.actor import actor_of
from authx.sessions import Credentials, end_session

_KEPT: Final = "A client that keeps its refresh token, as without ROTATE_REFRESH_TOKENS, is signed out by it."


class _OldTokens(OwnVerdict, AuthxAPIView):
    """What the views share that take a refresh token in ``refresh``, ours or an old one."""

    #: The class that reads old ones; None for that of TOKEN_REFRESH_SERIALIZER.
    token_class: Any = None
    #: Whose ``get_user`` finds and judges their users.
    authentication_class: Any = JWTAuthentication

    def body(self) -> dict[str, Any]:
        """Return the body with a token of ours under the name that our views read."""
        found = super().body()
        sent = found.get("refresh")
        if "refresh_token" in found or not _is_ours(sent):
            return found
        return {**{name: found[name] for name in found}, "refresh_token": sent}

    @sensitive_variables()
    def old_token(self, request: Request) -> OldRefreshToken | None:
        """Return the old token in the body; None where that has none.

        Raises: as ``OldRefreshToken``; Throttled, where too many from this address were never issued.
        """
        body = self.body()
        if "refresh_token" in body or body.get("refresh") is None:
            return None
        with within_address_rate(request):
            return OldRefreshToken(body["refresh"], self.token_class, self.authentication_class)


class Refresh(_OldTokens, tokens.Refresh):
    """``POST``: an old refresh token once for a session, or one of ours for the next; both by ``refresh``."""

    #: Blacklist the old token in the transaction that opens the session.
    blacklists = False
    #: Exchange again, however late, while no token of the session has come back: its answer was lost.
    answers_until_used = False
    #: Let the old token refresh its session as often as it comes, for clients that keep it; they are given
    #: none of ours, as without ROTATE_REFRESH_TOKENS.
    reusable = False
    #: Path of the authentication backend that goes on deciding about the users; ``""``: ``is_active`` does.
    backend = ""

    @sensitive_variables()
    def post(self, request: Request) -> Response:
        old = self.old_token(request)
        if old is None:
            return with_old_names(super().post(request))
        body = token_body(self._exchanged(request, old), with_refresh=not self.reusable)
        return with_old_names(Response(body))

    def complaint_of_clients(self) -> str:
        """Return what a check says where clients may keep their first token; ``""`` where they need not."""
        if self.reusable or jwt_settings.ROTATE_REFRESH_TOKENS:
            return ""
        return _KEPT

    @sensitive_variables()
    def _exchanged(self, request: Request, old: OldRefreshToken) -> Credentials:
        device = device_in(self.body())
        demand_within(old.mark, conf.REFRESH_RATE)
        credential = old.credential(blacklists=self.blacklists, backend=self.backend)
        late, again = self.answers_until_used, self.reusable
        return move(credential, request, device, until_used=late, reusable=again)


class Blacklist(_OldTokens, tokens.Logout):
    """``POST``: sign out by ``refresh``: one of ours, or an old one, with the session that it has become."""

    @sensitive_variables()
    def post(self, request: Request) -> Response:
        old = self.old_token(request)
        if old is None:
            response = super().post(request)
            response.data, response.status_code = {}, 200  # as the old view does
            return response
        old.blacklist_if_any()
        found = moved_session(old.mark)
        if found is not None and found.session.ended_at is None:  # it does not end what continues it
            end_session(found.session, EndReason.LOGOUT, by=actor_of(request, found.session.user))
        return Response({})


def _in_our_words(data: Any) -> Any:
    """Return the body of a login with the name of the account as ``username``."""
    name = get_user_model().USERNAME_FIELD
    if not isinstance(data, dict) or name not in data or "username" in data:
        return data
    return {**{key: data[key] for key in data}, "username": data[name]}


class _JSON(BoundedJSONParser):
    def parse(self, *args: Any, **kwargs: Any) -> Any:
        return _in_our_words(super().parse(*args, **kwargs))


class _Form(FormParser):
    def parse(self, *args: Any, **kwargs: Any) -> Any:
        return _in_our_words(super().parse(*args, **kwargs))


class _Fields(FieldsParser):
    def parse(self, *args: Any, **kwargs: Any) -> Any:
        return _in_our_words(super().parse(*args, **kwargs))


class Obtain(OwnVerdict, login.Login):
    """``POST``: the login; takes the account by the name of its field, and answers with the names of both."""

    parser_classes: Any = [_JSON, _Form, _Fields]

    def complaint_of_clients(self) -> str:
        """Return the same as that of ``Refresh``, about the refresh tokens of this login."""
        return "" if jwt_settings.ROTATE_REFRESH_TOKENS else _KEPT

    @sensitive_variables()
    def post(self, request: Request) -> Response:
        return with_old_names(super().post(request))


@method_decorator(sensitive_post_parameters(), name="dispatch")
class Verify(OwnVerdict, AuthxAPIView):
    """``POST``: 200 if ``token`` is a good access token, ours or an old one, or a live refresh token."""

    @sensitive_variables()
    def post(self, request: Request) -> Response:
        if not is_good(self.body().get("token")):
            raise Refused("token_malformed")
        return Response({})


@sensitive_variables()
def with_old_names(response: Response) -> Response:
    """Add the names of that package to an answer of ours."""
    if isinstance(response.data, dict) and "access_token" in response.data:
        names = {"access": "access_token", "refresh": "refresh_token"}
        response.data |= {old: response.data[new] for old, new in names.items() if new in response.data}
    return response


@sensitive_variables()
def _is_ours(sent: object) -> bool:
    try:
        read_refresh_token(sent, secret_keys())
    except RefreshMalformed:
        return False
    return True
