"""Django's ``logout`` and ``update_session_auth_hash`` in views whose caller came by token or cookie."""

from __future__ import annotations

import json
from datetime import timedelta
from unittest.mock import patch

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth import (
    alogout,
    aupdate_session_auth_hash,
    authenticate,
    get_user_model,
    login,
    logout,
    update_session_auth_hash,
    user_logged_out,
)
from django.contrib.sessions.models import Session
from django.db import connections, transaction
from django.db.transaction import non_atomic_requests
from django.http import JsonResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from authx.api.bearer import bearer_required, identify
from authx.api.tokens import tokens_after_password_change
from authx.gate.verify import read_claims
from authx.models import DeviceSession, SessionEvent
from authx.sessions import Device, end_session, open_session, refresh_session
from authx.sessions.liveness import end_of, recognize
from authx.sessions.lookup import find_by_sid
from authx.signals import device_session_continued
from tests import urls as site

NEW = "another-horse-another-staple"
ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"
LATER = timedelta(minutes=1)


def change(request, user=None, password=NEW):
    """As nearly every package's view does it."""
    user = user or request.user
    user.set_password(password)
    user.save()
    update_session_auth_hash(request, user)


class LogOut(APIView):
    permission_classes = [IsAuthenticated]

    def post(self, request):
        logout(request._request if request.GET.get("unwrapped") else request)
        return Response({"user": str(request._request.user)})


class LogOutAndFail(APIView):
    permission_classes = [IsAuthenticated]

    def post(self, request):
        logout(request)
        raise ValidationError("no")


class LogOutAndFlush(APIView):
    """Log out, and then flush what came along, on purpose."""

    permission_classes = [IsAuthenticated]

    def post(self, request):
        logout(request)
        request.session.flush()
        return Response({})


class LogOutOfAnother(APIView):
    """Put another Django session in place of the one that came along, and log out of that."""

    permission_classes = [IsAuthenticated]

    def post(self, request):
        request._request.session = type(request.session)(request.GET["key"])
        logout(request)
        return Response({})


class LogOutAs(APIView):
    """Log out with somebody else as the request's user, such as one whom a middleware has put there."""

    permission_classes = [IsAuthenticated]

    def post(self, request, name):
        request.user = named(name)
        logout(request)
        return Response({})


class Change(APIView):
    permission_classes = [IsAuthenticated]

    def post(self, request):
        change(request)
        return Response(tokens_after_password_change(request) or {})


class ChangeUnread(APIView):
    """Change the caller's password by another object: the row behind the token need not have been read."""

    permission_classes = [IsAuthenticated]

    def post(self, request):
        change(request, get_user_model()._default_manager.get(pk=request.user.pk))
        return Response(request.GET.get("answer") and tokens_after_password_change(request))


class ChangeInBulk(APIView):
    permission_classes = [IsAuthenticated]

    def post(self, request):
        user = request.user
        user.set_password(NEW)
        get_user_model()._default_manager.filter(pk=user.pk).update(password=user.password)
        update_session_auth_hash(request, user)
        return Response(tokens_after_password_change(request) or {})


class ChangeSilently(APIView):
    """Change it as a package does that knows nothing of us."""

    permission_classes = [IsAuthenticated]

    def post(self, request):
        change(request)
        return Response(status=204)


class ChangeAndFail(APIView):
    permission_classes = [IsAuthenticated]

    def post(self, request):
        change(request)
        assert tokens_after_password_change(request)
        raise ValidationError("no")


class ChangeAndThink(APIView):
    """Change it in a block that is rolled back, and answer all the same."""

    permission_classes = [IsAuthenticated]

    def post(self, request):
        with transaction.atomic():
            change(request)
            transaction.set_rollback(True)
        return Response(tokens_after_password_change(request) or {})


class ChangeWithoutTheFunction(APIView):
    """Change it, and forget ``update_session_auth_hash``."""

    permission_classes = [IsAuthenticated]

    def post(self, request):
        request.user.set_password(NEW)
        request.user.save()
        return Response(tokens_after_password_change(request) or {})


class ChangeOf(APIView):
    """Change somebody's password, as staff."""

    permission_classes = [IsAuthenticated]

    def post(self, request, name):
        change(request, named(name))
        return Response(tokens_after_password_change(request) or {})


class ChangeAs(APIView):
    """Change somebody's password with them as the request's user, whom another middleware has put there."""

    permission_classes = [IsAuthenticated]

    def post(self, request, name):
        request.user = named(name)
        change(request)
        return Response(tokens_after_password_change(request) or {})


class ChangeThen(APIView):
    """Change it, and have the session ended in another way before or after the answer."""

    permission_classes = [IsAuthenticated]

    def post(self, request, how):
        if how == "kicked first":
            end_session(DeviceSession.objects.get(pk=request.auth.sid), "kicked")
        change(request)
        if how == "kicked":
            end_session(DeviceSession.objects.get(pk=request.auth.sid), "kicked")
        if how == "changed again":
            request.user.set_password("once-more")
            request.user.save()
        if how == "disabled":
            get_user_model()._default_manager.filter(pk=request.user.pk).update(is_active=False)
        if how == "logged out":
            logout(request)
        body = tokens_after_password_change(request)
        if how == "logged out afterwards":
            logout(request)
        if how == "asked twice":
            assert tokens_after_password_change(request) is None
        return Response(body or {})


class Answer(APIView):
    """Ask for tokens although nothing has changed."""

    permission_classes = [AllowAny]

    def post(self, request):
        request.session["cart"] = "full"
        return Response(tokens_after_password_change(request) or {})


class LogInAndOut(APIView):
    """Sign in by Django in a call that came by token, and out again."""

    permission_classes = [IsAuthenticated]

    def post(self, request):
        login(request, authenticate(request, username=request.GET["name"], password=request.GET["password"]))
        logout(request)
        return Response({})


class OnlyTheSignal(APIView):
    """Announce a logout, and flush nothing, as packages of tokens do."""

    permission_classes = [IsAuthenticated]

    def post(self, request):
        user_logged_out.send(type(request.user), request=request, user=request.user)
        return Response({})


class Store(APIView):
    permission_classes = [IsAuthenticated]

    def post(self, request):
        request.session["cart"] = "full"
        return Response({})


class Anonymous(APIView):
    authentication_classes = []

    def post(self, request):
        logout(request)
        return Response({})


@bearer_required
def plain_logout(request):
    logout(request)
    return JsonResponse({"user": str(request.user)})


@bearer_required
def plain_change(request):
    change(request)
    return JsonResponse(tokens_after_password_change(request) or {})


@csrf_exempt
def identified_change(request):
    assert identify(request) is not None
    change(request)
    return JsonResponse(tokens_after_password_change(request) or {})


@non_atomic_requests
@bearer_required
async def async_logout(request):
    await alogout(request)
    return JsonResponse({"user": str(request.user)})


@non_atomic_requests
@bearer_required
async def async_change(request):
    user = await request.auser()
    user.set_password(NEW)
    await user.asave()
    await aupdate_session_auth_hash(request, user)
    return JsonResponse(await sync_to_async(tokens_after_password_change)(request))


urlpatterns = [
    path("log-out/", LogOut.as_view()),
    path("log-out-and-fail/", LogOutAndFail.as_view()),
    path("log-out-and-flush/", LogOutAndFlush.as_view()),
    path("log-out-of-another/", LogOutOfAnother.as_view()),
    path("log-out-as/<name>/", LogOutAs.as_view()),
    path("log-in-and-out/", LogInAndOut.as_view()),
    path("only-the-signal/", OnlyTheSignal.as_view()),
    path("anonymous-log-out/", Anonymous.as_view()),
    path("plain-log-out/", plain_logout),
    path("async-log-out/", async_logout),
    path("change/", Change.as_view()),
    path("change-unread/", ChangeUnread.as_view()),
    path("change-in-bulk/", ChangeInBulk.as_view()),
    path("change-silently/", ChangeSilently.as_view()),
    path("change-and-fail/", ChangeAndFail.as_view()),
    path("change-and-think/", ChangeAndThink.as_view()),
    path("change-without/", ChangeWithoutTheFunction.as_view()),
    path("change-of/<name>/", ChangeOf.as_view()),
    path("change-as/<name>/", ChangeAs.as_view()),
    path("change-then/<how>/", ChangeThen.as_view()),
    path("plain-change/", plain_change),
    path("identified-change/", identified_change),
    path("async-change/", async_change),
    path("answer/", Answer.as_view()),
    path("store/", Store.as_view()),
    *site.urlpatterns,
]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

LOGOUTS = ["/log-out/", "/log-out/?unwrapped=1", "/plain-log-out/", "/async-log-out/"]
CHANGES = [
    "/change/",
    "/change-in-bulk/",
    "/change-unread/?answer=1",
    "/plain-change/",
    "/identified-change/",
    "/async-change/",
]


@pytest.fixture
def here(ada):
    """The device that calls."""
    return open_session(
        ada, device=Device(id="phone-1", type="ios", name="Ada's phone"), amr=("pwd", "otp", "mfa")
    )


@pytest.fixture
def elsewhere(ada):
    return open_session(ada)


@pytest.fixture
def client():
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def atomic(monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    with patch.dict(connections["default"].settings_dict, ATOMIC_REQUESTS=True):
        yield


@pytest.fixture(params=[False, True], ids=["plain", "ATOMIC_REQUESTS"])
def _in_transactions_or_not(request):
    if request.param:
        request.getfixturevalue("atomic")


@pytest.fixture(params=["middleware", "no middleware"])
def _with_the_middleware_or_without(request, settings):
    if request.param == "no middleware":
        settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "authx" not in name]


def named(name):
    model = get_user_model()
    return model._default_manager.get(**{model.USERNAME_FIELD: name})


def bearer(credentials):
    return {"Authorization": f"Bearer {credentials.access_token}"}


def call(client, url, credentials, **data):
    return client.post(url, json.dumps(data), content_type="application/json", headers=bearer(credentials))


def reason(credentials):
    """Why the session has ended, also for a reader of the user's row; "" if it lives."""
    found = find_by_sid(credentials.session.pk)
    return end_of(found) or ""


def sign_in(client, user, password):
    """A browser signed in on a page."""
    field = type(user).USERNAME_FIELD
    client = client or Client()
    response = client.post("/account/login/", {"username": getattr(user, field), "password": password})
    assert response.status_code == 302
    return DeviceSession.objects.get(pk=client.get("/whoami/").json()["session"])


def cookies(client):
    return {name: morsel.value for name, morsel in client.cookies.items() if morsel.value}


# Logging out


@pytest.mark.usefixtures("_in_transactions_or_not", "_with_the_middleware_or_without")
@pytest.mark.parametrize("url", LOGOUTS)
def test_a_logout_ends_the_session_that_made_the_call(client, here, elsewhere, ada, url):
    response = call(client, url, here)
    assert (response.status_code, response.json()) == (200, {"user": "AnonymousUser"})
    assert (reason(here), reason(elsewhere)) == ("logout", "")
    event = SessionEvent.objects.get(session=here.session, kind=SessionEvent.Kind.ENDED)
    assert event.actor == ada
    after = call(client, url, here)
    assert (after.status_code, after.json()["reason"]) == (401, "logout")
    assert not response.cookies


def test_a_logout_in_an_async_client(here):
    response = async_to_sync(AsyncClient().post)("/async-log-out/", headers=bearer(here))
    assert response.status_code == 200
    assert reason(here) == "logout"


@pytest.mark.parametrize("store", ["database", "lag"])
def test_a_logout_where_the_session_has_not_been_read(client, here, elsewhere, store, settings):
    if store == "lag":
        settings.AUTHX_REVOCATION_LAG = LATER
    assert call(client, "/log-out/", here).status_code == 200
    assert (reason(here), reason(elsewhere)) == ("logout", "")


@pytest.mark.usefixtures("atomic")
def test_a_logout_that_is_rolled_back_ends_nothing(client, here):
    assert call(client, "/log-out-and-fail/", here).status_code == 400
    assert reason(here) == ""
    assert call(client, "/store/", here).status_code == 200


@pytest.mark.usefixtures("atomic")
@pytest.mark.parametrize("by", ["cookie", "token beside the cookie"])
def test_a_browser_whose_logout_is_rolled_back_stays_signed_in(ada, password, by):
    browser = Client()
    session = sign_in(browser, ada, password)
    before = {name: browser.cookies[name].value for name in (ACCESS, REFRESH)}
    headers = {"Authorization": f"Bearer {before[ACCESS]}"} if by != "cookie" else {}
    assert browser.post("/log-out-and-fail/", headers=headers).status_code == 400
    session.refresh_from_db()
    assert session.end_reason == ""
    assert {name: browser.cookies[name].value for name in (ACCESS, REFRESH)} == before
    assert browser.get("/whoami/").json() == {"user": "ada", "session": str(session.pk)}


def test_a_logout_whose_view_fails_outside_a_transaction_stands(client, here):
    assert call(client, "/log-out-and-fail/", here).status_code == 400
    assert reason(here) == "logout"


@pytest.mark.parametrize("url", LOGOUTS)
@pytest.mark.parametrize("who", ["ada", "bob"])
def test_a_browser_signed_in_beside_the_token_stays_so(ada, bob, here, password, url, who):
    browser = Client()
    beside = sign_in(browser, {"ada": ada, "bob": bob}[who], password)
    before = cookies(browser)
    assert call(browser, url, here).status_code == 200
    assert reason(here) == "logout"
    assert cookies(browser) == before
    beside.refresh_from_db()
    assert beside.end_reason == ""
    assert Session.objects.filter(session_key=before["sessionid"]).exists()
    assert browser.get("/whoami/").json() == {"user": who, "session": str(beside.pk)}


def test_a_django_login_alone_beside_the_token_stays_too(ada, bob, here, password, settings):
    """One that opened no device session: Django's own session is all that the browser has."""
    settings.AUTHX_BIND_DJANGO_LOGIN = False
    browser = Client()
    assert browser.login(username=bob.get_username(), password=password)
    assert call(browser, "/log-out/", here).status_code == 200
    assert reason(here) == "logout"
    assert browser.get("/whoami/").json()["user"] == "bob"


def test_what_lies_beside_another_sessions_cookies_is_not_flushed(bob, here, password):
    browser = APIClient()
    login = {"username": bob.get_username(), "password": password, "transport": "cookie"}
    assert browser.post("/api/auth/login/", login).status_code == 200
    headers = {"Authorization": f"Bearer {here.access_token}"}
    for url in ("/store/", "/log-out/"):
        assert browser.post(url, headers=headers).status_code == 200
    assert Session.objects.count() == 1
    assert reason(here) == "logout"


def test_a_view_may_flush_it_all_the_same(bob, here, password):
    browser = Client()
    beside = sign_in(browser, bob, password)
    assert call(browser, "/log-out-and-flush/", here).status_code == 200
    assert not Session.objects.exists()
    beside.refresh_from_db()
    assert (reason(here), beside.end_reason) == ("logout", "logout")


def test_a_django_session_in_place_of_the_one_that_came_along_says_who_logs_out(client, bob, here, password):
    browser = Client()
    theirs = sign_in(browser, bob, password)
    url = f"/log-out-of-another/?key={browser.cookies['sessionid'].value}"
    assert call(client, url, here).status_code == 200
    theirs.refresh_from_db()
    assert (reason(here), theirs.end_reason) == ("", "logout")


def test_the_django_session_of_the_very_session_goes_with_it_without_cookies_too(ada, password):
    browser = Client()
    sign_in(browser, ada, password)
    own = browser.cookies[ACCESS].value
    for name in (ACCESS, REFRESH):
        del browser.cookies[name]
    assert browser.post("/log-out/", headers={"Authorization": f"Bearer {own}"}).status_code == 200
    assert not Session.objects.exists()


def test_what_the_caller_kept_in_a_django_session_goes_with_a_logout(client, here):
    assert call(client, "/store/", here).status_code == 200
    assert Session.objects.count() == 1
    assert call(client, "/log-out/", here).status_code == 200
    assert not Session.objects.exists()
    assert not cookies(client)


def test_also_where_another_site_on_the_host_has_cookies_of_our_names(client, here):
    theirs = {ACCESS: "of.another.site", REFRESH: "of-another.site"}
    client.cookies.load(theirs)
    assert call(client, "/store/", here).status_code == 200
    assert call(client, "/log-out/", here).status_code == 200
    assert not Session.objects.exists()
    assert cookies(client) == theirs


def test_what_a_browser_without_a_django_login_kept_goes_with_its_session(ada, password):
    """Signed in through the API by cookie; what it keeps is its own session's, claimed or not."""
    browser = APIClient()
    login = {"username": ada.get_username(), "password": password, "transport": "cookie"}
    token = browser.post("/api/auth/login/", login).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert browser.post("/store/", headers=headers).status_code == 200
    assert Session.objects.count() == 1
    assert browser.post("/log-out/", headers=headers).status_code == 200
    assert not Session.objects.exists()
    assert not {ACCESS, REFRESH, "sessionid"} & cookies(browser).keys()


def test_the_cookies_of_the_very_session_go_with_it(ada, password):
    """A script that signed in by cookie, and calls with the access token which the answer held too."""
    browser = Client()
    session = sign_in(browser, ada, password)
    own = browser.cookies[ACCESS].value
    response = browser.post("/log-out/", headers={"Authorization": f"Bearer {own}"})
    assert response.status_code == 200
    session.refresh_from_db()
    assert session.end_reason == "logout"
    assert not {ACCESS, REFRESH, "sessionid"} & cookies(browser).keys()
    assert not Session.objects.exists()


def test_the_session_of_the_call_ends_whoever_is_the_requests_user(client, here, bob):
    theirs = open_session(bob)
    assert call(client, "/log-out-as/bob/", here).status_code == 200
    assert (reason(here), reason(theirs)) == ("logout", "")
    assert SessionEvent.objects.get(kind=SessionEvent.Kind.ENDED).actor_label == "ada"


def test_a_logout_that_is_only_announced_ends_it_too(here, settings):
    settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
    assert call(Client(), "/only-the-signal/", here).status_code == 200
    assert reason(here) == "logout"


@pytest.mark.usefixtures("_with_the_middleware_or_without")
def test_a_login_in_the_call_is_what_its_logout_ends(client, here, ada, bob, password):
    url = f"/log-in-and-out/?name={bob.get_username()}&password={password}"
    assert call(client, url, here).status_code == 200
    assert reason(here) == ""
    assert DeviceSession.objects.get(user=bob).end_reason == "logout"
    assert not Session.objects.exists()


def test_a_forced_user_has_no_session_to_end(ada, here):
    api = APIClient()
    api.force_authenticate(ada)
    assert api.post("/log-out/").status_code == 200
    assert call(api, "/log-out/", here).status_code == 200
    assert reason(here) == ""


def test_a_token_that_nobody_has_looked_at_ends_nothing(client, here):
    assert call(client, "/anonymous-log-out/", here).status_code == 200
    assert reason(here) == ""


def test_a_service_that_only_verifies_ends_nothing(ada, here, bob, password, settings):
    browser = Client()
    beside = sign_in(browser, bob, password)
    before = cookies(browser)
    with patch("authx.api.authentication._admitter", lambda store: _token_caller):
        assert call(browser, "/log-out/", here).status_code == 200
        assert call(browser, "/answer/", here).json() == {}
    beside.refresh_from_db()
    assert (reason(here), beside.end_reason) == ("", "")
    assert cookies(browser) == before


def _token_caller(token, **how):
    from authx.gate.principal import TokenCaller

    return TokenCaller(read_claims(token))


def test_a_cookie_caller_is_signed_out_as_on_a_page(ada, password, elsewhere):
    browser = Client()
    session = sign_in(browser, ada, password)
    assert browser.post("/log-out/").status_code == 200
    session.refresh_from_db()
    assert (session.end_reason, reason(elsewhere)) == ("logout", "")
    assert not {ACCESS, REFRESH, "sessionid"} & cookies(browser).keys()


# Changing the password


@pytest.mark.usefixtures("_in_transactions_or_not", "_with_the_middleware_or_without")
@pytest.mark.parametrize("url", CHANGES)
def test_a_new_session_continues_the_one_that_changed_its_password(client, here, elsewhere, ada, url):
    response = call(client, url, here)
    assert response.status_code == 200, response.content
    body = response.json()
    assert body.keys() == {
        *("access_token", "token_type", "expires_in", "refresh_token", "refresh_expires_in"),
        *("session_id", "user_id"),
    }
    assert (reason(here), reason(elsewhere)) == ("password_changed", "password_changed")
    new = recognize(body["access_token"])
    assert str(new.pk) == body["session_id"]
    assert DeviceSession.objects.get(pk=here.session.pk).successor == new.pk
    kept = ("user_id", "device_id", "device_type", "device_name", "amr", "auth_time", "persistent")
    assert [getattr(new, name) for name in kept] == [getattr(here.session, name) for name in kept]
    assert new.confirmed_generation == 1
    assert refresh_session(body["refresh_token"], now=new.created_at + LATER).session == new
    assert call(client, "/store/", here).json()["reason"] == "password_changed"
    assert DeviceSession.objects.live().get() == new


@pytest.mark.parametrize("url", CHANGES)
def test_nothing_is_left_in_a_browser(client, here, url):
    assert not call(client, url, here).cookies
    assert not Session.objects.exists()


def test_what_the_caller_kept_in_a_django_session_stays(client, here):
    call(client, "/store/", here)
    assert call(client, "/change/", here).json()["access_token"]
    assert dict(client.session) == {"cart": "full"}


def test_no_cache_keeps_the_answer(client, here):
    assert "no-store" in call(client, "/change/", here)["Cache-Control"]


def test_it_is_announced(here, client, django_capture_on_commit_callbacks):
    found = []

    def note(sender, session, before, **kwargs):
        found.append((str(before.pk), str(session.pk)))

    device_session_continued.connect(note)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            body = call(client, "/change/", here).json()
    finally:
        device_session_continued.disconnect(note)
    assert found == [(str(here.session.pk), body["session_id"])]


def test_a_change_in_an_async_client(here):
    response = async_to_sync(AsyncClient().post)("/async-change/", headers=bearer(here))
    assert recognize(response.json()["access_token"])
    assert reason(here) == "password_changed"


@pytest.mark.parametrize("url", CHANGES)
def test_a_change_where_the_session_has_not_been_read(client, here, url, settings):
    settings.AUTHX_REVOCATION_LAG = LATER
    body = call(client, url, here).json()
    assert str(DeviceSession.objects.get(pk=here.session.pk).successor) == body["session_id"]


def test_a_view_that_hands_out_no_tokens_opens_no_session(client, here):
    """Nobody could use it; it would stand in lists, and fill a limit."""
    response = call(client, "/change-silently/", here)
    assert (response.status_code, reason(here)) == (204, "password_changed")
    assert not DeviceSession.objects.live().exists()
    assert not Session.objects.exists()
    assert not response.cookies


@pytest.mark.usefixtures("atomic")
def test_a_change_that_is_rolled_back_has_changed_nothing(client, here, elsewhere, ada, password):
    assert call(client, "/change-and-fail/", here).status_code == 400
    assert (reason(here), reason(elsewhere)) == ("", "")
    assert DeviceSession.objects.count() == 2
    ada.refresh_from_db()
    assert ada.check_password(password)
    assert call(client, "/store/", here).status_code == 200


def test_a_change_that_the_view_takes_back_has_changed_nothing(client, here):
    response = call(client, "/change-and-think/", here)
    assert (response.status_code, response.json()) == (200, {})
    assert reason(here) == ""
    assert call(client, "/store/", here).status_code == 200


def test_without_djangos_function_nothing_follows(client, here):
    assert call(client, "/change-without/", here).json() == {}
    assert reason(here) == "password_changed"
    assert not DeviceSession.objects.live().exists()


def test_a_browser_that_has_the_new_hash_does_not_help_another_session(ada, here, password):
    """Somebody who holds a copy of a token calls while its owner changes the password on a page."""
    browser = Client()
    sign_in(browser, ada, password)
    change = {"old_password": password, "new_password1": NEW, "new_password2": NEW}
    stolen = open_session(ada)
    claims = stolen.claims

    def admit(token, **how):
        from authx.sessions.authentication import Caller
        from authx.sessions.lookup import find_by_sid

        found = Caller(claims, find_by_sid(stolen.session.pk))
        assert browser_of_owner.post("/password-change/", change).status_code == 302
        return found

    browser_of_owner = Client()
    browser_of_owner.cookies = browser.cookies
    thief = Client()
    with patch("authx.api.authentication._admitter", lambda store: admit):
        assert call(thief, "/answer/", stolen).json() == {}
    assert reason(stolen) == "password_changed"
    assert DeviceSession.objects.live().count() == 1


@pytest.mark.parametrize("how", ["kicked first", "kicked", "changed again", "disabled", "logged out"])
def test_whoever_ends_it_before_the_answer_has_ended_it(client, here, how):
    response = call(client, f"/change-then/{how}/", here)
    assert (response.status_code, response.json()) == (200, {})
    assert not DeviceSession.objects.live().exists()


def test_a_logout_after_the_answer_ends_what_continues_it(client, here):
    body = call(client, "/change-then/logged out afterwards/", here).json()
    assert DeviceSession.objects.get(pk=body["session_id"]).end_reason == "logout"


def test_the_answer_is_given_once(client, here):
    assert call(client, "/change-then/asked twice/", here).json()["access_token"]


@pytest.mark.parametrize("url", ["/change-of/ada/", "/change-as/ada/"])
def test_the_target_is_signed_out_and_the_admin_is_not(client, admin, ada, here, elsewhere, url):
    office = open_session(admin)
    assert call(client, url, office).json() == {}
    assert (reason(here), reason(elsewhere), reason(office)) == ("password_changed", "password_changed", "")
    assert DeviceSession.objects.live().get() == office.session
    assert not DeviceSession.objects.exclude(successor=None).exists()
    assert call(client, "/store/", office).status_code == 200


@pytest.mark.parametrize("url", ["/change-of/ada/", "/change-as/ada/"])
def test_the_admin_in_a_browser_neither(admin, ada, here, password, url):
    browser = Client()
    office = sign_in(browser, admin, password)
    assert browser.post(url).json() == {}
    assert reason(here) == "password_changed"
    assert browser.get("/whoami/").json() == {"user": "admin", "session": str(office.pk)}


def test_tokens_are_not_for_the_asking(client, here):
    assert call(client, "/answer/", here).json() == {}
    assert client.post("/answer/").json() == {}
    assert DeviceSession.objects.live().get() == here.session


def test_a_forced_user_changes_the_password_and_gets_no_tokens(ada, here):
    api = APIClient()
    api.force_authenticate(ada)
    assert api.post("/change/").data == {}
    assert reason(here) == "password_changed"
    assert not DeviceSession.objects.live().exists()


def test_somebody_elses_browser_beside_the_token_stays_signed_in(ada, bob, here, password):
    browser = Client()
    beside = sign_in(browser, bob, password)
    before = cookies(browser)
    body = call(browser, "/change/", here).json()
    assert body["refresh_token"]
    assert {name: cookies(browser)[name] for name in (ACCESS, REFRESH)} == {
        name: before[name] for name in (ACCESS, REFRESH)
    }
    assert browser.get("/whoami/").json() == {"user": "bob", "session": str(beside.pk)}
    assert recognize(body["access_token"]).user == ada


def test_somebody_elses_django_session_is_known_under_its_new_key(bob, here, password):
    browser = Client()
    beside = sign_in(browser, bob, password)
    before = browser.cookies["sessionid"].value
    call(browser, "/change/", here)
    assert browser.cookies["sessionid"].value != before
    Session.objects.all().delete()
    beside.refresh_from_db()
    assert beside.end_reason == "ended_by_user"


def test_ones_own_other_login_beside_the_token_ends(ada, here, password):
    browser = Client()
    beside = sign_in(browser, ada, password)
    assert call(browser, "/change/", here).json()["refresh_token"]
    beside.refresh_from_db()
    assert (beside.end_reason, beside.successor) == ("password_changed", None)
    assert browser.get("/whoami/").json()["user"] is None


def test_a_refresh_token_in_a_cookie_is_followed_by_one_in_a_cookie(ada, password):
    """A script that signed in by cookie, and calls with the access token which the answer held too."""
    browser = Client()
    session = sign_in(browser, ada, password)
    own = browser.cookies[ACCESS].value
    body = browser.post("/change/", headers={"Authorization": f"Bearer {own}"}).json()
    session.refresh_from_db()
    assert session.end_reason == "password_changed"
    assert str(session.successor) == body["session_id"]
    assert "refresh_token" not in body
    assert recognize(body["access_token"]).pk == session.successor
    assert browser.get("/whoami/").json() == {"user": "ada", "session": body["session_id"]}
    Session.objects.all().delete()
    assert DeviceSession.objects.get(pk=session.successor).end_reason == "ended_by_user"


@pytest.mark.parametrize("url", ["/change-silently/", "/change-unread/"])
@pytest.mark.parametrize("lag", [False, True])
def test_such_a_browser_stays_signed_in_without_being_answered(ada, password, url, lag, settings):
    browser = Client()
    session = sign_in(browser, ada, password)
    if lag:
        settings.AUTHX_REVOCATION_LAG = LATER
    own = browser.cookies[ACCESS].value
    response = browser.post(url, headers={"Authorization": f"Bearer {own}"})
    assert {ACCESS, REFRESH} <= response.cookies.keys()
    session.refresh_from_db()
    assert session.end_reason == "password_changed"
    assert browser.get("/whoami/").json() == {"user": "ada", "session": str(session.successor)}


@pytest.mark.usefixtures("_in_transactions_or_not")
@pytest.mark.parametrize("url", ["/change/", "/change-in-bulk/", "/change-unread/?answer=1"])
@pytest.mark.parametrize("lag", [False, True])
def test_a_caller_by_cookie_gets_cookies_and_an_access_token(ada, password, elsewhere, url, lag, settings):
    browser = Client()
    session = sign_in(browser, ada, password)
    if lag:
        settings.AUTHX_REVOCATION_LAG = LATER
    body = browser.post(url).json()
    assert "refresh_token" not in body
    session.refresh_from_db()
    assert (session.end_reason, reason(elsewhere)) == ("password_changed", "password_changed")
    assert str(session.successor) == body["session_id"]
    assert DeviceSession.objects.live().get().pk == session.successor
    assert browser.get("/whoami/").json() == {"user": "ada", "session": body["session_id"]}


def test_a_caller_by_cookie_signs_in_anew_where_no_middleware_sets_cookies(ada, password, settings):
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "authx" not in name]
    browser = APIClient()
    login = {"username": ada.get_username(), "password": password, "transport": "cookie"}
    assert browser.post("/api/auth/login/", login).status_code == 200
    assert browser.post("/change/").json() == {}
    assert DeviceSession.objects.get().end_reason == "password_changed"


@pytest.mark.parametrize("url", ["/change-silently/", "/change-unread/"])
@pytest.mark.parametrize("lag", [False, True])
def test_a_caller_by_cookie_stays_signed_in_without_being_answered(ada, password, url, lag, settings):
    browser = Client()
    session = sign_in(browser, ada, password)
    if lag:
        settings.AUTHX_REVOCATION_LAG = LATER
    assert browser.post(url).status_code in {200, 204}
    session.refresh_from_db()
    assert session.end_reason == "password_changed"
    assert browser.get("/whoami/").json() == {"user": "ada", "session": str(session.successor)}


@pytest.mark.usefixtures("atomic")
def test_a_change_by_cookie_that_is_rolled_back_has_changed_nothing(ada, password):
    browser = Client()
    session = sign_in(browser, ada, password)
    assert browser.post("/change-and-fail/").status_code == 400
    session.refresh_from_db()
    assert session.end_reason == ""
    assert DeviceSession.objects.count() == 1
    assert browser.get("/whoami/").json() == {"user": "ada", "session": str(session.pk)}
