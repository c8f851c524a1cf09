"""Every way a session ends, as seen by everything that carries it: one table against the other.

An ending takes effect at the next request of every carrier, and that request is told why. What a
carrier cannot be told, within the design's bounds, is written in the table beside the ending.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import aauthenticate, alogin, alogout, aupdate_session_auth_hash, get_user_model
from django.contrib.auth.tokens import default_token_generator
from django.contrib.auth.views import PasswordResetConfirmView
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db.models import F
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from rest_framework.test import APIClient

from authx.conf import conf
from authx.http.django_session import BOUND_KEY
from authx.models import DeviceSession, SessionEvent
from authx.sessions.credentials import access_token_for
from authx.store.database import database_now
from tests.reading import find_by_refresh_token
from tests.urls import urlpatterns as site_urls

NEW_PASSWORD = "another-horse-another-staple"
ADMITTED = "admitted"
BY_ANOTHER = "admitted by another session of the user"
NOTHING = ""  # anonymous, and no reason given
SESSIONS = "/api/auth/sessions/"
ADMIN_LIST = "/admin/authx/devicesession/"


async def async_login(request):
    user = await aauthenticate(request, **request.POST.dict())
    await alogin(request, user)
    return HttpResponse()


async def async_logout(request):
    await alogout(request)
    return HttpResponse()


async def async_password_change(request):
    user = await request.auser()
    user.set_password(request.POST["password"])
    await user.asave()
    await aupdate_session_auth_hash(request, user)
    return HttpResponse()


urlpatterns = [
    path("async-login/", async_login),
    path("async-logout/", async_logout),
    path("async-password-change/", async_password_change),
    path(
        "reset/<uidb64>/<token>/",
        PasswordResetConfirmView.as_view(template_name="site/form.html", success_url="/whoami/"),
    ),
    *site_urls,
]

pytestmark = [pytest.mark.exhaustive, pytest.mark.django_db, pytest.mark.urls(__name__)]


class Async:
    """An ``AsyncClient`` for a test that is not a coroutine."""

    def __init__(self):
        self.client = AsyncClient()
        self.cookies = self.client.cookies

    def get(self, *args, **kwargs):
        return async_to_sync(self.client.get)(*args, **kwargs)

    def post(self, *args, **kwargs):
        return async_to_sync(self.client.post)(*args, **kwargs)


@dataclass
class Scene:
    """One session, all that carries it, and the people around."""

    user: Any
    password: str
    admin: Any
    settings: Any
    access_token: str = ""
    refresh_token: str = ""
    django_session: str = ""

    @property
    def name(self):
        return self.user.get_username()

    @property
    def session(self):
        return find_by_refresh_token(self.refresh_token)

    @property
    def row(self):
        return DeviceSession.objects.filter(pk=self.session.pk)

    def keep(self, client):
        """Take over what a sign-in has put into the jar."""
        self.access_token = client.cookies[conf.ACCESS_COOKIE].value
        self.refresh_token = client.cookies[conf.REFRESH_COOKIE].value
        self.django_session = client.cookies["sessionid"].value

    def browser(self, *, access=True, refresh=True, django=True, kind=Client):
        """A tab with a copy of this session's cookies, or of some of them."""
        client = kind()
        if access:
            client.cookies[conf.ACCESS_COOKIE] = self.access_token
        if refresh:
            client.cookies[conf.REFRESH_COOKIE] = self.refresh_token
        if django and self.django_session:
            client.cookies["sessionid"] = self.django_session
        return client

    def app(self):
        """An API client with this session's access token."""
        return APIClient(headers={"Authorization": f"Bearer {self.access_token}"})

    def other_browser(self):
        """The same user, signed in on a page of another device."""
        return sign_in_on_page(self.user, self.password)

    def other_app(self):
        """The same user, signed in by another app."""
        return sign_in_by_app(self.user, self.password)

    def office(self):
        """An administrator, signed in to the admin."""
        return sign_in_on_page(self.admin, self.password, "/admin/login/")

    def office_app(self):
        return sign_in_by_app(self.admin, self.password)


def sign_in_on_page(user, password, page="/account/login/", kind=Client):
    client = kind()
    sent = {"username": user.get_username(), "password": password, "remember": "on"}
    assert client.post(page, sent).status_code in {200, 302}
    assert conf.ACCESS_COOKIE in client.cookies
    return client


def sign_in_by_app(user, password, **device):
    sent = {"username": user.get_username(), "password": password, "device": device}
    answer = APIClient().post("/api/auth/login/", sent)
    assert answer.status_code == 200, answer.content
    client = APIClient(headers={"Authorization": f"Bearer {answer.json()['access_token']}"})
    client.tokens = answer.json()
    return client


# What observers do: sign in, and look.


def on_a_page(scene):
    scene.keep(sign_in_on_page(scene.user, scene.password))


def in_the_admin(scene):
    scene.keep(sign_in_on_page(scene.user, scene.password, "/admin/login/"))


def by_alogin(scene):
    client = Async()
    answer = client.post("/async-login/", {"username": scene.name, "password": scene.password})
    assert answer.status_code == 200
    scene.keep(client)


def by_an_app(scene):
    tokens = sign_in_by_app(scene.user, scene.password, id="the phone", type="ios").tokens
    scene.access_token, scene.refresh_token = tokens["access_token"], tokens["refresh_token"]


def told_by_api(answer):
    """What the body says, which must be what the challenge says (RFC 6750 §3)."""
    if answer.status_code == 200:
        return ADMITTED
    body = answer.json()
    said = f"{body['code']} {body.get('reason', '')}".strip()
    challenge = f'Bearer realm="api", error="invalid_token", error_description="{said}"'
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, challenge)
    assert (body["code"] == "session_ended") == ("reason" in body)
    return body.get("reason", body["code"])


def told_by_login_page(client):
    """The reason on the login page, which takes back the cookies that buy nothing."""
    brought_cookies = conf.REFRESH_COOKIE in client.cookies
    page = client.get("/account/login/", headers={"Accept": "text/html"})
    assert page.status_code == 200
    if brought_cookies:
        taken = [page.cookies[name]["max-age"] for name in (conf.ACCESS_COOKIE, conf.REFRESH_COOKIE)]
        assert taken == [0, 0]
    found = re.search(r'data-reason="(\w+)"', page.content.decode())
    return found[1] if found else NOTHING


def admitted_by(seen, scene):
    """What a page shows that somebody sees who is signed in; nothing if nobody is."""
    if seen["user"] is None:
        return NOTHING
    assert seen["user"] == scene.name
    return ADMITTED if seen["session"] == str(scene.session.pk) else BY_ANOTHER


def is_bound(scene):
    """True while the Django session of this browser goes with the session."""
    found = Session.objects.filter(pk=scene.django_session).first()
    return found is not None and found.get_decoded().get(BOUND_KEY) == str(scene.session.pk)


def told_by_page(scene, client, page="/whoami/"):
    if admitted := admitted_by(client.get(page).json(), scene):
        return admitted
    assert not is_bound(scene)
    return told_by_login_page(client)


def bearer(scene):
    return told_by_api(scene.app().get("/api/whoami/"))


def refresh_body(scene):
    return told_by_api(APIClient().post("/api/auth/refresh/", {"refresh_token": scene.refresh_token}))


def refresh_cookie_at_refresh(scene):
    return told_by_api(scene.browser(access=False, kind=APIClient).post("/api/auth/refresh/"))


def access_cookie_at_api(scene):
    return told_by_api(scene.browser(kind=APIClient).get("/api/whoami/"))


def refresh_cookie_at_api(scene):
    return told_by_api(scene.browser(access=False, kind=APIClient).get("/api/whoami/"))


def access_cookie(scene):
    return told_by_page(scene, scene.browser())


def refresh_cookie(scene):
    return told_by_page(scene, scene.browser(access=False))


def async_access_cookie(scene):
    return told_by_page(scene, scene.browser(kind=Async), "/async-whoami/")


def async_refresh_cookie(scene):
    return told_by_page(scene, scene.browser(access=False, kind=Async), "/async-whoami/")


def django_session_alone(scene):
    """Its first response was lost, and the cookies with it. The login page is where it comes back to."""
    client = scene.browser(access=False, refresh=False)
    told = told_by_login_page(client)
    if admitted := admitted_by(client.get("/whoami/").json(), scene):
        return admitted
    assert not is_bound(scene)
    return told


def admin(scene):
    client = scene.browser()
    answer = client.get("/admin/")
    if answer.status_code == 200:
        return ADMITTED
    assert (answer.status_code, answer["Location"]) == (302, "/admin/login/?next=/admin/")
    return told_by_page(scene, client)


@dataclass(frozen=True)
class Observer:
    sign_in: Callable[[Scene], None]
    look: Callable[[Scene], str]


OBSERVERS = {
    "Bearer": Observer(by_an_app, bearer),
    "refresh token in the body": Observer(by_an_app, refresh_body),
    "Bearer of a page's session": Observer(on_a_page, bearer),
    "refresh/ by cookie": Observer(on_a_page, refresh_cookie_at_refresh),
    "API with the access cookie": Observer(on_a_page, access_cookie_at_api),
    "API with the refresh cookie": Observer(on_a_page, refresh_cookie_at_api),
    "page with the access cookie": Observer(on_a_page, access_cookie),
    "page with the refresh cookie": Observer(on_a_page, refresh_cookie),
    "page with the Django session alone": Observer(on_a_page, django_session_alone),
    "async page with the access cookie": Observer(by_alogin, async_access_cookie),
    "async page with the refresh cookie": Observer(by_alogin, async_refresh_cookie),
    "admin": Observer(in_the_admin, admin),
}

# What endings do.


def log_out_on_a_page(scene):
    assert scene.browser().post("/account/logout/").status_code == 200


def log_out_on_a_page_of_another_app(scene):
    assert scene.browser().post("/django-logout/").status_code == 302


def log_out_of_the_admin(scene):
    assert scene.browser().post("/admin/logout/").status_code == 200


def alogout_in_an_async_view(scene):
    assert scene.browser(kind=Async).post("/async-logout/").status_code == 200


def log_out_by_bearer(scene):
    assert scene.app().post("/api/auth/logout/").status_code == 204


def log_out_by_refresh_token(scene):
    answer = APIClient().post("/api/auth/logout/", {"refresh_token": scene.refresh_token})
    assert answer.status_code == 204


def log_out_by_cookie(scene):
    assert scene.browser(kind=APIClient).post("/api/auth/logout/").status_code == 204


def end_it_from_another_page(scene):
    answer = scene.other_browser().post(f"/account/devices/{scene.session.pk}/end/")
    assert (answer.status_code, answer["Location"]) == (302, "/account/devices/")


def end_the_others_from_another_page(scene):
    answer = scene.other_browser().post("/account/devices/end-others/")
    assert (answer.status_code, answer["Location"]) == (302, "/account/devices/")


def end_it_from_another_app(scene):
    assert scene.other_app().delete(f"{SESSIONS}{scene.session.pk}/").status_code == 204


def end_the_others_from_another_app(scene):
    assert scene.other_app().post(f"{SESSIONS}end-others/").json() == {"ended": 1}


def kick_in_the_admin(scene, action="kick"):
    confirmed = {"action": action, "_selected_action": scene.session.pk, "post": "yes", "reason": "test"}
    assert scene.office().post(ADMIN_LIST, confirmed).status_code == 302


def kick_everywhere_in_the_admin(scene):
    another = scene.other_app()
    kick_in_the_admin(scene, "kick_everywhere")
    assert told_by_api(another.get("/api/whoami/")) == "kicked"


def kick_by_api(scene):
    answer = scene.office_app().post(f"/api/auth/staff/sessions/{scene.session.pk}/kick/")
    assert answer.json() == {"ended": 1}


def kick_the_user_by_api(scene):
    answer = scene.office_app().post(f"/api/auth/staff/users/{scene.user.pk}/kick/")
    assert answer.json() == {"ended": 1}


def sign_in_from_the_same_device(scene):
    sign_in_by_app(scene.user, scene.password, id=scene.session.device_id)


def sign_in_in_the_same_browser(scene):
    sent = {"username": scene.name, "password": scene.password}
    assert scene.browser().post("/account/login/", sent).status_code == 302


def alogin_in_the_same_browser(scene):
    sent = {"username": scene.name, "password": scene.password}
    assert scene.browser(kind=Async).post("/async-login/", sent).status_code == 200


def sign_in_somebody_else_in_the_same_browser(scene):
    sent = {"username": scene.admin.get_username(), "password": scene.password}
    assert scene.browser().post("/account/login/", sent).status_code == 302


def sign_in_beyond_the_limit(scene):
    kind = scene.session.device_type
    scene.settings.AUTHX_SESSION_LIMITS = [{"types": [kind], "limit": 1}]
    sign_in_by_app(scene.user, scene.password, id="another", type=kind)


def age(scene, past):
    """Let ``past`` go by for this session alone, and for its access token."""
    before, moved = (
        scene.session,
        ["created_at", "rotated_at", "last_seen_at", "idle_expires_at", "expires_at"],
    )
    issued_at = database_now() - past
    for name in moved:
        setattr(before, name, getattr(before, name) - past)
    scene.row.update(**{name: getattr(before, name) for name in moved})
    _claims, scene.access_token = access_token_for(before, now=issued_at)


def stay_away(scene):
    age(scene, conf.IDLE_LIFETIME + timedelta(hours=1))


def outlive_the_session(scene):
    scene.row.update(idle_expires_at=F("expires_at"))  # it was in use to the end
    age(scene, conf.SESSION_LIFETIME + timedelta(hours=1))


def steal_it(scene):
    """Its user moves on; whoever copied the first token comes too late."""
    stolen = scene.refresh_token
    for _ in range(2):
        age(scene, conf.REFRESH_GRACE + timedelta(seconds=1))
        tokens = APIClient().post("/api/auth/refresh/", {"refresh_token": scene.refresh_token}).json()
        scene.access_token, scene.refresh_token = tokens["access_token"], tokens["refresh_token"]
    thief = APIClient().post("/api/auth/refresh/", {"refresh_token": stolen})
    assert told_by_api(thief) == "refresh_reused"


def change_the_password_on_another_page(scene):
    sent = {
        "old_password": scene.password,
        "new_password1": NEW_PASSWORD,
        "new_password2": NEW_PASSWORD,
    }
    assert scene.other_browser().post("/password-change/", sent).status_code == 302


def change_the_password_in_an_async_view_elsewhere(scene):
    other = sign_in_on_page(scene.user, scene.password, kind=Async)
    assert other.post("/async-password-change/", {"password": NEW_PASSWORD}).status_code == 200


def change_the_password_in_the_admin(scene):
    sent = {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD, "usable_password": "true"}
    assert scene.office().post(f"/admin/auth/user/{scene.user.pk}/password/", sent).status_code == 302


def reset_the_password(scene):
    client, uid = Client(), urlsafe_base64_encode(force_bytes(scene.user.pk))
    user = get_user_model().objects.get(pk=scene.user.pk)
    form = client.get(f"/reset/{uid}/{default_token_generator.make_token(user)}/")
    sent = {"new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
    assert client.post(form["Location"], sent)["Location"] == "/whoami/"


def take_the_password_away(scene):
    scene.user.set_unusable_password()
    scene.user.save()


def change_the_password_in_bulk(scene):
    scene.user.set_password(NEW_PASSWORD)
    assert same(scene.user).update(password=scene.user.password) == 1


def disable(scene):
    scene.user.is_active = False
    scene.user.save()


def disable_asynchronously(scene):
    scene.user.is_active = False
    async_to_sync(scene.user.asave)(update_fields=["is_active"])


def disable_in_the_admin(scene):
    sent = {"username": scene.name, "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    assert scene.office().post(f"/admin/auth/user/{scene.user.pk}/change/", sent).status_code == 302


def disable_in_bulk(scene):
    assert same(scene.user).update(is_active=False) == 1


def delete(scene):
    scene.user.delete()


def delete_a_queryset(scene):
    assert same(scene.user).delete()[0]


def delete_in_the_admin(scene):
    assert (
        scene.office().post(f"/admin/auth/user/{scene.user.pk}/delete/", {"post": "yes"}).status_code == 302
    )


def delete_behind_our_back(scene):
    """As another program would, or a database that nulls its references itself: no signal is sent."""
    SessionEvent._base_manager.filter(actor=scene.user).update(actor=None)
    DeviceSession.objects.filter(user=scene.user).update(user=None)
    gone = same(scene.user)
    gone._raw_delete(gone.db)


def same(user):
    return get_user_model().objects.filter(pk=user.pk)


def end_the_user_by_command(scene):
    call_command("authx_end", user=scene.name, stdout=StringIO())


def end_everybody_by_command(scene):
    call_command("authx_end", all=True, stdout=StringIO())


#: Django has flushed its own session with the ending: there is nothing left that could be told.
FLUSHED = {"page with the Django session alone": NOTHING}
#: The newer login leaves the Django session's key behind: a copy of it is nobody's.
HANDED_OVER = {"page with the Django session alone": NOTHING}
#: An access token never outlives its session: it has expired, and asks for a refresh that says more.
OUTLIVED = {"Bearer": "token_expired", "Bearer of a page's session": "token_expired"}


@dataclass(frozen=True)
class Ending:
    act: Callable[[Scene], None]
    reason: str
    #: What some observers are told instead.
    instead: dict[str, str] = field(default_factory=dict)
    #: The clock ends it, and nobody need have written that down.
    by_clock: bool = False


ENDINGS = {
    "logout here": Ending(log_out_on_a_page, "logout", FLUSHED),
    "logout here, by Django's view": Ending(log_out_on_a_page_of_another_app, "logout", FLUSHED),
    "logout here, of the admin": Ending(log_out_of_the_admin, "logout", FLUSHED),
    "logout here, by alogout()": Ending(alogout_in_an_async_view, "logout", FLUSHED),
    "API logout by Bearer": Ending(log_out_by_bearer, "logout"),
    "API logout by refresh token": Ending(log_out_by_refresh_token, "logout"),
    "API logout by cookie": Ending(log_out_by_cookie, "logout", FLUSHED),
    "logout elsewhere": Ending(end_it_from_another_page, "ended_by_user"),
    "logout of all others elsewhere": Ending(end_the_others_from_another_page, "ended_by_user"),
    "API end from another app": Ending(end_it_from_another_app, "ended_by_user"),
    "API end of all others": Ending(end_the_others_from_another_app, "ended_by_user"),
    "kick": Ending(kick_in_the_admin, "kicked"),
    "kick everywhere": Ending(kick_everywhere_in_the_admin, "kicked"),
    "staff API kick": Ending(kick_by_api, "kicked"),
    "staff API kick everywhere": Ending(kick_the_user_by_api, "kicked"),
    "authx_end --user": Ending(end_the_user_by_command, "kicked"),
    "authx_end --all": Ending(end_everybody_by_command, "kicked"),
    "same device": Ending(sign_in_from_the_same_device, "replaced"),
    "limit": Ending(sign_in_beyond_the_limit, "replaced"),
    "same browser": Ending(sign_in_in_the_same_browser, "superseded", HANDED_OVER),
    "same browser, by alogin()": Ending(alogin_in_the_same_browser, "superseded", HANDED_OVER),
    "same browser, somebody else": Ending(sign_in_somebody_else_in_the_same_browser, "superseded", FLUSHED),
    "idle": Ending(stay_away, "idle", OUTLIVED, by_clock=True),
    "expired": Ending(outlive_the_session, "expired", OUTLIVED, by_clock=True),
    "reused": Ending(steal_it, "reused"),
    "password changed elsewhere": Ending(change_the_password_on_another_page, "password_changed"),
    "password changed elsewhere, async": Ending(
        change_the_password_in_an_async_view_elsewhere, "password_changed"
    ),
    "password changed in the admin": Ending(change_the_password_in_the_admin, "password_changed"),
    "password reset": Ending(reset_the_password, "password_changed"),
    "password made unusable": Ending(take_the_password_away, "password_changed"),
    "password changed in bulk": Ending(change_the_password_in_bulk, "password_changed"),
    "disabled": Ending(disable, "user_disabled"),
    "disabled by asave()": Ending(disable_asynchronously, "user_disabled"),
    "disabled in the admin": Ending(disable_in_the_admin, "user_disabled"),
    "disabled in bulk": Ending(disable_in_bulk, "user_disabled"),
    "deleted": Ending(delete, "user_deleted"),
    "deleted by a queryset": Ending(delete_a_queryset, "user_deleted"),
    "deleted in the admin": Ending(delete_in_the_admin, "user_deleted"),
    "deleted behind our back": Ending(delete_behind_our_back, "user_deleted"),
}


@pytest.fixture
def scene(make_user, admin, password, settings):
    return Scene(make_user("ada", is_staff=True, is_superuser=True), password, admin, settings)


def endings_of(session):
    ended = SessionEvent.objects.filter(session=session.pk, kind="ended")
    return list(ended.values_list("outcome", flat=True))


@pytest.mark.parametrize("observer", OBSERVERS)
def test_a_live_session_is_admitted_by_every_observer(scene, observer, committed):
    seen_by = OBSERVERS[observer]
    with committed():
        seen_by.sign_in(scene)
    with committed():
        assert seen_by.look(scene) == ADMITTED
    assert is_bound(scene) == bool(scene.django_session)
    assert endings_of(scene.session) == []


@pytest.mark.parametrize("observer", OBSERVERS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_is_seen_by_every_observer(scene, ending, observer, committed):
    ended, seen_by = ENDINGS[ending], OBSERVERS[observer]
    with committed():
        seen_by.sign_in(scene)
    with committed():
        ended.act(scene)
    with committed():
        assert seen_by.look(scene) == ended.instead.get(observer, ended.reason)
    written = endings_of(scene.session)
    assert written == [ended.reason] or (ended.by_clock and written == [])


@pytest.mark.parametrize("observer", OBSERVERS)
def test_who_is_enabled_again_signs_in_again(scene, observer, committed):
    """Whoever looked first, once the account was disabled, has ended the session for good."""
    with committed():
        OBSERVERS[observer].sign_in(scene)
    disable_in_bulk(scene)
    with committed():
        OBSERVERS[observer].look(scene)
    same(scene.user).update(is_active=True)
    assert (bearer(scene), refresh_body(scene)) == ("user_disabled", "user_disabled")


def by_cookie_at_the_api(scene):
    """Cookies, and no Django session."""
    client = APIClient()
    sent = {"username": scene.name, "password": scene.password, "transport": "cookie"}
    assert client.post("/api/auth/login/", sent).status_code == 200
    scene.access_token = client.cookies[conf.ACCESS_COOKIE].value
    scene.refresh_token = client.cookies[conf.REFRESH_COOKIE].value


def change_own_password(scene, page="/password-change/"):
    sent = {"old_password": scene.password, "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
    client = scene.browser()
    assert client.post(page, sent).status_code == 302
    return client


def change_own_password_in_the_admin(scene):
    return change_own_password(scene, "/admin/password_change/")


def change_own_password_in_an_async_view(scene):
    client = scene.browser(kind=Async)
    assert client.post("/async-password-change/", {"password": NEW_PASSWORD}).status_code == 200
    return client


CHANGES = [change_own_password, change_own_password_in_the_admin, change_own_password_in_an_async_view]


@pytest.mark.parametrize("sign_in", [on_a_page, in_the_admin, by_cookie_at_the_api, by_alogin])
@pytest.mark.parametrize("change", CHANGES)
def test_the_device_that_changes_its_password_stays_with_a_new_session(scene, sign_in, change, committed):
    with committed():
        sign_in(scene)
        elsewhere = scene.other_app()
    before = scene.session
    with committed():
        client = change(scene)
    after = DeviceSession.objects.get(user=scene.user, ended_at=None)
    assert (after.pk != before.pk, after.generation) == (True, 1)
    assert (after.device_id, after.amr, after.auth_time) == (before.device_id, before.amr, before.auth_time)
    assert find_by_refresh_token(client.cookies[conf.REFRESH_COOKIE].value) == after
    with committed():
        assert client.get("/async-whoami/").json() == {"user": scene.name, "session": str(after.pk)}
    with committed():
        told = {bearer(scene), refresh_body(scene), told_by_api(elsewhere.get("/api/whoami/"))}
    assert (told, endings_of(before)) == ({"password_changed"}, ["password_changed"])


def test_the_session_of_the_new_password_ends_like_any_other(scene, committed):
    with committed():
        on_a_page(scene)
    with committed():
        scene.keep(change_own_password(scene))
    with committed():
        scene.password = NEW_PASSWORD
        end_it_from_another_page(scene)
    assert (access_cookie(scene), bearer(scene)) == ("ended_by_user", "ended_by_user")
