"""What an ordinary site does with a request."""

from collections.abc import Iterator

from django.contrib.auth.decorators import login_required
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from authx.core.claims import AccessClaims


def _who(user, session) -> JsonResponse:
    return JsonResponse(
        {
            "user": user.get_username() if user.is_authenticated else None,
            "session": str(session.pk) if session else None,
        }
    )


def whoami(request: HttpRequest) -> HttpResponse:
    """Say who is asking: ``{"user": username or null, "session": sid or null}``."""
    return _who(request.user, request.device_session)


@non_atomic_requests  # Django refuses an async view in a transaction
async def async_whoami(request: HttpRequest) -> HttpResponse:
    """Say the same from an async view."""
    return _who(await request.auser(), request.device_session)


def untouched(request: HttpRequest) -> HttpResponse:
    """Answer without ever asking who it is."""
    return HttpResponse("untouched")


@login_required
def private(request: HttpRequest) -> HttpResponse:
    """Show a page that needs a login."""
    return render(request, "site/private.html")


@cache_control(public=True, max_age=600)
def cached(request: HttpRequest) -> HttpResponse:
    """Answer with a page that a shared cache may keep."""
    return HttpResponse("cached")


def streaming(request: HttpRequest) -> StreamingHttpResponse:
    """Stream; the user is looked at only when the headers have long left."""

    def lines() -> Iterator[str]:
        yield "streaming\n"
        yield f"{request.user.get_username()}\n"

    return StreamingHttpResponse(lines(), content_type="text/plain")


def boom(request: HttpRequest) -> HttpResponse:
    """Fail, having looked at the user."""
    raise RuntimeError(f"boom for {request.user.pk}")


class ApiWhoami(APIView):
    """``{"user": key, "sid": sid or null}``; ``sid`` where one of our classes let the caller in."""

    permission_classes = [IsAuthenticated]

    def get(self, request: Request) -> Response:
        auth = request.auth
        sid = str(auth.sid) if isinstance(auth, AccessClaims) else None
        return Response({"user": str(request.user.pk), "sid": sid})

    post = get


class ApiPublic(APIView):
    """Open to all."""

    permission_classes = [AllowAny]

    def get(self, request: Request) -> Response:
        return Response({"public": True})
