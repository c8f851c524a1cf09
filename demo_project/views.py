"""The site itself: a public page, a private page and an API view."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response


def home(request: HttpRequest) -> HttpResponse:
    return render(request, "demo/home.html", {"origin": request.build_absolute_uri("/").rstrip("/")})


@login_required
def private(request: HttpRequest) -> HttpResponse:
    return render(request, "demo/private.html")


@api_view()
def hello(request: Request) -> Response:
    claims: Any = request.auth
    return Response({"hello": request.user.get_username(), "session_id": claims.sid})
