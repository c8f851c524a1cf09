"""The site itself: a public page, a private page and three API views."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework.decorators import api_view, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response

from authx.api.permissions import HasRole, RecentlyAuthenticated


def home(request: HttpRequest) -> HttpResponse:
    return render(request, "demo/home.html", {"origin": request.build_absolute_uri("/").rstrip("/")})


@login_required
def private(request: HttpRequest) -> HttpResponse:
    return render(request, "demo/private.html")


@api_view()
def hello(request: Request) -> Response:
    claims: Any = request.auth
    return Response({"hello": request.user.get_username(), "session_id": claims.sid})


@api_view()
@permission_classes([HasRole("staff")])
def staff(request: Request) -> Response:
    """Greet staff: ``claims.roles`` puts the role into their tokens."""
    return Response({"staff": request.user.get_username()})


@api_view()
@permission_classes([RecentlyAuthenticated(timedelta(minutes=5))])
def recovery_codes(request: Request) -> Response:
    """Show codes to a user who gave the password recently; five minutes later, demand ``reauthenticate/``."""
    return Response({"codes": ["a pretended one", "and another"]})
