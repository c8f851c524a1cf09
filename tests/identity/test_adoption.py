"""authx.identity.adoption: Django sessions that were logged in before authx was installed."""

import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
    user_logged_in,
)
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.models import F
from django.test import AsyncClient, Client
from django.utils import timezone

from authx.core.auth_time import AUTH_TIME_UNKNOWN
from authx.gate.verify import read_claims
from authx.models import DeviceSession, SessionEvent
from authx.pages import login_signals
from authx.sessions import Device, end_session, open_session
from tests.branches import read
from tests.racing import only, race

pytestmark = pytest.mark.django_db

ACCESS, REFRESH, DEVICE = "__Host-authx_access", "__Host-authx_refresh", "__Host-authx_device"
OURS = {ACCESS, REFRESH, DEVICE}
NOBODY = {"user": None, "session": None}
BOUND_KEY = "_authx_session"


@pytest.fixture(autouse=True)
def more_urls(settings):
    settings.ROOT_URLCONF = "tests.more_urls"


@contextmanager
def before_authx():
    """Django logs in as it did before authx was installed."""
    user_logged_in.disconnect(dispatch_uid="authx.pages.login")
    try:
        yield
    finally:
        login_signals.connect()


def logged_in_before(user, password):
    client = Client()
    with before_authx():
        typed = {"username": user.get_username(), "password": password}
        assert client.post("/django-login/", typed).status_code == 302
    assert not OURS & set(client.cookies)
    assert not DeviceSession.objects.exists()
    return client


@pytest.fixture
def old(ada, password):
    """A browser in which ada logged in before authx was installed."""
    return logged_in_before(ada, password)


def copy(client, *names):
    """Another browser that has these cookies of it."""
    other = Client()
    other.cookies = SimpleCookie({name: client.cookies[name].value for name in names})
    return other


def whoami(client):
    response = client.get("/whoami/")
    assert response.status_code == 200, response.content
    return response.json()


def is_(user, session):
    return {"user": user.get_username(), "session": str(session.pk)}


def forget_the_binding(client):
    """A slow request of before writes the Django session back as it was."""
    session = client.session
    del session[BOUND_KEY]
    session.save()


def somebody_is_logged_in():
    return any(SESSION_KEY in data.get_decoded() for data in Session.objects.all())


def test_an_old_login_is_adopted_at_its_next_request(old, ada):
    response = old.get("/whoami/")
    session = DeviceSession.objects.get()
    assert response.json() == is_(ada, session)
    assert set(response.cookies) >= OURS
    assert response["Cache-Control"] == "private, no-store"
    assert old.session[BOUND_KEY] == str(session.pk)
    assert whoami(old) == is_(ada, session)
    assert DeviceSession.objects.count() == 1


def test_it_is_adopted_by_a_page_that_asks_only(old):
    old.get("/untouched/")
    assert not DeviceSession.objects.exists()


@pytest.mark.parametrize("last_login", [None, "an hour ago", "just now, on another device"])
def test_it_says_nothing_of_a_method_and_nothing_of_when_it_was_proven(last_login, old, ada):
    at = {"an hour ago": timezone.now() - timedelta(hours=1), None: None}.get(last_login, timezone.now())
    get_user_model()._default_manager.filter(pk=ada.pk).update(last_login=at)
    old.get("/whoami/")
    session = DeviceSession.objects.get()
    assert session.amr == []
    assert session.auth_time == AUTH_TIME_UNKNOWN == datetime(1970, 1, 1, tzinfo=UTC)
    assert read_claims(old.cookies[ACCESS].value).auth_time == 0


@pytest.mark.parametrize("max_age", [timedelta(minutes=5), timedelta(days=365 * 100), timedelta.max], ids=str)
def test_it_is_never_a_recent_login_however_long_that_may_be(max_age, old, ada, settings):
    settings.AUTHX_STAFF_MAX_AUTH_AGE = max_age
    get_user_model()._default_manager.filter(pk=ada.pk).update(is_superuser=True, is_staff=True)
    victim = open_session(ada, device=Device(id="phone"))
    old.get("/whoami/")
    refused = old.get("/api/auth/staff/sessions/")
    assert (refused.status_code, refused.json()["code"]) == (401, "insufficient_user_authentication")
    chosen = {"action": "kick", "_selected_action": str(victim.session.pk), "post": "yes", "reason": ""}
    said = old.post("/admin/authx/devicesession/", chosen, follow=True).content.decode()
    assert "You signed in too long ago" in said
    assert DeviceSession.objects.live().filter(pk=victim.session.pk).exists()


def test_it_becomes_one_when_the_password_is_given(old, ada, password, settings):
    settings.AUTHX_STAFF_MAX_AUTH_AGE = timedelta(minutes=5)
    get_user_model()._default_manager.filter(pk=ada.pk).update(is_superuser=True, is_staff=True)
    old.get("/whoami/")
    assert (
        old.post("/api/auth/reauthenticate/", {"password": password}, "application/json").status_code == 200
    )
    assert old.get("/api/auth/staff/sessions/").status_code == 200


def test_its_pages_say_that_nobody_knows_when_it_signed_in(old, ada):
    get_user_model()._default_manager.filter(pk=ada.pk).update(is_superuser=True, is_staff=True)
    old.get("/whoami/")
    session = DeviceSession.objects.get()
    devices = old.get("/account/devices/").content.decode()
    assert "Time of sign-in unknown" in devices
    assert "Signed in " not in devices
    detail = old.get(f"/admin/authx/devicesession/{session.pk}/change/").content.decode()
    assert re.search(r"Authenticated at:.*?unknown", detail, re.DOTALL)
    assert "1970" not in devices + detail


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Europe/London"])
def test_the_api_spells_it_in_one_way(zone, old, settings):
    settings.TIME_ZONE = zone
    old.get("/whoami/")
    assert old.get("/api/auth/session/").json()["auth_time"] == "1970-01-01T00:00:00Z"


def test_the_new_session_of_a_changed_password_knows_no_better(old, ada, password):
    old.get("/whoami/")
    typed = {"old_password": password, "new_password1": "another-horse-9", "new_password2": "another-horse-9"}
    assert old.post("/password-change/", typed).status_code == 302
    session = DeviceSession.objects.live().get()
    assert session.adopted_from is None
    assert session.auth_time == AUTH_TIME_UNKNOWN
    assert read_claims(old.cookies[ACCESS].value).auth_time == 0


@pytest.mark.parametrize("closing", [True, False])
def test_its_cookies_last_as_long_as_the_django_session(closing, ada, password, settings):
    settings.SESSION_EXPIRE_AT_BROWSER_CLOSE = closing
    response = logged_in_before(ada, password).get("/whoami/")
    assert (response.cookies[REFRESH]["max-age"] == "") is closing
    assert DeviceSession.objects.get().persistent is not closing


def test_what_is_kept_in_the_django_session_stays(old):
    old.get("/basket/")
    old.get("/whoami/")
    assert old.get("/basket/").json() == {"basket": "full"}


def test_the_row_holds_no_session_key(old):
    key = old.session.session_key
    old.get("/whoami/")
    for value in DeviceSession.objects.values().get().values():
        assert key not in str(value)


# At most once, ever


def test_a_second_tab_is_let_in_by_the_same_session(old, ada):
    tab = copy(old, "sessionid")
    session = whoami(old)
    assert whoami(tab) == session
    assert DeviceSession.objects.count() == 1


def test_a_slow_tab_that_writes_the_old_django_session_back_is_not_adopted_again(old, ada):
    tab = copy(old, "sessionid")
    session = whoami(old)
    forget_the_binding(old)
    assert whoami(tab) == session
    assert DeviceSession.objects.count() == 1
    assert SessionEvent.objects.filter(kind="opened").count() == 1


@pytest.mark.django_db(transaction=True)
def test_many_tabs_at_once_are_adopted_once(old, ada):
    key = old.cookies["sessionid"].value

    def open_tab():
        tab = Client()
        tab.cookies = SimpleCookie({"sessionid": key})
        response = tab.get("/whoami/")
        return response.status_code, response.json(), response.cookies[REFRESH].value

    opened = race(*[open_tab] * 8)
    session = DeviceSession.objects.get()
    assert only([(status, said) for status, said, _token in opened]) == (200, is_(ada, session))
    given = {token: read(token) for _status, _said, token in opened}
    assert len(given) == 8  # each answer is on a branch of its own
    assert {(claims.sid, claims.generation) for claims in given.values()} == {(session.pk, 1)}


def without_authx(client, user):
    """Another login in that browser, at a server whose code knows nothing of authx: docs/moving.md."""
    Session.objects.all()._raw_delete("default")
    store = SessionStore()
    store[SESSION_KEY], store[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
    store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store.save()
    client.cookies["sessionid"] = store.session_key


@pytest.mark.parametrize("has_moved", [True, False])
def test_after_a_rollback_nobody_is_taken_for_somebody_else_once_all_were_ended(has_moved, old, ada, bob):
    if has_moved:
        assert whoami(old)["user"] == ada.get_username()
    without_authx(old, bob)
    call_command("authx_end", "--all", verbosity=0)
    found = whoami(old)
    assert found["user"] == (None if has_moved else bob.get_username())
    assert whoami(old) == found


@pytest.mark.django_db(transaction=True)
def test_once_our_cookies_came_back_the_old_session_alone_lets_nobody_in(old, ada):
    tab = copy(old, "sessionid")
    whoami(old)
    whoami(old)
    assert DeviceSession.objects.get().confirmed_generation == 1
    assert whoami(tab) == NOBODY
    assert whoami(old)["user"] == ada.get_username()


@pytest.mark.parametrize("written_back", [False, True])
@pytest.mark.parametrize("reason", ["kicked", "logout", "ended_by_user"])
def test_an_adopted_session_that_ended_flushes_the_old_one(reason, written_back, old):
    tab = copy(old, "sessionid")
    whoami(old)
    end_session(DeviceSession.objects.get(), reason)
    if written_back:
        forget_the_binding(old)
    assert whoami(tab) == NOBODY
    assert not somebody_is_logged_in()
    assert whoami(tab) == whoami(old) == NOBODY
    assert DeviceSession.objects.count() == 1


@pytest.mark.django_db(transaction=True)  # it is written down after the commit
def test_a_user_disabled_since_is_nobody_and_the_session_has_ended(old, ada):
    tab = copy(old, "sessionid")
    whoami(old)
    get_user_model()._default_manager.filter(pk=ada.pk).update(is_active=False)
    assert whoami(tab) == NOBODY
    assert not somebody_is_logged_in()
    assert DeviceSession.objects.get().end_reason == "user_disabled"


def test_a_django_session_that_names_somebody_elses_session_is_flushed(old, bob):
    session = old.session
    session[BOUND_KEY] = str(open_session(bob).session.pk)
    session.save()
    response = old.get("/whoami/")
    assert response.json() == NOBODY
    assert not OURS & set(response.cookies)
    assert not somebody_is_logged_in()


def test_a_django_session_that_names_a_pruned_session_is_flushed(old):
    tab = copy(old, "sessionid")
    whoami(old)
    DeviceSession.objects.all().delete()
    assert whoami(tab) == NOBODY
    assert not somebody_is_logged_in()
    assert not DeviceSession.objects.exists()


def test_the_login_page_says_why_the_adopted_session_ended(old):
    tab = copy(old, "sessionid")
    whoami(old)
    end_session(DeviceSession.objects.get(), "kicked")
    assert 'data-reason="kicked"' in tab.get("/account/login/").content.decode()


def test_logging_out_of_an_adopted_session_ends_it(old):
    whoami(old)
    old.post("/django-logout/")
    assert DeviceSession.objects.get().end_reason == "logout"
    assert not somebody_is_logged_in()


def test_logging_out_before_it_was_adopted_leaves_nothing(old):
    old.post("/django-logout/")
    assert whoami(old) == NOBODY
    assert not DeviceSession.objects.live().exists()


def test_logging_in_again_over_an_old_login_opens_one_session(old, ada, password):
    old.post("/account/login/", {"username": ada.get_username(), "password": password})
    assert whoami(old) == is_(ada, DeviceSession.objects.live().get())


# After ten minutes the Django session alone is no credential


ALONE = [(9, True), (11, False)]


def shift_login(minutes):
    """It was opened so many minutes earlier than it was, by the database's clock."""
    DeviceSession.objects.update(created_at=F("created_at") - timedelta(minutes=minutes))


def asgi_whoami(client):
    """What a page under ASGI says to a browser with the Django session of this one."""

    async def ask():
        other = AsyncClient()
        other.cookies = SimpleCookie({"sessionid": client.cookies["sessionid"].value})
        return await other.get("/async-whoami/")

    return async_to_sync(ask)()


def wsgi_whoami(client):
    return copy(client, "sessionid").get("/whoami/")


either_server = pytest.mark.parametrize("ask", [wsgi_whoami, asgi_whoami])


@pytest.fixture(params=["adopted", "adopted and written back", "signed in", "signed in without us"])
def planted(request, ada, password, settings):
    """The attacker's browser: its Django session is bound, and no cookie of ours ever came back."""
    if request.param.startswith("adopted"):
        client = logged_in_before(ada, password)
        whoami(client)
        if request.param.endswith("back"):
            forget_the_binding(client)
        return client
    before = settings.MIDDLEWARE
    if request.param.endswith("without us"):
        settings.MIDDLEWARE = [name for name in before if not name.startswith("authx.")]
    client = Client()
    client.post("/django-login/", {"username": ada.get_username(), "password": password})
    settings.MIDDLEWARE = before
    return copy(client, "sessionid")


@either_server
@pytest.mark.parametrize(("minutes", "counts"), ALONE)
def test_a_planted_django_session_signs_in_and_buys_cookies_for_ten_minutes(
    minutes, counts, ask, planted, ada
):
    session = DeviceSession.objects.get()
    shift_login(minutes)
    for _time in range(2):
        response = ask(planted)
        assert response.json() == (is_(ada, session) if counts else NOBODY)
        assert bool(OURS & set(response.cookies)) is counts
    assert DeviceSession.objects.get().ended_at is None


@either_server
def test_a_clock_put_back_revives_nothing(ask, planted):
    shift_login(-11)
    response = ask(planted)
    assert response.json() == NOBODY
    assert not OURS & set(response.cookies)


@either_server
def test_it_is_left_alone_and_never_adopted_anew(ask, planted):
    key = planted.session.session_key
    shift_login(11)
    for _time in range(3):
        assert ask(planted).json() == NOBODY
    assert planted.session.session_key == key
    assert somebody_is_logged_in()
    assert DeviceSession.objects.count() == 1


def test_what_is_kept_in_it_stays(planted):
    planted.get("/basket/")
    shift_login(11)
    assert copy(planted, "sessionid").get("/basket/").json() == {"basket": "full"}


@pytest.mark.parametrize("same", [True, False], ids=["the same user", "another user"])
def test_a_login_over_it_works_and_takes_its_place(same, planted, ada, bob, password):
    user, older = (ada if same else bob), DeviceSession.objects.get()
    shift_login(11)
    victim = copy(planted, "sessionid")
    page = victim.get("/account/login/")
    assert (page.status_code, page.context["ended_reason"]) == (200, "")
    victim.post("/account/login/", {"username": user.get_username(), "password": password})
    session = DeviceSession.objects.exclude(pk=older.pk).get()
    assert whoami(victim) == whoami(copy(victim, ACCESS)) == is_(user, session)
    assert victim.session[BOUND_KEY] == str(session.pk)
    assert victim.cookies["sessionid"].value != planted.cookies["sessionid"].value
    assert whoami(copy(planted, "sessionid")) == NOBODY


def test_its_cookies_are_good_when_they_come_back_later(planted, ada):
    session = DeviceSession.objects.get()
    response = wsgi_whoami(planted)
    shift_login(11)
    planted.cookies.update(response.cookies)
    assert whoami(planted) == is_(ada, session)


def test_after_ten_minutes_its_logout_still_ends_its_session(planted):
    shift_login(11)
    copy(planted, "sessionid").post("/django-logout/")
    assert DeviceSession.objects.get().end_reason == "logout"
    assert not somebody_is_logged_in()


def test_a_session_that_ended_still_takes_it_along(planted):
    shift_login(11)
    end_session(DeviceSession.objects.get(), "kicked")
    assert wsgi_whoami(planted).json() == NOBODY
    assert not somebody_is_logged_in()


# Who is not adopted


def test_a_session_of_signed_cookies_is_never_adopted(ada, password, settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    client = logged_in_before(ada, password)
    assert whoami(client) == {"user": ada.get_username(), "session": None}
    assert not OURS & set(client.cookies)
    assert not DeviceSession.objects.exists()


def test_a_login_with_signed_cookies_is_bound_all_the_same(client, ada, password, settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    client.post("/django-login/", {"username": ada.get_username(), "password": password})
    assert whoami(client) == is_(ada, DeviceSession.objects.get())
    end_session(DeviceSession.objects.get(), "kicked")
    assert whoami(client) == NOBODY


@pytest.mark.parametrize("engine", ["cache", "cached_db", "file"])
def test_a_session_of_another_engine_is_adopted(engine, ada, password, settings, tmp_path):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    client = logged_in_before(ada, password)
    assert whoami(client) == is_(ada, DeviceSession.objects.get())


def only_staff(request, user):
    return user.is_staff


@pytest.mark.parametrize("bind", [False, f"{__name__}.only_staff"])
def test_a_login_that_the_site_does_not_bind_is_not_adopted(bind, old, ada, settings):
    settings.AUTHX_BIND_DJANGO_LOGIN = bind
    assert whoami(old) == {"user": ada.get_username(), "session": None}
    assert not DeviceSession.objects.exists()


def test_a_login_that_was_deliberately_not_bound_is_not_adopted_later(client, ada, password, settings):
    settings.AUTHX_BIND_DJANGO_LOGIN = False
    client.post("/django-login/", {"username": ada.get_username(), "password": password})
    settings.AUTHX_BIND_DJANGO_LOGIN = True
    assert whoami(client) == {"user": ada.get_username(), "session": None}
    assert not DeviceSession.objects.exists()


def test_a_user_who_was_disabled_meanwhile_is_not_adopted(old, ada):
    get_user_model()._default_manager.filter(pk=ada.pk).update(is_active=False)
    assert whoami(old) == NOBODY
    assert not DeviceSession.objects.exists()


def test_a_user_whose_password_was_changed_meanwhile_is_not_adopted(old, ada):
    ada.set_password("another-horse")
    ada.save()
    assert whoami(old) == NOBODY
    assert not DeviceSession.objects.exists()


def test_a_visitor_with_a_django_session_and_no_login_is_not_adopted(client):
    client.get("/basket/")
    assert whoami(client) == NOBODY
    assert not DeviceSession.objects.exists()


def test_beside_a_refused_cookie_nothing_is_adopted(old):
    old.cookies[ACCESS] = "garbage"
    assert whoami(old) == NOBODY
    assert not DeviceSession.objects.exists()


def test_beside_a_bearer_token_nothing_is_adopted(old):
    assert old.get("/whoami/", headers={"Authorization": "Bearer garbage"}).json() == NOBODY
    assert not DeviceSession.objects.exists()


def test_where_a_limit_refuses_another_session_the_old_login_lets_nobody_in(old, ada, settings):
    settings.AUTHX_SESSION_LIMITS = [{"types": ["web", "other"], "limit": 1, "when_full": "refuse"}]
    open_session(ada)
    assert whoami(old) == NOBODY
    assert DeviceSession.objects.count() == 1


def test_what_cannot_be_written_is_unavailable_and_adopted_later(old, ada):
    def fail(execute, sql, params, many, context):
        if "authx_" in sql and not sql.startswith("SELECT"):
            raise OperationalError("server has gone away")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail):
        response = old.get("/whoami/")
        assert response.status_code == 503
        assert not response.cookies
    assert whoami(old) == is_(ada, DeviceSession.objects.get())


def test_the_same_under_asgi(old, ada):
    async def ask():
        client = AsyncClient()
        client.cookies = SimpleCookie({"sessionid": old.cookies["sessionid"].value})
        first = await client.get("/async-whoami/")
        return first, await client.get("/async-whoami/")

    first, second = async_to_sync(ask)()
    assert first.json() == second.json() == is_(ada, DeviceSession.objects.get())
    assert set(first.cookies) >= OURS
