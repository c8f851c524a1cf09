"""authx.api.exception_handler and own_errors_only: whose errors they answer, and how."""

import pytest
from django.core.exceptions import PermissionDenied as DjangosDenied
from django.http import Http404
from rest_framework import exceptions as drf
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView
from rest_framework.views import exception_handler as drfs

from authx import errors
from authx.api import exception_handler, own_errors_only
from authx.api import exceptions as ours
from authx.api.authentication import BearerAuthentication, CookieAuthentication
from authx.sessions import end_session, open_session
from tests.documented import documented

THEIRS = [
    drf.NotFound(),
    drf.PermissionDenied(),
    drf.NotAuthenticated(),
    drf.AuthenticationFailed(),
    drf.ValidationError({"name": ["Too long."]}),
    drf.ValidationError("Too long."),
    drf.ParseError(),
    drf.Throttled(7),
    drf.MethodNotAllowed("PUT"),
    drf.UnsupportedMediaType("text/plain"),
    Http404(),
    DjangosDenied(),
]
OURS = [
    (errors.StoreUnavailable("no"), 503),
    (errors.SessionEnded("x"), 401),
    (errors.TokenExpired("x"), 401),
    (errors.RefreshConflict("x"), 409),
    (errors.SessionLimitReached("x"), 409),
    (errors.DeviceInvalid("x"), 400),
    (errors.ChoiceInvalid("x"), 400),
    (errors.OAuthError("access_denied"), 403),
    (ours.Unavailable(), 503),
    (ours.InsufficientScope(["a"]), 403),
    (ours.Refused("session_ended", "kicked"), 401),
    (ours.InvalidBearerRequest(), 400),
    (ours.ContentTooLarge(), 413),
]


def named(value):
    return type(value).__name__


class Raising(APIView):
    authentication_classes = []
    permission_classes = []
    error = handler = None

    def get_exception_handler(self):
        return self.handler

    def get(self, request):
        raise self.error


def answer(error, handler, **more):
    return Raising.as_view(error=error, handler=staticmethod(handler), **more)(APIRequestFactory().get("/"))


def facts(response):
    return response.status_code, response.data, dict(response.items())


@pytest.mark.parametrize("error", THEIRS, ids=named)
@pytest.mark.parametrize("classes", [[], [BearerAuthentication], [SessionAuthentication]], ids=str)
def test_the_sites_errors_stay_as_they_are(error, classes, db):
    more = {"authentication_classes": classes}
    assert facts(answer(error, own_errors_only, **more)) == facts(answer(error, drfs, **more))


@pytest.mark.parametrize(("error", "status"), OURS, ids=lambda value: named(value))
def test_ours_are_answered_as_by_the_other_handler(error, status):
    found = answer(error, own_errors_only)
    assert facts(found) == facts(answer(error, exception_handler))
    assert found.status_code == status


@pytest.mark.parametrize("error", [ValueError("a bug"), errors.KeyInvalid("weak")], ids=named)
def test_a_bug_is_nobodys_answer(error):
    for handler in (own_errors_only, exception_handler):
        with pytest.raises(type(error)):
            answer(error, handler)


def envelope(exc, context):
    """A site's own handler."""
    response = drfs(exc, context)
    if response is not None:
        response.data = {"errors": [response.data]}
    return response


def test_a_sites_former_handler_goes_on_with_its_own_errors():
    names = {"former_handler": envelope}
    exec(documented("errors.md", "python", "own_errors_only"), names)
    both = names["handler"]
    assert answer(drf.NotFound(), both).data == {"errors": [{"detail": "Not found."}]}
    found = answer(ours.Refused("session_ended", "kicked"), both)
    assert (found.status_code, found.data["code"], found.data["reason"]) == (401, "session_ended", "kicked")
    assert found["WWW-Authenticate"].startswith("Bearer")


class Private(APIView):
    permission_classes = [IsAuthenticated]
    handler = staticmethod(own_errors_only)

    def get_exception_handler(self):
        return self.handler

    def get(self, request):
        return Response({})


ORDERS = [
    [BearerAuthentication, CookieAuthentication],
    [SessionAuthentication, BearerAuthentication, CookieAuthentication],
]


@pytest.mark.parametrize("classes", ORDERS, ids=["ours first", "Django's first"])
def test_a_refused_credential_is_told_in_our_words(classes, ada):
    credentials = open_session(ada)
    end_session(credentials.session, "kicked")
    view = Private.as_view(authentication_classes=classes)
    bearer = APIRequestFactory().get("/", headers={"Authorization": f"Bearer {credentials.access_token}"})
    browser = APIRequestFactory()
    browser.cookies["__Host-authx_access"] = credentials.access_token
    for request in (bearer, browser.get("/")):
        found = view(request)
        told = {"code": "session_ended", "reason": "kicked"}
        assert (found.status_code, found.data | told) == (401, found.data)
        assert "session_ended kicked" in found["WWW-Authenticate"]


@pytest.mark.parametrize("classes", ORDERS, ids=["ours first", "Django's first"])
def test_nobody_at_all_is_told_in_the_sites(classes, db):
    view = Private.as_view(authentication_classes=classes)
    plain = Private.as_view(authentication_classes=classes, handler=staticmethod(drfs))
    request = APIRequestFactory().get("/")
    assert facts(view(request)) == facts(plain(APIRequestFactory().get("/")))


def test_our_own_routes_speak_as_ever(api, settings, db):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "EXCEPTION_HANDLER": "authx.api.own_errors_only"}
    assert api.get("/api/auth/sessions/").json()["code"] == "not_authenticated"
    assert api.put("/api/auth/login/").json()["code"] == "method_not_allowed"
