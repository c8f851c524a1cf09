"""The site itself: a public page, a private page, a page that stays open, and three API views."""

import json
import time
from datetime import timedelta
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request as Call
from urllib.request import urlopen

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.decorators import api_view, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from authx.api.authentication import DelegatedAuthentication
from authx.api.permissions import HasRole, HasScope, RecentlyAuthenticated
from authx.client.presented import presented_token
from authx.conf import conf
from demo_project.sequences import SEQUENCES
from demo_project.sockets import PATH

#: A script of the site may run in the open page and talk with the site; nothing inline, nothing of others.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def home(request: HttpRequest) -> HttpResponse:
    return render(request, "demo/home.html", {"origin": request.build_absolute_uri("/").rstrip("/")})


@login_required
def private(request: HttpRequest) -> HttpResponse:
    return render(request, "demo/private.html")


@login_required
def live(request: HttpRequest) -> HttpResponse:
    """Show the page whose script keeps a socket and calls the API. Under WSGI there are no sockets."""
    socket = PATH if isinstance(request, ASGIRequest) else ""
    life = conf.ACCESS_TOKEN_LIFETIME
    context = {"socket": socket, "life": in_words(life), "is_long": life >= timedelta(minutes=2)}
    response = render(request, "demo/live.html", context)
    response.headers["Content-Security-Policy"] = POLICY
    return response


@login_required
def fleet(request: HttpRequest) -> HttpResponse:
    """Show what the services beside the site do for the user, and what an app may; see ``fleet.js``."""
    response = render(request, "demo/fleet.html", {"fleet": where_they_are(), "sequences": SEQUENCES})
    response.headers["Content-Security-Policy"] = POLICY
    return response


def where_they_are() -> dict[str, str]:
    """Return the addresses of what runs beside the site, by name; empty where nothing does."""
    urls: dict[str, str] = getattr(settings, "DEMO_FLEET", {})
    return urls


def in_words(period: timedelta) -> str:
    seconds = period.total_seconds()
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


def shape(name: str, **fields: Any) -> Any:
    """Describe an answer, for the schema."""
    return inline_serializer(name, fields)


@extend_schema(
    responses=shape("Hello", hello=serializers.CharField(), session_id=serializers.UUIDField(allow_null=True))
)
@api_view()
def hello(request: Request) -> Response:
    claims: Any = request.auth
    return Response({"hello": request.user.get_username(), "session_id": claims.sid})


@extend_schema(responses=shape("Staff", staff=serializers.CharField()))
@api_view()
@permission_classes([HasRole("staff")])
def staff(request: Request) -> Response:
    """Greet staff: ``claims.roles`` puts the role into their tokens."""
    return Response({"staff": request.user.get_username()})


@extend_schema(responses=shape("Codes", codes=serializers.ListField(child=serializers.CharField())))
@api_view()
@permission_classes([RecentlyAuthenticated(timedelta(minutes=5))])
def recovery_codes(request: Request) -> Response:
    """Show codes to a user who gave the password recently; five minutes later, demand ``reauthenticate/``."""
    return Response({"codes": ["a pretended one", "and another"]})


@extend_schema(responses=shape("Orders", orders=serializers.ListField(), user=serializers.CharField()))
@api_view()
def call_fleet(request: Request) -> Response:
    """Call the first service for the user, with the very token of this request: it is a part of the site."""
    if not (urls := where_they_are()):
        return Response({"detail": "No service runs beside this site."}, status=404)
    call = Call(f"{urls['orders']}/orders/", headers={"Authorization": f"Bearer {presented_token(request)}"})
    try:
        with urlopen(call, timeout=10) as answer:
            return Response(json.load(answer))
    except HTTPError as error:
        with error:
            return Response(json.load(error), status=error.code)
    except OSError:
        return Response({"detail": "The service does not answer."}, status=503)


class SharedProfile(APIView):
    """What an app may see of the user who has let it in."""

    authentication_classes = [DelegatedAuthentication]
    permission_classes = [HasScope("profile:read")]

    @extend_schema(
        responses=shape("SharedProfile", user=serializers.CharField(), scope=serializers.CharField())
    )
    def get(self, request: Request) -> Response:
        claims: Any = request.auth
        told = {"user": request.user.get_username(), "signed in": time.ctime(claims.auth_time)}
        return Response({**told, "scope": " ".join(claims.scopes)})
