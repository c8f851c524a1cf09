"""A site as its own type checker sees it: ``test_typed`` checks a copy of it, in a folder of its own.

Without the plugin of django-stubs ``request.user`` and foreign keys are of no use to anybody: what depends
on the site's models is left to the types that are named here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, assert_type
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncClient, Client
from django.urls import include, path
from ninja import NinjaAPI
from rest_framework.exceptions import APIException
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from authx import signals
from authx.api import exception_handler, own_errors_only
from authx.api.authentication import BearerAuthentication, CookieAuthentication, session_of, session_or_none
from authx.api.bearer import answer_to, bearer_optional, bearer_required, identify
from authx.api.permissions import HasRole, HasScope, IsFirstParty, RecentlyAuthenticated
from authx.api.requests import BearerRequest, CallerRequest
from authx.client import exchange, service_token
from authx.contrib import adrf
from authx.contrib.ninja import BearerAuth, CookieAuth, add_exception_handlers
from authx.core.claims import AccessClaims
from authx.errors import AuthxError, SessionEnded, StoreUnavailable
from authx.gate import verify_access_token
from authx.models import DeviceSession, EndReason, SessionEvent
from authx.pages.decorators import recently_authenticated
from authx.pages.mixins import RecentlyAuthenticatedMixin
from authx.pages.requests import AuthenticatedRequest, DeviceSessionRequest
from authx.sessions import (
    Credentials,
    Device,
    Erased,
    end_bound_sessions,
    end_everyone,
    end_session,
    end_sessions,
    end_user_sessions,
    export,
    forget,
    open_session,
    recognize,
    refresh_session,
)
from authx.sockets import authenticated, live_notice
from authx.testing import (
    Clock,
    DeviceSessionTestMixin,
    Transport,
    alogin_device,
    clock,
    login_device,
    token_for,
)
from authx.testing.rotation import RotationSite, rotation_site

# Sessions


def sign_in(user: User, request: HttpRequest) -> dict[str, str | int]:
    device = Device(id="phone-1", name="Phone", type="ios")
    credentials = open_session(user, request, device, amr=("pwd", "otp"), persistent=False)
    assert_type(credentials, Credentials)
    assert_type(credentials.session, DeviceSession)
    assert_type(credentials.claims, AccessClaims)
    assert_type(credentials.expires_in, int)
    return {
        "access": credentials.access_token,
        "refresh": credentials.refresh_token,
        "for": credentials.expires_in,
    }


def go_on(refresh_token: str) -> str | None:
    try:
        return refresh_session(refresh_token, request=None).access_token
    except SessionEnded as error:
        return error.reason
    except StoreUnavailable as error:
        return error.code


def sign_out(user: User, session: DeviceSession) -> int:
    assert_type(end_session(session, "kicked", by=user), bool)
    ended = end_sessions(DeviceSession.objects.filter(pk=session.pk), EndReason.LOGOUT)
    ended += end_bound_sessions(["key"]) + end_user_sessions(user, "kicked") + end_everyone("kicked")
    return ended


def personal_data(user: User) -> tuple[Erased, int]:
    export(user)
    erased = forget(user, dry_run=True)
    return erased, erased.total()


def who(token: str) -> tuple[DeviceSession, AccessClaims]:
    claims = verify_access_token(token)
    assert_type(claims.scopes, tuple[str, ...])
    assert_type(claims.expires_at, datetime)
    return recognize(token), claims


def describe(session: DeviceSession) -> tuple[UUID, str, datetime]:
    return session.pk, session.device_type, session.expires_at


def on_end(sender: Any, *, session: DeviceSession, reason: str, **kwargs: Any) -> None:
    SessionEvent.objects.filter(session=session).count()


signals.device_session_ended.connect(on_end)
SIGNALS = [signals.device_session_opened, signals.device_session_continued, signals.refresh_reused]
SIGNALS += [signals.session_flagged, signals.notice, signals.password_changed]

# Pages


def home(request: DeviceSessionRequest) -> HttpResponse:
    if request.device_session is None:
        return HttpResponse("nobody")
    assert_type(request.device_session, DeviceSession)
    return HttpResponse(request.device_session.device_name)


@login_required
@recently_authenticated(timedelta(minutes=5))
def account(request: AuthenticatedRequest[User]) -> HttpResponse:
    assert_type(request.user, User)
    return HttpResponse(request.user.username)


async def aaccount(request: AuthenticatedRequest[User]) -> HttpResponse:
    assert_type(await request.auser(), User)
    return HttpResponse(request.user.email)


class Payout(RecentlyAuthenticatedMixin):
    max_age = timedelta(minutes=5)


# The API


class Orders(APIView):
    authentication_classes = [BearerAuthentication, CookieAuthentication]
    permission_classes = [IsAuthenticated, IsFirstParty, RecentlyAuthenticated(timedelta(hours=1))]

    def get(self, request: CallerRequest[User]) -> Response:
        assert_type(request.user, User)
        assert_type(request.auth, AccessClaims)
        assert_type(session_of(request), DeviceSession)
        assert_type(session_or_none(request), DeviceSession | None)
        return Response({"sid": request.auth.sid, "roles": request.auth.roles})


class AsyncOrders(APIView):
    authentication_classes = [adrf.BearerAuthentication, adrf.CookieAuthentication]
    permission_classes = [HasScope("orders:read"), HasRole("admin")]


@bearer_required
def report(request: BearerRequest[User]) -> JsonResponse:
    return JsonResponse({"user": request.user.username, "sid": request.auth.sid})


@bearer_optional
async def hello(request: HttpRequest) -> HttpResponse:
    claims = identify(request)
    return HttpResponse("nobody" if claims is None else claims.sub)


def fail(request: HttpRequest, error: AuthxError, refused: APIException) -> HttpResponse:
    exception_handler(error, {"request": request})
    own_errors_only(error, {"request": request}, exception_handler)
    assert_type(error.code, str)
    return answer_to(request, refused)


def call_another(request: HttpRequest) -> list[str]:
    return [exchange(request, audience="https://other.example/"), service_token(audience=["a"], scope="b")]


api = NinjaAPI(auth=[BearerAuth(), CookieAuth()])
add_exception_handlers(api)

# Sockets


async def app(scope: Any, receive: Any, send: Any) -> None: ...


websockets, application = authenticated(app), live_notice(app)

# Its tests


class DevicesTest(DeviceSessionTestMixin):
    def test_a_week(self, user: User) -> None:
        assert_type(self.login_device(user, type="ios"), Credentials)
        assert_type(self.moving_clock(), Clock)
        assert_type(self.token_for(user), str)


def test_a_phone(user: User) -> None:
    transport: Transport = "cookie"
    session = login_device(Client(), user, transport=transport, name="Ada's").session
    login_device(APIClient(), user, id="phone-1")
    with clock() as now:
        now.advance(minutes=20)
        now.advance(timedelta(days=1))
    assert token_for(user)
    assert session.pk


async def test_an_async_phone(user: User) -> None:
    assert_type(await alogin_device(AsyncClient(), user), Credentials)


def test_a_client() -> Iterator[RotationSite]:
    with rotation_site() as site:
        site.network.lose_answers(2)
        site.assert_nobody_was_logged_out()
        yield site


urlpatterns = [
    path("", home),
    path("account/", account),
    path("orders/", Orders.as_view()),
    path("report/", report),
    path("hello/", hello),
    path("api/auth/", include("authx.api.urls")),
]
