"""What some sites do besides: log people in from code, end sessions on the way, redirect, cache."""

from contextlib import suppress
from functools import wraps

from django.contrib.auth import alogin, get_user_model, login, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified, HttpResponseRedirect, JsonResponse
from django.template import engines
from django.utils.functional import empty
from django.views.decorators.cache import cache_control
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from authx.models import DeviceSession
from authx.sessions import end_session
from tests.site.views import ApiWhoami, async_whoami, whoami

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


def _named(name: str):
    return get_user_model()._default_manager.get_by_natural_key(name)


def _backend(request: HttpRequest) -> str:
    return request.GET.get("backend", MODEL_BACKEND)


def log_in(request: HttpRequest, name: str) -> HttpResponse:
    """Log somebody in from code, as social logins do; then say who is asking."""
    login(request, _named(name), backend=_backend(request))
    return whoami(request)


def impersonate(request: HttpRequest, name: str) -> HttpResponse:
    """Let staff look at the site as somebody else."""
    if not request.user.is_staff:
        raise PermissionDenied
    return log_in(request, name)


def log_in_twice(request: HttpRequest, first: str, second: str) -> HttpResponse:
    """Log two people in, one after the other."""
    login(request, _named(first), backend=MODEL_BACKEND)
    return log_in(request, second)


@non_atomic_requests
async def async_log_in(request: HttpRequest, name: str) -> HttpResponse:
    """Log somebody in from an async view."""
    user = await get_user_model()._default_manager.aget(**{get_user_model().USERNAME_FIELD: name})
    await alogin(request, user, backend=MODEL_BACKEND)
    return await async_whoami(request)


class ApiLogIn(APIView):
    """Log somebody in from a DRF view, whose request is not Django's."""

    authentication_classes = []
    permission_classes = [AllowAny]

    def post(self, request: Request, name: str) -> Response:
        login(request, _named(name), backend=MODEL_BACKEND)
        return Response({"logged_in": name})


class TakenBackError(Exception):
    """Thrown to roll a transaction back."""


def log_in_and_take_it_back(request: HttpRequest, name: str) -> HttpResponse:
    """Log somebody in within a transaction that fails, and answer all the same."""
    try:
        with transaction.atomic():
            login(request, _named(name), backend=MODEL_BACKEND)
            raise TakenBackError
    except TakenBackError:
        return HttpResponse("taken back")


def _swapped(function):
    """Swap the Django session for the one that a header names, or a new one, as allauth's app views do."""

    @wraps(function)
    def view(request: HttpRequest, **kwargs: str) -> HttpResponse:
        ambient, user = request.session, request.user
        try:
            request.session = type(ambient)(request.headers.get("X-Session-Key"))
            user._wrapped = empty
            response = function(request, **kwargs)
        finally:
            kept = request.session
            if kept.modified and not kept.is_empty():
                kept.save()
            request.session = ambient
        response["X-Session-Key"] = kept.session_key or ""
        return response

    return view


@_swapped
def app_log_in(request: HttpRequest, name: str) -> HttpResponse:
    """Log somebody in, in the session of an app; fail, or take it back, if asked to."""
    with suppress(TakenBackError), transaction.atomic():
        login(request, _named(name), backend=_backend(request))
        if "take-back" in request.GET:
            raise TakenBackError
    return whoami(request)


@_swapped
def app_log_in_and_fail(request: HttpRequest, name: str) -> HttpResponse:
    """Log somebody in, and fail: with ATOMIC_REQUESTS, only the session's store keeps that."""
    login(request, _named(name), backend=_backend(request))
    raise RuntimeError


@_swapped
def app_whoami(request: HttpRequest) -> HttpResponse:
    """Say who is asking, by the session of an app."""
    return whoami(request)


@_swapped
def app_keep(request: HttpRequest, what: str) -> HttpResponse:
    """Keep something in the session of an app."""
    request.session["kept"] = what
    return whoami(request)


@_swapped
def app_log_out(request: HttpRequest) -> HttpResponse:
    """Log out in the session of an app."""
    logout(request)
    return whoami(request)


@_swapped
def app_api(request: HttpRequest) -> HttpResponse:
    """Call the site's API in the session of an app."""
    return ApiWhoami.as_view()(request)


def log_in_and_end(request: HttpRequest, name: str) -> HttpResponse:
    """Log somebody in whom the site's own rules throw out again at once."""
    login(request, _named(name), backend=MODEL_BACKEND)
    end_session(request.device_session, "kicked")
    return HttpResponse("ended")


def change_my_password(request: HttpRequest, how: str) -> HttpResponse:
    """Change the visitor's own password, well (``saved``, ``in_bulk``) or in a way that ends the session."""
    user = request.user
    if how == "after_a_kick":
        end_session(request.device_session, "kicked")
    user.set_password("a-new-horse")
    if how == "in_bulk":
        get_user_model()._default_manager.filter(pk=user.pk).update(password=user.password)
    else:
        user.save()
    update_session_auth_hash(request, user)
    if how == "and_once_more":
        user.set_password("another-new-horse")
        user.save()
    if how == "and_disabled":
        get_user_model()._default_manager.filter(pk=user.pk).update(is_active=False)
    if how == "and_banned":
        get_user_model()._default_manager.filter(pk=user.pk).update(email="ada@banned.example")
    if how == "and_pruned":
        request.device_session.delete()
    return HttpResponse("changed")


def end_myself(request: HttpRequest) -> HttpResponse:
    """End the session of the very request, as another tab's logout would."""
    end_session(request.device_session, "kicked")
    return HttpResponse("ended")


def move_on(request: HttpRequest) -> HttpResponse:
    """Rotate the session of the very request, as another tab would."""
    this = DeviceSession.objects.filter(pk=request.device_session.pk)
    this.update(generation=F("generation") + 1, confirmed_generation=F("generation"))
    return HttpResponse("moved on")


def redirecting(request: HttpRequest) -> HttpResponse:
    """Send the visitor on."""
    return HttpResponseRedirect("/whoami/")


def not_modified(request: HttpRequest) -> HttpResponse:
    """Answer 304."""
    return HttpResponseNotModified()


@cache_control(public=True, max_age=600)
def cached_greeting(request: HttpRequest) -> HttpResponse:
    """Say that everybody may keep it, and greet the visitor by name."""
    return HttpResponse(f"Hello, {request.user}")


async def async_untouched(request: HttpRequest) -> HttpResponse:
    """Answer without ever asking who it is, asynchronously."""
    return HttpResponse("untouched")


@login_not_required
def own_login_page(request: HttpRequest) -> HttpResponse:
    """A site's own login page, which says what the template tag says."""
    template = engines["django"].from_string("{% load authx %}{% ended_message as said %}<p>{{ said }}</p>")
    return HttpResponse(template.render({}, request))


def what_is_kept(request: HttpRequest) -> JsonResponse:
    """Put something into the Django session, and say what was there."""
    before = request.session.get("basket")
    request.session["basket"] = "full"
    return JsonResponse({"basket": before})


def query(request: HttpRequest) -> JsonResponse:
    """Say what was asked for after the question mark."""
    return JsonResponse({"query": request.META["QUERY_STRING"], "names": list(request.GET)})
