"""Pages where a copy of the endings lets a session in: its row is read when somebody asks for it."""

import json
from datetime import timedelta
from http.cookies import SimpleCookie

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection
from django.db.transaction import non_atomic_requests
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.urls import include, path
from django.utils import timezone
from django.utils.decorators import async_only_middleware
from rest_framework.response import Response
from rest_framework.views import APIView

from authx.gate.revocation import sources
from authx.models import DeviceSession
from authx.pages.decorators import recently_authenticated
from authx.sessions import end_session, open_session
from authx.sessions.activity import uses
from tests.gate.test_stores import QUICK, choose
from tests.signing_in import NAVIGATION

pytestmark = pytest.mark.django_db

ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"
FETCH = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
GREETING = "{% if user.is_authenticated %}Hello, {{ user.username }}{% else %}Hello, stranger{% endif %}"


def asks(request):
    """Nothing but whether somebody is there, and by what key."""
    user = request.user
    return JsonResponse({"user": user.is_authenticated and user.pk, "anonymous": user.is_anonymous})


def names(request):
    return JsonResponse({"user": request.user.is_authenticated and request.user.get_username()})


def session(request):
    return JsonResponse({"user": request.user.is_authenticated and str(request.device_session.pk)})


def rendered(request):
    return HttpResponse(engines["django"].from_string(GREETING).render({}, request))


def rendered_late(request):
    return TemplateResponse(request, engines["django"].from_string(GREETING))


@login_required
def private(request):
    return HttpResponse(request.user.get_username())


@login_required
@recently_authenticated(max_age=timedelta(hours=1))
def recent(request):
    return HttpResponse("recent")


def streamed(request):
    """What is asked before decides what is streamed."""
    if not request.user.is_authenticated:
        return HttpResponse("stranger")
    return StreamingHttpResponse(request.user.get_username() for _ in "12")


def asked_in_the_stream(request):
    def lines():
        yield request.user.get_username() if request.user.is_authenticated else "stranger"

    return StreamingHttpResponse(lines())


def logs_out(request):
    assert request.user.is_authenticated
    logout(request)
    return HttpResponse("out")


def empties(request, how):
    assert request.user.is_authenticated
    getattr(request.session, how)()
    return HttpResponse("out")


def keeps(request):
    """Store something."""
    assert request.user.is_authenticated
    request.session["basket"] = "full"
    return HttpResponse("kept")


def changes_password(request):
    user = get_user_model().objects.get(pk=request.user.pk)
    user.set_password("a-new-horse")
    user.save()
    update_session_auth_hash(request, user)
    if "look" in request.GET:
        assert request.device_session is not None
    return rendered(request) if "greet" in request.GET else HttpResponse("changed")


def swallows(request):
    """Go on without the name."""
    try:
        return names(request)
    except Exception:
        return HttpResponse("somebody")


@non_atomic_requests
async def names_async(request):
    user = await request.auser()
    return JsonResponse({"user": user.is_authenticated and user.get_username()})


@non_atomic_requests
async def names_in_the_loop(request):
    """Possible only where the user has been read before."""
    return JsonResponse({"user": request.user.is_authenticated and request.user.get_username()})


class Api(APIView):
    """A view that asks Django's own request."""

    def initialize_request(self, request, *args, **kwargs):
        assert request.user.is_authenticated
        assert request.user.get_username()
        return super().initialize_request(request, *args, **kwargs)

    def get(self, request):
        return Response({"user": request.user.get_username()})

    post = get


class Asking(APIView):
    def get(self, request):
        return Response({"user": request.user.is_authenticated and request.user.pk})


urlpatterns = [
    path("asks/", asks),
    path("names/", names),
    path("session/", session),
    path("rendered/", rendered),
    path("rendered-late/", rendered_late),
    path("private/", private),
    path("recent/", recent),
    path("streamed/", streamed),
    path("asked-in-the-stream/", asked_in_the_stream),
    path("logs-out/", logs_out),
    path("empties/<how>/", empties),
    path("keeps/", keeps),
    path("changes-password/", changes_password),
    path("swallows/", swallows),
    path("names-async/", names_async),
    path("names-in-the-loop/", names_in_the_loop),
    path("api/", Api.as_view()),
    path("api/asks/", Asking.as_view()),
    path("sign-in/", LoginView.as_view(template_name="site/form.html", redirect_authenticated_user=True)),
    path("account/", include("authx.pages.urls")),
    path("api/auth/", include("authx.api.urls")),
]


@pytest.fixture(autouse=True)
def _as_a_process_begins(settings):
    settings.ROOT_URLCONF = __name__
    for forget in (uses.clear, sources._copies.clear):
        forget()
    yield
    for forget in (uses.clear, sources._copies.clear):
        forget()


class Believer:
    """A store of the site's own that believes in every session."""

    def end_reason(self, claims, now):
        return None


slow = pytest.mark.slow
STORES = [
    pytest.param(QUICK[0], id="lag"),
    pytest.param(QUICK[1], id="redis", marks=slow),
    pytest.param(QUICK[2], id="redis, lag", marks=slow),
    pytest.param((f"{__name__}.Believer",), id="own", marks=slow),
]


@pytest.fixture(params=STORES)
def store(request, settings):
    """One after the other says that a session is alive, reading no row."""
    choose(settings, *request.param)
    settings.AUTHX_REVOCATION_LAG *= 300  # no reading is due while statements are counted


@pytest.fixture
def lag(settings):
    choose(settings, "database", timedelta(seconds=300))


@pytest.fixture
def credentials(ada):
    return open_session(ada)


@pytest.fixture
def browser(credentials):
    """It has both cookies; what they hold was confirmed in an earlier request."""
    client = Client()
    client.cookies = SimpleCookie({ACCESS: credentials.access_token, REFRESH: credentials.refresh_token})
    return client


@pytest.fixture
def seen(browser, store):
    """A browser whose cookies this process has seen before."""
    browser.get("/asks/")
    return browser


def statements(act):
    with CaptureQueriesContext(connection) as asked:
        answer = act()
    return answer, [query["sql"] for query in asked.captured_queries]


def end_unnoticed(credentials, reason="kicked"):
    """End the row, and tell no copy: as it is for less than the lag after an ending elsewhere."""
    this = DeviceSession.objects.filter(pk=credentials.session.pk)
    this.update(ended_at=timezone.now(), end_reason=reason)


def row():
    return DeviceSession.objects.get()


# What it costs


def test_who_is_there_costs_nothing(seen, ada):
    answer, asked = statements(lambda: seen.get("/asks/"))
    assert (answer.json(), asked) == ({"user": ada.pk, "anonymous": False}, [])


@pytest.mark.parametrize("path", ["/names/", "/session/", "/rendered/", "/private/", "/recent/"])
def test_whatever_else_is_asked_costs_one_reading(path, seen):
    answer, asked = statements(lambda: seen.get(path))
    assert (answer.status_code, len(asked)) == (200, 1)


def test_with_the_database_it_costs_one_too(browser, ada):
    browser.get("/asks/")
    for url in ("/asks/", "/names/"):
        answer, asked = statements(lambda url=url: browser.get(url))
        assert (answer.status_code, len(asked)) == (200, 1)


def test_it_depends_on_the_cookie_and_is_private(seen):
    answer = seen.get("/asks/")
    assert ("private" in answer["Cache-Control"], answer["Vary"]) == (True, "Cookie")


@pytest.mark.parametrize("path", ["/names-async/", "/names-in-the-loop/"])
def test_an_async_view_has_its_user_read_before(path, browser, lag, ada, settings):
    before = [f"{__name__}.looks_first"] if "loop" in path else []
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, *before]
    client = AsyncClient()
    client.cookies = browser.cookies
    assert async_to_sync(client.get)(path).json() == {"user": "ada"}


def looks_first(get_response):
    """A middleware that is no async one, like Django's LoginRequiredMiddleware."""

    def middleware(request):
        assert request.user.is_authenticated
        return get_response(request)

    return middleware


@pytest.mark.parametrize("chosen", STORES[:3])
def test_a_session_that_a_copy_knows_to_be_over_is_over(chosen, browser, credentials, settings):
    choose(settings, *chosen)
    end_session(credentials.session, "kicked")
    assert browser.get("/asks/").json() == {"user": False, "anonymous": True}


# The Django session beside it


def django_session(**values):
    store = SessionStore()
    store.update(values)
    store.create()
    return store.session_key


@pytest.mark.parametrize("bound", [True, False], ids=["another's", "another user's"])
def test_a_django_session_of_somebody_else_is_flushed_before_anybody_is_named(bound, seen, bob):
    values = {"_authx_session": str(open_session(bob).session.pk)} if bound else login_of(bob)
    seen.cookies["sessionid"] = key = django_session(**values, basket="planted")
    answer = seen.get("/asks/")
    assert answer.json()["user"] is not False
    assert not Session.objects.filter(session_key=key).exists()


def login_of(user):
    return {
        "_auth_user_id": str(user.pk),
        "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
        "_auth_user_hash": user.get_session_auth_hash(),
    }


def test_its_own_django_session_costs_the_one_reading_that_django_makes(lag, ada, password):
    client = Client()
    client.post("/account/login/", {"username": "ada", "password": password})
    client.get("/names/")
    answer, asked = statements(lambda: client.get("/asks/"))
    assert answer.json()["user"] == ada.pk
    assert [sql for sql in asked if "django_session" not in sql] == []
    assert len(asked) == 1
    assert client.get("/names/").json() == {"user": "ada"}


@pytest.mark.parametrize("how", ["flush", "clear"])
@pytest.mark.parametrize("by", ["page", "API"])
def test_emptying_it_signs_out(how, by, lag, ada, password):
    client = Client()
    typed = {"username": "ada", "password": password}
    if by == "page":
        client.post("/account/login/", typed)
    else:
        body = json.dumps(typed | {"transport": "cookie"})
        token = client.get("/api/auth/login/").cookies["csrftoken"].value
        answer = client.post(
            "/api/auth/login/", body, content_type="application/json", headers={"X-CSRFToken": token}
        )
        assert answer.status_code == 200, answer.content
    answer = client.get(f"/empties/{how}/")
    assert (answer.content, row().end_reason) == (b"out", "logout")
    assert answer.cookies[ACCESS].value == ""
    assert client.get("/asks/").json()["user"] is False


@pytest.mark.parametrize("how", ["flush", "clear"])
def test_so_it_does_where_it_held_no_login_but_what_a_view_had_stored(how, seen):
    seen.get("/keeps/")
    seen.get("/asks/")
    answer = seen.get(f"/empties/{how}/")
    assert (row().end_reason, answer.cookies[ACCESS].value) == ("logout", "")
    assert seen.get("/asks/").json()["user"] is False


@pytest.mark.parametrize("how", ["flush", "clear"])
@pytest.mark.parametrize("stores", [True, False])
def test_emptying_that_of_a_session_that_is_over_is_no_error(stores, how, seen, credentials):
    if stores:
        seen.get("/keeps/")
    end_unnoticed(credentials)
    answer = seen.get(f"/empties/{how}/")
    assert (answer.status_code, row().end_reason) == (200, "kicked")


def test_what_is_stored_in_it_is_the_visitors(seen, credentials):
    seen.get("/keeps/")
    assert SessionStore(seen.cookies["sessionid"].value)["_authx_session"] == str(credentials.session.pk)


# Over after all

READS = ["/names/", "/session/", "/rendered/", "/rendered-late/", "/private/", "/recent/", "/streamed/"]


@pytest.mark.parametrize("path", READS)
def test_a_page_that_finds_its_session_over_is_asked_for_again_and_shown_to_nobody(path, seen, credentials):
    end_unnoticed(credentials)
    assert seen.get("/asks/").json()["user"] is not False  # which no row was read for
    answer = seen.get(f"{path}?one=1")
    assert (answer.status_code, answer["Location"]) == (302, f"{path}?one=1&authx_retry=1")
    assert "no-store" in answer["Cache-Control"]
    answer = seen.get(answer["Location"])
    if path in {"/private/", "/recent/"}:
        assert answer["Location"] == f"/account/login/?next={path}%3Fone%3D1"
    else:
        assert answer.status_code == 200
        assert b"ada" not in answer.getvalue()
    login = seen.get("/account/login/", follow=True)
    assert login.context["ended_reason"] == "kicked"


@pytest.mark.parametrize("path", [*READS, "/names-async/"])
def test_so_it_is_under_asgi(path, browser, lag, credentials):
    end_unnoticed(credentials)
    client = AsyncClient()
    client.cookies = browser.cookies
    answer = async_to_sync(client.get)(path)
    if path == "/names-async/":  # read before anybody was named
        assert answer.json() == {"user": False}
    else:
        assert (answer.status_code, answer["Location"]) == (302, f"{path}?authx_retry=1")


def test_a_login_page_that_sends_members_away_does_not_send_them_in_circles(seen, credentials):
    assert seen.get("/sign-in/").status_code == 302
    end_unnoticed(credentials)
    assert seen.get("/sign-in/").status_code == 200


def test_a_stream_that_asks_only_then_tells_a_stranger(seen, credentials):
    end_unnoticed(credentials)
    assert seen.get("/asked-in-the-stream/").getvalue() == b"stranger"


def test_a_form_is_led_to_the_login_page(seen, credentials):
    end_unnoticed(credentials)
    answer = seen.post("/names/", headers={**NAVIGATION, "Referer": "http://testserver/form/"})
    assert (answer.status_code, answer["Location"]) == (302, "/account/login/?next=/form/")


@pytest.mark.parametrize(("method", "path"), [("post", "/names/"), ("get", "/api/"), ("post", "/api/")])
def test_what_is_no_page_is_refused_as_by_the_api(method, path, seen, credentials):
    end_unnoticed(credentials)
    answer = getattr(seen, method)(path, headers=FETCH)
    assert (answer.status_code, answer.json()["code"], answer.json()["reason"]) == (
        401,
        "session_ended",
        "kicked",
    )
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_middleware_behind_ours_is_not_told_by_an_error(when, seen, credentials, settings):
    """Before the view it is not told that somebody is there; what is raised after it is answered as above."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.names_{when}"]
    client = Client(raise_request_exception=False)
    client.cookies = seen.cookies
    end_unnoticed(credentials)
    answer = client.get("/asks/", follow=True)
    assert answer.redirect_chain == ([] if when == "before" else [("/asks/?authx_retry=1", 302)])
    assert answer.json()["user"] is False


def names_before(get_response):
    def middleware(request):
        assert not request.user.is_authenticated or request.user.email
        return get_response(request)

    return middleware


def names_after(get_response):
    def middleware(request):
        response = get_response(request)
        assert not request.user.is_authenticated or request.user.email
        return response

    return middleware


def names_when_answered(get_response):
    """What stands before everything else, such as a log of who has asked for what."""

    def middleware(request):
        response = get_response(request)
        user = request.user
        response["X-User"] = f"{user.pk} {user.get_username()} {user.email}" if user.is_authenticated else ""
        return response

    return middleware


@pytest.fixture
def logged(seen, settings):
    settings.MIDDLEWARE = [f"{__name__}.names_when_answered", *settings.MIDDLEWARE]
    client = Client(raise_request_exception=False)
    client.cookies = seen.cookies
    return client


@pytest.mark.parametrize("path", ["/asks/", *READS])
def test_a_middleware_before_ours_is_told_no_more_than_a_key_when_all_is_answered(
    path, logged, credentials, ada
):
    end_unnoticed(credentials)
    answer = logged.get(path)
    if path == "/asks/":
        assert (answer.status_code, answer["X-User"].split()) == (200, [str(ada.pk)])
    else:
        assert (answer.status_code, answer["Location"]) == (302, f"{path}?authx_retry=1")
        assert "ada" not in answer["X-User"]
    assert (row().end_reason, bool(answer.cookies)) == ("kicked", False)


@async_only_middleware
def awaits_when_answered(get_response):
    async def middleware(request):
        response = await get_response(request)
        response["X-User"] = (await request.auser()).get_username()
        return response

    return middleware


@pytest.mark.parametrize("path", ["/asks/", "/api/asks/"])
@pytest.mark.parametrize("over", [False, True])
def test_an_async_one_awaits_what_it_could_not_read(over, path, browser, lag, credentials, settings):
    settings.MIDDLEWARE = [f"{__name__}.awaits_when_answered", *settings.MIDDLEWARE]
    client = AsyncClient()
    client.cookies = browser.cookies
    if over:
        end_unnoticed(credentials)
    answer = async_to_sync(client.get)(path)
    assert (answer.status_code, answer["X-User"]) == (200, "" if over else "ada")


@pytest.mark.parametrize("by", ["header", "cookie"])
def test_so_it_is_after_a_view_of_the_api(by, logged, credentials, ada):
    headers = {}
    if by == "header":
        logged.cookies.clear()
        headers = {"Authorization": f"Bearer {credentials.access_token}"}
    assert logged.get("/api/asks/", headers=headers)["X-User"] == f"{ada.pk} ada {ada.email}"
    end_unnoticed(credentials)
    answer = logged.get("/api/asks/", headers=headers)
    assert (answer.status_code, answer["X-User"].split()) == (200, [str(ada.pk)])
    assert row().end_reason == "kicked"


def test_a_view_that_goes_on_without_it_is_left_alone_and_kept_by_no_cache(seen, credentials):
    end_unnoticed(credentials)
    answer = seen.get("/swallows/")
    assert (answer.content, answer["Vary"]) == (b"somebody", "Cookie")
    assert "private" in answer["Cache-Control"]


def test_its_django_session_is_flushed(lag, ada, password):
    client = Client()
    client.post("/account/login/", {"username": "ada", "password": password})
    client.get("/names/")
    row_of = DeviceSession.objects.get()
    DeviceSession.objects.update(ended_at=timezone.now(), end_reason="kicked")
    key = client.cookies["sessionid"].value
    assert client.get("/names/").status_code == 302
    assert not Session.objects.filter(session_key=key).exists()
    assert client.get("/names/?authx_retry=1").json() == {"user": False}
    assert row_of.pk == row().pk


def disable(user):
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)


def change_password(user):
    get_user_model().objects.filter(pk=user.pk).update(password="!")


def delete(user):
    user.delete()


@pytest.mark.parametrize("change", [disable, change_password, delete], ids=lambda change: change.__name__)
def test_a_user_changed_in_bulk_is_nobody_once_their_row_is_read(change, seen, ada):
    change(ada)
    answer = seen.get("/names/", follow=True)
    assert answer.json() == {"user": False}
    assert row().ended_at is not None


@pytest.mark.parametrize("how", ["flush", "clear"])
@pytest.mark.parametrize("change", [disable, change_password], ids=lambda change: change.__name__)
def test_emptying_the_django_session_of_such_a_user_is_no_error(change, how, lag, ada, password):
    client = Client()
    client.post("/account/login/", {"username": "ada", "password": password})
    client.get("/names/")
    change(ada)
    assert client.get(f"/empties/{how}/").content == b"out"
    assert row().ended_at is not None


def test_logging_out_of_it_works_all_the_same(seen, credentials):
    end_unnoticed(credentials)
    answer = seen.post("/logs-out/")
    assert (answer.content, answer.cookies[ACCESS].value) == (b"out", "")
    assert row().end_reason == "kicked"


def test_a_logout_ends_a_session_whose_row_nobody_had_read(seen):
    answer = seen.get("/logs-out/")
    assert (answer.content, answer.cookies[ACCESS].value) == (b"out", "")
    assert row().end_reason == "logout"


@pytest.mark.parametrize("greet", ["", "?greet", "?greet&look"])
def test_the_device_that_changes_its_own_password_stays(greet, seen, credentials):
    answer = seen.get(f"/changes-password/{greet}")
    assert answer.content == (b"Hello, ada" if greet else b"changed"), answer.status_code
    assert seen.get("/names/").json() == {"user": "ada"}
    credentials.session.refresh_from_db()
    assert credentials.session.end_reason == "password_changed"
    assert DeviceSession.objects.live().count() == 1


# The database is away


def test_who_is_there_is_known_while_the_database_is_away(seen, ada):
    def fail(*arguments):
        raise OperationalError("server has gone away")

    with connection.execute_wrapper(fail):
        assert seen.get("/asks/").json()["user"] == ada.pk
        for url in ("/names/", "/rendered/", "/session/", "/private/"):
            answer = seen.get(url)
            assert (answer.status_code, bool(answer.cookies)) == (503, False)
    assert seen.get("/names/").json() == {"user": "ada"}


def test_an_outage_is_none_to_whoever_asks_when_all_is_answered(logged, ada):

    def fail(*arguments):
        raise OperationalError("server has gone away")

    with connection.execute_wrapper(fail):
        answer = logged.get("/asks/")
        assert (answer.status_code, answer["X-User"].split()) == (200, [str(ada.pk)])
        assert logged.get("/names/").status_code == 503
    assert logged.get("/asks/")["X-User"] == f"{ada.pk} ada {ada.email}"
