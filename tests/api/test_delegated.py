"""authx.api.authentication.DelegatedAuthentication: views that serve clients, and whom those never are."""

from datetime import timedelta
from types import ModuleType

import pytest
from django.contrib.auth import get_user_model, logout
from django.core.exceptions import ImproperlyConfigured
from django.urls import include, path
from django.utils import timezone
from rest_framework.decorators import action, api_view, authentication_classes, permission_classes
from rest_framework.permissions import AllowAny, BasePermission, IsAdminUser, IsAuthenticated
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from authx.api.authentication import (
    BearerAuthentication,
    CookieAuthentication,
    DelegatedAuthentication,
    session_of,
)
from authx.api.permissions import HasRole, HasScope, IsFirstParty, MayKick, RecentlyAuthenticated
from authx.checks.delegated_views import check_delegated_views
from authx.conf import conf
from authx.gate.principal import Principal
from authx.models import DeviceSession
from authx.sessions import end_session, open_session
from tests.clients import API, exchanged, granted, make_client, service_token, signed

pytestmark = pytest.mark.django_db

BARE = 'Bearer realm="api"'
READ = HasScope("orders:read")


@pytest.fixture
def login(ada):
    return open_session(ada)


@pytest.fixture
def client():
    return make_client()


@pytest.fixture
def delegated(client, login):
    return granted(client, login.session)


def view_of(*permissions, authentication=None, handle=None):
    class Orders(APIView):
        authentication_classes = authentication or [DelegatedAuthentication(API)]
        permission_classes = permissions

        def get(self, request):
            if handle is not None:
                return Response(handle(request))
            user = request.user
            return Response({"user": user.pk, "sid": request.auth.sid})

    return Orders


def ask(token, *permissions, authentication=None, handle=None, **more):
    headers = {"Authorization": f"Bearer {token}", **more}
    request = APIRequestFactory().get("/", headers=headers)
    return view_of(*permissions, authentication=authentication, handle=handle).as_view()(request)


def code(answer):
    return answer.status_code, answer.data.get("code"), answer.get("WWW-Authenticate")


LACKS_READ = 403, "insufficient_scope", f'{BARE}, error="insufficient_scope", scope="orders:read"'
SERVES_NOBODY = 403, "insufficient_scope", f'{BARE}, error="insufficient_scope"'
NOT_ALLOWED = 403, "permission_denied", None


# Whom it lets in


def test_a_client_acts_for_its_user(delegated, ada):
    answer = ask(delegated.access_token, READ)
    assert (answer.status_code, answer.data["user"]) == (200, ada.pk)
    assert answer.data["sid"] == str(delegated.session.pk)


@pytest.mark.parametrize("form", ["instance", "class", "default"])
def test_it_is_written_as_a_class_too(form, delegated, settings):
    settings.AUTHX_RESOURCES = {API: ["orders:read"]}
    classes = {
        "instance": DelegatedAuthentication("https://other.example/", API),
        "class": DelegatedAuthentication.for_resource(API),
        "default": DelegatedAuthentication,
    }
    answer = ask(delegated.access_token, READ, authentication=[classes[form]])
    assert answer.status_code == 200
    other = {
        "instance": DelegatedAuthentication("https://other.example/"),
        "class": DelegatedAuthentication.for_resource("https://other.example/"),
        "default": DelegatedAuthentication,
    }
    settings.AUTHX_RESOURCES = {"https://other.example/": []}
    answer = ask(delegated.access_token, READ, authentication=[other[form]])
    assert (answer.status_code, answer.data["code"]) == (401, "token_not_for_us")


@pytest.mark.parametrize("resources", [{}, {API: [], "https://other.example/": []}])
def test_without_a_resource_there_may_be_no_choice(resources, delegated, settings):
    settings.AUTHX_RESOURCES = resources
    with pytest.raises(ImproperlyConfigured, match="names no resource"):
        ask(delegated.access_token, READ, authentication=[DelegatedAuthentication])


@pytest.mark.parametrize("lag", [0, 60])
def test_a_service_that_acts_for_itself_has_no_user_and_no_permission(lag, client, settings, admin):
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=lag)
    _claims, token = service_token(client)
    seen = []
    answer = ask(token, READ, handle=lambda request: seen.append(request.user))
    assert answer.status_code == 200
    (user,) = seen
    assert isinstance(user, Principal)
    assert (user.pk, user.is_staff, user.is_superuser, user.is_authenticated) == (
        "client:app-1",
        False,
        False,
        True,
    )
    assert not user.has_perm("authx.kick_devicesession")
    assert code(ask(token, READ & IsAdminUser)) == NOT_ALLOWED


@pytest.mark.parametrize("lag", [0, 60])
def test_an_exchanged_token_is_its_users(lag, login, ada, settings):
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=lag)
    token = exchanged(login.claims)
    answer = ask(token, READ)
    assert (answer.status_code, answer.data["user"], answer.data["sid"]) == (
        200,
        ada.pk,
        str(login.session.pk),
    )


def test_it_speaks_for_nobody_who_speaks_for_another(login):
    """A token that says that it is a service's is not believed about a user's session."""
    token = exchanged(login.claims, sub="client:service-1")
    assert code(ask(token, READ))[:2] == (401, "token_malformed")


# Whom it refuses


def test_without_a_token_it_is_the_bare_challenge():
    request = APIRequestFactory().get("/")
    assert code(view_of(READ).as_view()(request)) == (401, "not_authenticated", BARE)


@pytest.mark.parametrize("header", ["Bearer", "Bearer  ", "Bearer a.b.c", "bearer \u00e4"])
def test_a_bad_token_is_named(header):
    request = APIRequestFactory().get("/", headers={"Authorization": header})
    answer = view_of(READ).as_view()(request)
    assert code(answer) == (
        401, "token_malformed", f'{BARE}, error="invalid_token", error_description="token_malformed"',
    )  # fmt: skip


def test_two_headers_are_a_bad_request(delegated):
    token = delegated.access_token
    request = APIRequestFactory().get("/", headers={"Authorization": f"Bearer {token}, Bearer {token}"})
    assert code(view_of(READ).as_view()(request))[:2] == (400, "invalid_request")


def test_a_login_is_no_client(login):
    assert code(ask(login.access_token, READ))[:2] == (401, "token_not_for_us")
    for_it = signed(login.claims, aud=(API,), scope="orders:read")
    assert code(ask(for_it, READ))[:2] == (401, "token_malformed")


def test_cookies_let_nobody_in(login):
    cookie = f"{conf.ACCESS_COOKIE}={login.access_token}"
    request = APIRequestFactory().get("/", headers={"Cookie": cookie})
    assert view_of(READ).as_view()(request).status_code == 401


@pytest.mark.parametrize("end", ["session", "login", "user"])
def test_an_end_is_told_at_once(end, delegated, login, ada):
    """An exchanged token dies with the login that it came from; a client's session is one of its own."""
    from_login = exchanged(login.claims)
    if end == "user":
        get_user_model()._default_manager.filter(pk=ada.pk).update(is_active=False)
    else:
        end_session(delegated.session if end == "session" else login.session, "kicked")
    own, of_login = ask(delegated.access_token, READ), ask(from_login, READ)
    assert (own.status_code, of_login.status_code) == {
        "session": (401, 200), "login": (200, 401), "user": (401, 401),
    }[end]  # fmt: skip
    refused = own if own.status_code == 401 else of_login
    assert refused.data["code"] == "session_ended"
    assert refused.data["reason"] == ("user_disabled" if end == "user" else "kicked")


def test_an_expired_token_is_refused(delegated):
    claims = delegated.claims
    old = signed(claims, exp=claims.iat - 100, iat=claims.iat - 400, nbf=claims.iat - 400)
    assert code(ask(old, READ))[:2] == (401, "token_expired")


def test_a_store_that_cannot_be_asked_is_503(delegated, settings):
    settings.AUTHX_REVOCATION_STORE = "tests.api.test_delegated.Down"
    answer = ask(delegated.access_token, READ)
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")


class Down:
    def end_reason(self, claims, now):
        from authx.errors import StoreUnavailable

        raise StoreUnavailable("down")


# G2: the scope


def test_a_scope_is_demanded_as_ever(client, login):
    assert code(ask(granted(client, login.session, scope="orders:write").access_token, READ)) == LACKS_READ


class Everything(BasePermission):
    def has_permission(self, request, view):
        return True


class ByMethod(BasePermission):
    """A site's own, that looks at the scope itself."""

    guards_clients = True

    def has_permission(self, request, view):
        return "orders:read" in request.auth.scopes


UNGUARDED = {
    "nothing": [],
    "authenticated": [IsAuthenticated],
    "anybody": [AllowAny],
    "own": [Everything],
    "or anybody": [READ | AllowAny],
    "anybody or": [AllowAny | READ],
    "or authenticated": [IsAuthenticated, IsAuthenticated | READ],
    "not": [~HasScope("orders:write")],
    "not DRF's": [~(IsAdminUser | Everything)],
    "and of others": [IsAuthenticated & Everything],
}


@pytest.mark.parametrize("permissions", UNGUARDED.values(), ids=UNGUARDED)
def test_a_view_that_demands_no_scope_serves_no_client(permissions, delegated):
    assert code(ask(delegated.access_token, *permissions)) == SERVES_NOBODY


GUARDED = {
    "scope": [READ],
    "beside others": [IsAuthenticated, READ],
    "and": [IsAuthenticated & READ],
    "and, DRF's": [(IsAuthenticated & Everything) & READ],
    "or another": [READ | HasScope("admin")],
    "or a login": [IsFirstParty | READ],
    "or, of three": [(IsFirstParty | READ) & IsAuthenticated],
    "own": [ByMethod],
}


@pytest.mark.parametrize("permissions", GUARDED.values(), ids=GUARDED)
def test_a_view_that_demands_one_does(permissions, delegated, client, login):
    assert ask(delegated.access_token, *permissions).status_code == 200
    other = granted(client, login.session, scope="orders:write")
    assert ask(other.access_token, *permissions).status_code == 403


def test_a_view_that_chooses_its_permissions_by_who_asks(delegated):
    class Chooses(view_of()):
        def get_permissions(self):
            return [READ()] if self.request.user.is_authenticated else [IsAuthenticated()]

    request = APIRequestFactory().get("/", headers={"Authorization": f"Bearer {delegated.access_token}"})
    assert Chooses.as_view()(request).status_code == 200


def test_nothing_is_known_of_a_request_without_a_view(delegated):
    from rest_framework.exceptions import PermissionDenied
    from rest_framework.request import Request

    request = APIRequestFactory().get("/", headers={"Authorization": f"Bearer {delegated.access_token}"})
    with pytest.raises(PermissionDenied):
        DelegatedAuthentication(API).authenticate(Request(request))


# G3: what a client never is


@pytest.mark.parametrize(
    "permission", [HasRole("admin"), RecentlyAuthenticated(timedelta(days=1))], ids=["role", "recent"]
)
def test_no_role_and_no_recent_login_is_a_clients(permission, delegated):
    token = signed(delegated.claims, extra={"roles": ["admin"]})
    assert code(ask(token, permission)) == NOT_ALLOWED
    assert code(ask(token, READ, permission)) == NOT_ALLOWED


def test_no_client_of_a_superuser_may_kick(client, admin):
    token = granted(client, open_session(admin).session).access_token
    assert code(ask(token, MayKick)) == NOT_ALLOWED
    assert code(ask(token, READ, MayKick)) == NOT_ALLOWED


ROUTES = [
    ("get", "session/"), ("get", "sessions/"), ("post", "sessions/end-others/"), ("post", "reauthenticate/"),
    ("post", "logout/"), ("post", "socket-ticket/"), ("get", "staff/sessions/"),
    ("get", "sessions/unconfirmed/"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "route"), ROUTES, ids=[route for _, route in ROUTES])
def test_no_route_of_ours_takes_a_client(method, route, client, admin, api, password):
    login = open_session(admin)
    delegated = granted(client, login.session)
    tokens = [
        delegated.access_token,
        signed(delegated.claims, aud=("authx",)),
        exchanged(login.claims, aud=("authx",)),
    ]
    before = sorted(map(repr, DeviceSession.objects.values_list()))
    for token in tokens:
        answer = getattr(api, method)(
            f"/api/auth/{route}", {"password": password}, headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 401, route
    assert sorted(map(repr, DeviceSession.objects.values_list())) == before


def test_a_view_of_logins_takes_no_client(delegated, login):
    for audience in ((API,), ("authx",)):
        token = signed(delegated.claims, aud=audience)
        answer = ask(token, READ, authentication=[BearerAuthentication, CookieAuthentication])
        assert answer.status_code == 401


def own_token(delegated, login):
    return delegated.access_token


def exchanged_token(delegated, login):
    return exchanged(login.claims)


@pytest.mark.parametrize("token_of", [own_token, exchanged_token])
def test_what_a_view_does_ends_no_session(token_of, delegated, login):
    """Django's logout in a view for clients: the session of an exchanged token is the user's own login."""

    def leave(request):
        from django.contrib.sessions.backends.db import SessionStore

        request._request.session = SessionStore()
        logout(request._request)

    assert ask(token_of(delegated, login), READ, handle=leave).status_code == 200
    assert DeviceSession.objects.filter(ended_at=None).count() == 2


@pytest.mark.parametrize("token_of", [own_token, exchanged_token])
def test_a_client_has_no_device_session(token_of, delegated, login):
    answer = ask(token_of(delegated, login), READ, handle=lambda request: session_of(request).pk)
    assert code(answer) == NOT_ALLOWED


# One view for both


@pytest.mark.parametrize("order", [1, -1])
def test_a_view_may_serve_logins_and_clients(order, delegated, login, client):
    both = [BearerAuthentication, DelegatedAuthentication(API)][::order]
    asked = {"authentication": both, "handle": lambda request: request.auth.sid}
    may = IsFirstParty | READ
    assert ask(login.access_token, may, **asked).data == str(login.session.pk)
    assert ask(delegated.access_token, may, **asked).data == str(delegated.session.pk)
    other = granted(client, login.session, scope="orders:write")
    assert code(ask(other.access_token, may, **asked)) == LACKS_READ
    elsewhere = signed(delegated.claims, aud=("https://other.example/",))
    assert code(ask(elsewhere, may, **asked))[:2] == (401, "token_not_for_us")
    assert code(ask("a.b.c", may, **asked))[:2] == (401, "token_malformed")
    for broken in (login, delegated):
        end_session(broken.session, "kicked")
        assert code(ask(broken.access_token, may, **asked))[:2] == (401, "session_ended")


def test_a_login_of_such_a_view_is_the_caller_of_the_request(login):
    both = [DelegatedAuthentication(API), BearerAuthentication, CookieAuthentication]
    answer = ask(
        login.access_token, IsFirstParty, authentication=both, handle=lambda r: str(session_of(r).pk)
    )
    assert answer.data == str(login.session.pk)


def test_a_first_party_is_nobody_without_a_login():
    request = APIRequestFactory().get("/")
    both = [DelegatedAuthentication(API), BearerAuthentication, CookieAuthentication]
    assert view_of(IsFirstParty | READ, authentication=both).as_view()(request).status_code == 401


# T2, last seen


@pytest.mark.parametrize("lag", [0, 60])
def test_the_newest_generation_is_confirmed(lag, delegated, settings, django_capture_on_commit_callbacks):
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=lag)
    assert DeviceSession.objects.get(pk=delegated.session.pk).confirmed_generation == 0
    with django_capture_on_commit_callbacks(execute=True):
        assert ask(delegated.access_token, READ).status_code == 200
    assert DeviceSession.objects.get(pk=delegated.session.pk).confirmed_generation == 1


@pytest.mark.parametrize("lag", [0, 60])
def test_an_exchanged_token_confirms_nothing(lag, login, settings, django_capture_on_commit_callbacks):
    """It has no generation, whenever its session was last seen."""
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=lag)
    long_ago = timezone.now() - timedelta(hours=1)
    DeviceSession.objects.update(last_seen_at=long_ago)
    with django_capture_on_commit_callbacks(execute=True):
        assert ask(exchanged(login.claims), READ).status_code == 200
    row = DeviceSession.objects.get(pk=login.session.pk)
    assert (row.confirmed_generation, row.last_seen_at > long_ago) == (0, True)


# The check


class Orders(ViewSet):
    authentication_classes = [DelegatedAuthentication(API)]
    permission_classes = [READ]

    def list(self, request):
        return Response([])

    @action(detail=False, permission_classes=[IsAuthenticated])
    def forgotten(self, request):
        return Response([])

    @action(detail=False, permission_classes=[HasScope("orders:write")])
    def thought_of(self, request):
        return Response([])


@api_view(["GET"])
@authentication_classes([DelegatedAuthentication(API)])
@permission_classes([IsAuthenticated])
def by_function(request):
    return Response([])


class ByRequest(view_of()):
    """Which permissions it has, only a request can say."""

    def get_permissions(self):
        return [READ()] if self.request.method == "GET" else []


def checked(settings, *patterns):
    urls = ModuleType("urls")
    urls.urlpatterns = [path("inner/", include([*patterns]))]
    settings.ROOT_URLCONF = urls
    return [(message.id, message.msg) for message in check_delegated_views()]


def test_the_check_names_the_view_that_demands_no_scope(settings):
    router = SimpleRouter()
    router.register("orders", Orders, basename="orders")
    found = checked(
        settings,
        path("", include(router.urls)),
        path("function/", by_function),
        path("good/", view_of(READ).as_view()),
        path("of-logins/", view_of(IsAuthenticated, authentication=[BearerAuthentication]).as_view()),
        path("by-request/", ByRequest.as_view()),
        path("by-init/", view_of(READ).as_view(permission_classes=[IsAuthenticated])),
    )
    assert [id for id, _ in found] == ["authx.E045"] * 3
    first, second, third = (text for _, text in found)
    assert first.startswith("tests.api.test_delegated.Orders.forgotten serves clients and demands no scope")
    assert "by_function" in second
    assert "test_delegated.Orders serves" in third
    (hint,) = {message.hint for message in check_delegated_views()}
    assert "HasScope" in hint


def test_the_check_names_the_view_without_a_resource(settings):
    settings.AUTHX_RESOURCES = {}
    default = view_of(READ, authentication=[DelegatedAuthentication])
    own = view_of(READ, authentication=[DelegatedAuthentication("authx")])
    found = checked(settings, path("default/", default.as_view()))
    assert [id for id, _ in found] == ["authx.E046"]
    found = checked(settings, path("own/", own.as_view()))
    assert [id for id, _ in found] == ["authx.E046"]
    assert "the site itself" in found[0][1]


def test_a_urlconf_that_cannot_be_read_is_djangos_to_report(settings):
    settings.ROOT_URLCONF = "no.such.module"
    assert check_delegated_views() == []


def test_the_check_is_part_of_manage_py_check(settings):
    from django.core.checks import run_checks

    urls = ModuleType("urls")
    urls.urlpatterns = [path("x/", view_of(IsAuthenticated).as_view())]
    settings.ROOT_URLCONF = urls
    assert "authx.E045" in [message.id for message in run_checks()]
