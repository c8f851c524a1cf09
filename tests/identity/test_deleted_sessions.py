"""authx.identity.deleted_sessions: who deletes a Django session ends the device session bound to it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.cookies import SimpleCookie
from importlib import import_module
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as site
from django.contrib.auth import authenticate, login, logout, update_session_auth_hash
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.db.models.signals import pre_delete
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse
from django.utils import timezone

from authx.models import DeviceSession, SessionEvent
from authx.sessions import end_bound_sessions, end_session, open_session
from authx.sessions.django_sessions import mark_of
from tests.identity.test_adoption import logged_in_before
from tests.more_urls import urlpatterns as more_urls

pytestmark = pytest.mark.django_db
ATOMIC = site.DATABASES["default"].get("ATOMIC_REQUESTS", False)

ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"
STORED = ["db", "cached_db"]


def store(key=None):
    return import_module(site.SESSION_ENGINE).SessionStore(key)


def flush(request: HttpRequest) -> HttpResponse:
    """Sign out by hand, as many a site does."""
    request.session.flush()
    return HttpResponse()


@transaction.non_atomic_requests
async def aflush(request: HttpRequest) -> HttpResponse:
    await request.session.aflush()
    return HttpResponse()


def delete_own(request: HttpRequest) -> HttpResponse:
    Session.objects.filter(session_key=request.session.session_key).delete()
    return HttpResponse()


def clear(request: HttpRequest) -> HttpResponse:
    assert request.user.is_authenticated
    request.session.clear()
    return HttpResponse()


def clear_and_fail(request: HttpRequest) -> HttpResponse:
    clear(request)
    return HttpResponse(status=500)


def flush_when_known(request: HttpRequest) -> HttpResponse:
    assert request.user.is_authenticated
    request.session.flush()
    return HttpResponse()


def set_and_remove(request: HttpRequest) -> HttpResponse:
    assert request.user.is_authenticated
    request.session["flag"] = 1
    del request.session["flag"]
    return HttpResponse()


def delete_all(request: HttpRequest) -> HttpResponse:
    Session.objects.all().delete()
    return HttpResponse()


def delete_key(request: HttpRequest, key: str) -> HttpResponse:
    assert request.user.is_authenticated
    store().delete(key)
    return HttpResponse()


def cycle(request: HttpRequest) -> HttpResponse:
    request.session.cycle_key()
    return HttpResponse()


@transaction.non_atomic_requests
async def acycle(request: HttpRequest) -> HttpResponse:
    await request.session.acycle_key()
    return HttpResponse()


def cycle_twice(request: HttpRequest) -> HttpResponse:
    assert request.user.is_authenticated
    request.session.cycle_key()
    request.session.cycle_key()
    return HttpResponse()


#: Deletions that requests have left running, each with the event that it waits for.
left_running: list[tuple[asyncio.Task[Any], asyncio.Event]] = []


@transaction.non_atomic_requests
async def delete_own_later(request: HttpRequest) -> HttpResponse:
    key, answered = request.session.session_key, asyncio.Event()

    async def delete():
        await answered.wait()
        await Session.objects.filter(session_key=key).adelete()

    left_running.append((asyncio.create_task(delete()), answered))
    return HttpResponse()


def keep(request: HttpRequest) -> HttpResponse:
    request.session["cart"] = 1
    return HttpResponse()


def fail_after_flush(request: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        request.session.flush()
        transaction.set_rollback(True)
    return HttpResponse()


def login_then_flush(request: HttpRequest) -> HttpResponse:
    login(request, authenticate(request, **request.POST.dict()))
    request.session.flush()
    return HttpResponse()


def login_then_cycle(request: HttpRequest) -> HttpResponse:
    login(request, authenticate(request, **request.POST.dict()))
    request.session.cycle_key()
    return HttpResponse()


def change_password(request: HttpRequest) -> HttpResponse:
    request.user.set_password("another-password-of-hers")
    request.user.save()
    update_session_auth_hash(request, request.user)
    return HttpResponse()


def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse()


def be_deleted(request: HttpRequest) -> HttpResponse:
    """Have somebody else delete all Django sessions while this request is under way."""
    assert request.user.is_authenticated

    def delete():
        Session.objects.all().delete()
        connections.close_all()

    with ThreadPoolExecutor(1) as executor:
        executor.submit(delete).result()
    return HttpResponse()


urlpatterns = [
    path("be-deleted/", be_deleted),
    *more_urls,
    path("flush/", flush),
    path("aflush/", aflush),
    path("delete-own/", delete_own),
    path("clear/", clear),
    path("clear-and-fail/", clear_and_fail),
    path("flush-when-known/", flush_when_known),
    path("set-and-remove/", set_and_remove),
    path("delete-all/", delete_all),
    path("delete/<key>/", delete_key),
    path("delete-own-later/", delete_own_later),
    path("cycle/", cycle),
    path("acycle/", acycle),
    path("cycle-twice/", cycle_twice),
    path("keep-cart/", keep),
    path("fail-after-flush/", fail_after_flush),
    path("login-then-flush/", login_then_flush),
    path("login-then-cycle/", login_then_cycle),
    path("change-password/", change_password),
    path("sign-out/", sign_out),
]


@pytest.fixture(autouse=True)
def urls(settings):
    settings.ROOT_URLCONF = "tests.identity.test_deleted_sessions"


@pytest.fixture(params=STORED)
def engine(request, settings):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"


def typed(user, password):
    return {"username": user.get_username(), "password": password}


def api_login(client, user, password):
    csrf = client.get("/api/auth/login/").cookies["csrftoken"].value
    body = {**typed(user, password), "transport": "cookie"}
    answer = client.post("/api/auth/login/", body, "application/json", headers={"X-CSRFToken": csrf})
    assert answer.status_code == 200


def signed_in(user, password):
    """A browser in which ``user`` has signed in, and whose cookies have come back."""
    client = Client()
    assert client.post("/django-login/", typed(user, password)).status_code == 302
    assert whoami(client) == user.get_username()
    return client


def whoami(client):
    """Return the name of the user that a page shows; None if nobody is signed in."""
    return client.get("/whoami/").json()["user"]


@pytest.fixture
def browser(ada, password, engine):
    return signed_in(ada, password)


def key_of(client):
    return client.cookies[site.SESSION_COOKIE_NAME].value


def session_of(client):
    return DeviceSession.objects.get(pk=client.get("/whoami/").json()["session"])


def ended(session):
    session.refresh_from_db()
    return session.end_reason


def events(session):
    return list(session.events.filter(kind="ended").values_list("outcome", flat=True))


# What ends


@pytest.mark.parametrize("kind", ["db", "cache", "file", "signed_cookies", "db, by the API"])
@pytest.mark.parametrize("url", ["/clear/", "/flush-when-known/"])
def test_so_does_one_that_a_view_empties_by_hand(url, kind, ada, password, settings, tmp_path):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{kind.partition(',')[0]}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    client = Client()
    if kind.endswith("API"):
        api_login(client, ada, password)
    else:
        client.post("/django-login/", typed(ada, password))
    session = session_of(client)
    client.get("/set-and-remove/")
    assert whoami(client)
    client.get(url)
    assert ended(session) == "logout"
    assert events(session) == ["logout"]
    assert not client.cookies[ACCESS].value
    assert whoami(client) is None


@pytest.mark.parametrize(
    "act",
    [
        lambda key: Session.objects.get(pk=key).delete(),
        lambda key: Session.objects.filter(pk=key).delete(),
        lambda key: Session.objects.all().delete(),
        lambda key: store().delete(key),
        lambda key: store(key).flush(),
        lambda key: async_to_sync(store(key).aflush)(),
    ],
    ids=["instance", "queryset", "all", "store", "flush", "aflush"],
)
def test_a_deleted_django_session_ends_its_device_session(browser, act):
    session = session_of(browser)
    act(key_of(browser))
    assert ended(session) == "ended_by_user"
    assert events(session) == ["ended_by_user"]
    assert whoami(browser) is None
    assert b"another of your devices" in browser.get(reverse("authx:login")).content


@pytest.mark.parametrize("url", ["/flush/", "/aflush/", "/delete-own/"])
def test_a_request_that_deletes_its_own_signs_out(browser, url):
    session = session_of(browser)
    browser.get(url)
    assert ended(session) == "logout"
    assert events(session) == ["logout"]
    assert not browser.cookies[ACCESS].value
    assert not browser.cookies[REFRESH].value
    assert session.ended_by_id == session.user_id


@pytest.mark.parametrize("url", ["/flush/", "/aflush/"])
def test_so_it_does_under_asgi(browser, url):
    session, client = session_of(browser), AsyncClient()
    client.cookies = browser.cookies
    async_to_sync(client.get)(url)
    assert ended(session) == "logout"


@pytest.mark.django_db(transaction=True)
def test_what_a_request_has_left_running_deletes_for_good(browser):
    session, client = session_of(browser), AsyncClient()
    client.cookies = browser.cookies

    async def ask():
        await client.get("/delete-own-later/")
        task, answered = left_running.pop()
        answered.set()
        await task

    async_to_sync(ask)()
    assert ended(session) == "ended_by_user"


def test_while_no_cookie_of_ours_has_come_back_too(ada, password):
    client = Client()
    client.post("/django-login/", typed(ada, password))
    alone = Client()
    alone.cookies = SimpleCookie({site.SESSION_COOKIE_NAME: key_of(client)})
    alone.get("/flush/")
    assert ended(DeviceSession.objects.get()) == "logout"


def test_a_page_that_failed_has_emptied_nothing(browser):
    browser.get("/clear-and-fail/")
    assert ended(session_of(browser)) == ""


def test_a_request_that_deletes_anothers_ends_it(browser, ada, password):
    phone = signed_in(ada, password)
    session = session_of(phone)
    browser.get(f"/delete/{key_of(phone)}/")
    assert ended(session) == "ended_by_user"
    assert session.ended_by == ada
    assert whoami(browser)
    assert SessionEvent.objects.get(kind="ended").ip == "127.0.0.1"


def test_of_all_that_a_request_deletes_its_own_is_a_logout(browser, ada, bob, password):
    session, others = session_of(browser), [signed_in(ada, password), signed_in(bob, password)]
    others = [session_of(other) for other in others]
    browser.get("/delete-all/")
    assert ended(session) == "logout"
    assert [ended(other) for other in others] == ["ended_by_user"] * 2


def test_one_that_only_holds_data_after_a_login_through_the_api_ends_too(ada, password):
    client = Client()
    api_login(client, ada, password)
    client.get("/keep-cart/")
    session = session_of(client)
    Session.objects.all().delete()
    assert ended(session) == "ended_by_user"


def test_a_login_over_data_in_the_django_session_is_known_by_the_new_key(ada, password):
    client = Client()
    client.get("/keep-cart/")
    api_login(client, ada, password)
    Session.objects.all().delete()
    assert ended(DeviceSession.objects.get()) == "ended_by_user"


@pytest.mark.parametrize("url", ["/cycle/", "/acycle/", "/cycle-twice/"])
def test_a_new_key_ends_nothing_and_is_known_at_once(browser, url):
    session = session_of(browser)
    before = key_of(browser)
    browser.get(url)
    assert key_of(browser) != before
    assert ended(session) == ""
    Session.objects.get(pk=key_of(browser)).delete()
    assert ended(session) == "ended_by_user"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_new_key_outside_a_request_ends_nothing_and_is_known(browser, kind):
    session, kept = session_of(browser), store(key_of(browser))
    kept.load()
    kept.cycle_key() if kind == "sync" else async_to_sync(kept.acycle_key)()
    assert ended(session) == ""
    Session.objects.get(pk=kept.session_key).delete()
    assert ended(session) == "ended_by_user"


def test_a_new_key_after_the_login_in_its_request_is_known(ada, password, engine):
    client = Client()
    client.post("/login-then-cycle/", typed(ada, password))
    session = DeviceSession.objects.get()
    assert ended(session) == ""
    Session.objects.all().delete()
    assert ended(session) == "ended_by_user"


def test_a_login_undone_in_its_request_has_ended(ada, password, engine):
    Client().post("/login-then-flush/", typed(ada, password))
    assert ended(DeviceSession.objects.get()) == "logout"


def test_a_changed_password_keeps_the_device_which_is_known_by_the_new_key(browser):
    old = session_of(browser)
    browser.get("/change-password/")
    new = session_of(browser)
    assert ended(old) == "password_changed"
    Session.objects.get(pk=key_of(browser)).delete()
    assert ended(new) == "ended_by_user"
    assert events(old) == ["password_changed"]


@pytest.mark.parametrize("again", ["ada", "bob"])
def test_a_login_over_another_ends_it_as_superseded_alone(browser, ada, bob, password, again):
    old = session_of(browser)
    browser.post("/django-login/", typed({"ada": ada, "bob": bob}[again], password))
    new = session_of(browser)
    assert (ended(old), events(old)) == ("superseded", ["superseded"])
    assert ended(new) == ""
    Session.objects.get(pk=key_of(browser)).delete()
    assert ended(new) == "ended_by_user"


def test_a_login_before_authx_is_known_once_it_is_adopted(ada, password):
    client = logged_in_before(ada, password)
    session = session_of(client)
    Session.objects.all().delete()
    assert ended(session) == "ended_by_user"


def test_a_binding_of_an_earlier_release_is_known_from_its_next_page(browser):
    session = session_of(browser)
    DeviceSession.objects.update(django_session=None)
    browser.get("/whoami/")
    Session.objects.all().delete()
    assert ended(session) == "ended_by_user"


@pytest.mark.parametrize("seen", [False, True], ids=["not seen since", "seen since"])
def test_a_binding_under_an_older_secret_key_is_known(browser, settings, seen):
    session, key = session_of(browser), key_of(browser)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a-new-secret-key" * 4, [settings.SECRET_KEY]
    if seen:
        with CaptureQueriesContext(connection) as asked:
            browser.get("/whoami/")
        assert not [query for query in asked.captured_queries if query["sql"].startswith("UPDATE")]
    store().delete(key)
    assert ended(session) == "ended_by_user"


@pytest.mark.parametrize("engine", ["cache", "file"])
def test_an_engine_without_a_model_says_so_by_a_call(ada, password, settings, tmp_path, engine):
    settings.SESSION_ENGINE, settings.SESSION_FILE_PATH = (
        f"django.contrib.sessions.backends.{engine}",
        tmp_path,
    )
    client = signed_in(ada, password)
    session, key = session_of(client), key_of(client)
    store().delete(key)
    assert ended(session) == ""
    assert end_bound_sessions([key, "0" * 32], by=ada) == 1
    assert (ended(session), session.ended_by) == ("ended_by_user", ada)
    assert end_bound_sessions([key]) == 0
    assert end_bound_sessions([]) == 0


@pytest.mark.parametrize("door", ["page", "api"])
def test_after_a_step_up_the_new_session_is_known_by_the_new_key(browser, password, door):
    old = session_of(browser)
    if door == "page":
        browser.post(reverse("authx:confirm"), {"password": password})
    else:
        csrf = browser.get("/api/auth/login/").cookies["csrftoken"].value
        browser.post(
            "/api/auth/reauthenticate/",
            {"password": password},
            "application/json",
            headers={"X-CSRFToken": csrf},
        )
    new = DeviceSession.objects.get(ended_at=None)
    assert ended(old) == "superseded"
    Session.objects.get(pk=key_of(browser)).delete()
    assert ended(new) == "ended_by_user"


def test_an_engine_with_a_model_of_its_own_ends_them_too(ada, bob, password, settings):
    settings.SESSION_ENGINE = "tests.site.sessions"
    browser, another = signed_in(ada, password), signed_in(ada, password)
    session, other = session_of(browser), session_of(another)
    ada.sitesession_set.exclude(pk=key_of(browser)).delete()
    assert (ended(other), ended(session)) == ("ended_by_user", "")
    browser.post("/django-login/", typed(bob, password))
    assert ended(session) == "superseded"
    session = session_of(browser)
    bob.delete()  # which deletes his Django sessions before him
    assert (ended(session), events(session)) == ("user_deleted", ["user_deleted"])


# What ends nothing


def test_an_expired_one_that_is_cleared_ends_nothing(browser):
    session = session_of(browser)
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    call_command("clearsessions")
    assert not Session.objects.exists()
    assert ended(session) == ""
    assert whoami(browser)


def test_an_evicted_one_ends_nothing(ada, password, settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    client = signed_in(ada, password)
    session = session_of(client)
    cache.clear()
    assert whoami(client)
    client.get("/keep-cart/")
    assert ended(session) == ""


def test_what_is_deleted_and_not_bound_ends_nothing(browser):
    session = session_of(browser)
    other = store()
    other["cart"] = 1
    other.save()
    other.flush()
    assert ended(session) == ""


def test_a_test_client_that_signs_in_again_ends_nothing(ada, bob):
    client = Client()
    client.force_login(ada)
    session = DeviceSession.objects.get()
    client.force_login(bob)
    assert ended(session) == ""
    assert events(session) == []


@pytest.mark.django_db(transaction=True)
def test_nor_does_one_under_asgi(ada, bob):
    client = AsyncClient()

    async def sign_in(user):
        await client.aforce_login(user)
        return (await client.get("/async-whoami/")).json()["user"]

    for user in (ada, bob, bob, ada):
        assert async_to_sync(sign_in)(user) == user.get_username()
    reasons = DeviceSession.objects.exclude(ended_at=None).values_list("end_reason", flat=True)
    assert set(reasons) == {"superseded"}


def test_a_test_client_that_logs_out_ends_its_session_as_logout(ada):
    client = Client()
    client.force_login(ada)
    client.logout()
    assert ended(DeviceSession.objects.get()) == "logout"


# In which transaction


def test_a_deletion_that_is_rolled_back_has_ended_nothing(browser):
    session = session_of(browser)
    with transaction.atomic():
        Session.objects.all().delete()
        assert ended(session) == "ended_by_user"
        transaction.set_rollback(True)
    assert ended(session) == ""
    assert events(session) == []
    assert whoami(browser)


def test_a_request_whose_own_deletion_is_rolled_back_signs_nobody_out(browser):
    session = session_of(browser)
    browser.get("/fail-after-flush/")
    assert ended(session) == ""
    assert browser.cookies[ACCESS].value


@pytest.mark.django_db(transaction=True)
def test_a_deletion_that_fails_ends_nothing_later(browser):
    """What it had gathered is not taken for part of the next one."""
    session = session_of(browser)

    def refuse(**kwargs):
        raise RuntimeError("not now")

    pre_delete.connect(refuse, Session)
    try:
        with pytest.raises(RuntimeError):
            Session.objects.all().delete()
    finally:
        pre_delete.disconnect(refuse, Session)
    other = store()
    other["cart"] = 1
    other.save()
    other.flush()
    assert ended(session) == ""


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(ATOMIC, reason="the view's transaction would wait for the other's")
def test_one_deleted_while_its_request_is_under_way_has_ended(browser):
    session = session_of(browser)
    assert browser.get("/be-deleted/").status_code == 200
    assert (ended(session), events(session)) == ("ended_by_user", ["ended_by_user"])
    assert whoami(browser) is None


# Who has ended it already


def test_a_kicked_browser_has_one_end_alone(browser):
    session = session_of(browser)
    end_session(session, "kicked")
    assert whoami(browser) is None
    assert not Session.objects.exists()
    assert events(session) == ["kicked"]


def test_a_deleted_user_has_one_end_alone(browser, ada):
    session = session_of(browser)
    ada.delete()
    Session.objects.all().delete()
    assert events(session) == ["user_deleted"]


@pytest.mark.parametrize("url", ["/sign-out/", "/flush/"])
def test_a_logout_costs_no_statement_more(browser, url):
    """Django's own, that is: it has ended the session before it flushes."""
    session = session_of(browser)
    with CaptureQueriesContext(connection) as asked:
        browser.get(url)
    asked = [query["sql"].replace("`", '"') for query in asked.captured_queries]
    assert any('"django_session" IN (' in sql for sql in asked) is (url == "/flush/")
    assert events(session) == ["logout"]


# How many statements


def statements(act):
    with CaptureQueriesContext(connection) as asked:
        act()
    found = [query["sql"] for query in asked.captured_queries]
    return [sql for sql in found if "authx_" in sql.split("WHERE")[0]]


@pytest.mark.parametrize("act", ["page", "page over data", "api over data", "step-up", "password"])
def test_the_key_is_stored_with_the_row_of_the_session_itself(ada, password, act):
    client, before = Client(), 0
    if act in {"step-up", "password"}:
        client, before = signed_in(ada, password), 1
    elif act != "page":
        client.get("/keep-cart/")
    acts = {
        "page": lambda: client.post("/django-login/", typed(ada, password)),
        "page over data": lambda: client.post("/django-login/", typed(ada, password)),
        "api over data": lambda: api_login(client, ada, password),
        "step-up": lambda: client.post(reverse("authx:confirm"), {"password": password}),
        "password": lambda: client.get("/change-password/"),
    }
    asked = [sql.replace("`", '"') for sql in statements(acts[act])]
    assert DeviceSession.objects.exclude(django_session=None).count() == before + 1
    assert not [sql for sql in asked if 'SET "django_session"' in sql]


def many(user, count, *, days=1):
    """So many Django sessions of the user, each with a device session."""
    first = open_session(user, django_key="0" * 32).session
    keys = [f"{number:032}" for number in range(1, count)]
    rows = [DeviceSession.objects.get(pk=first.pk) for _ in keys]
    for row, key in zip(rows, keys, strict=True):
        row.pk, row.django_session = DeviceSession._meta.pk.get_default(), mark_of(key)
    DeviceSession.objects.bulk_create(rows)
    until = timezone.now() + timedelta(days=days)
    Session.objects.bulk_create(Session(pk=key, expire_date=until) for key in ["0" * 32, *keys])


def test_many_deleted_at_once_end_by_a_handful_of_statements(ada):
    many(ada, 1200)
    asked = statements(lambda: Session.objects.all().delete())
    assert DeviceSession.objects.filter(end_reason="ended_by_user").count() == 1200
    assert SessionEvent.objects.filter(kind="ended").count() == 1200
    assert len(asked) <= 40, len(asked)


def test_many_that_have_expired_are_cleared_without_a_look_at_any(ada):
    many(ada, 1200, days=-1)
    assert statements(lambda: call_command("clearsessions")) == []
    assert not Session.objects.exists()
    assert not DeviceSession.objects.exclude(ended_at=None).exists()


@pytest.mark.parametrize(
    "expires_at", [None, timezone.now().replace(tzinfo=None) + timedelta(days=1)], ids=["none", "naive"]
)
def test_an_instance_that_only_names_the_row_will_do(browser, expires_at):
    session = session_of(browser)
    Session(pk=key_of(browser), expire_date=expires_at).delete()
    assert ended(session) == "ended_by_user"
