"""authx.api.permissions: what a token must say to be let in, and what is answered where it does not."""

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from textwrap import dedent
from time import time

import pytest
from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import AllowAny, BasePermission, IsAdminUser, IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIClient, APIRequestFactory, force_authenticate
from rest_framework.views import APIView
from rest_framework.views import exception_handler as drf_exception_handler

from authx.api.authentication import BearerAuthentication, CookieAuthentication
from authx.api.permissions import HasRole, HasScope, RecentlyAuthenticated
from authx.conf import conf
from authx.core.access_token import write_access_token
from authx.gate.keys import keyring
from authx.sessions import open_session

ROOT = Path(__file__).resolve().parents[2]
BARE = 'Bearer realm="api"'
READ = HasScope("orders:read")
ADMIN = HasRole("admin")
RECENT = RecentlyAuthenticated(timedelta(minutes=5))
ALL_THREE = pytest.mark.parametrize("permission", [READ, ADMIN, RECENT], ids=["scope", "role", "recent"])


@pytest.fixture
def token(ada):
    """Make a token of a session of ada's that says more, or something else."""

    def make(*, auth_time=..., **extra):
        claims = open_session(ada).claims
        changed = replace(claims, auth_time=claims.auth_time if auth_time is ... else auth_time, extra=extra)
        return write_access_token(changed, keyring.keyset().signing)

    return make


def ask(*permissions, token=None, user=None, handler=None, for_object=False):
    """The answer of a view with these permissions."""

    class View(APIView):
        authentication_classes = [BearerAuthentication, CookieAuthentication, SessionAuthentication]
        permission_classes = permissions

        def get(self, request):
            if for_object:
                self.check_object_permissions(request, object())
            return Response({"in": True})

        def get_exception_handler(self):
            return handler or super().get_exception_handler()

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = APIRequestFactory().get("/", headers=headers)
    request.user = AnonymousUser()
    if user is not None:
        force_authenticate(request, user)
    return View.as_view()(request)


def code(answer):
    return answer.status_code, answer.data.get("code"), answer.get("WWW-Authenticate")


LACKS_READ = 403, "insufficient_scope", f'{BARE}, error="insufficient_scope", scope="orders:read"'
NOT_ALLOWED = 403, "permission_denied", None
TOO_OLD = 401, "insufficient_user_authentication", (
    f'{BARE}, error="insufficient_user_authentication", max_age="300"'
)  # fmt: skip
LET_IN = 200, None, None


# Scopes


@pytest.mark.parametrize(
    "scope",
    ["orders:read", "orders:write orders:read", " orders:read  x", ["orders:read"], ["a", "orders:read"]],
    ids=str,
)
def test_a_scope_lets_in_as_text_and_as_a_list(scope, token):
    assert code(ask(READ, token=token(scope=scope))) == LET_IN


HOSTILE = [
    ..., None, True, False, 0, 7, 1.5, "", " ", [], {}, [[]], [None],
    {"orders:read": True}, {"admin": True}, [["orders:read"]], [["admin"]], [{"orders:read": 1}],
    ["orders:read", 7], ["admin", None], ["orders:read", ["x"]], ["admin", ["x"]],
    "orders:read\u00a0x", "orders:read\tx", "orders:read\n", "orders:read,x", "xorders:read", "orders:rea",
    "ORDERS:READ", "superadmin", "admin", "Admin", ["orders:read x"], ["admin x"], ["superadmin"], ["*"],
]  # fmt: skip


@pytest.mark.parametrize("claim", HOSTILE, ids=ascii)
def test_no_claim_of_another_form_is_a_scope_or_a_role(claim, token):
    extra = {} if claim is ... else {"scope": claim, "roles": claim}
    presented = token(**extra)
    assert code(ask(READ, token=presented)) == LACKS_READ
    assert code(ask(ADMIN, token=presented)) == NOT_ALLOWED


def test_every_scope_is_demanded_and_named_once(token):
    both = HasScope("b", "a", "b")
    assert code(ask(both, token=token(scope="a b"))) == LET_IN
    answer = ask(both, token=token(scope="a"))
    assert answer["WWW-Authenticate"] == f'{BARE}, error="insufficient_scope", scope="b a"'


def test_the_challenge_needs_no_handler_of_ours(token):
    answer = ask(READ, token=token(), handler=drf_exception_handler)
    assert (answer.status_code, answer["WWW-Authenticate"]) == (403, LACKS_READ[2])


def test_the_challenge_tells_nothing_of_the_token(token):
    answer = ask(READ, token=token(scope='canary" x="'))
    assert code(answer) == LACKS_READ
    assert "canary" not in str(answer.data)


@pytest.mark.parametrize(
    "scopes",
    [(), ("",), ("two words",), ('quo"te',), ("back\\slash",), ("tab\t",), ("line\n",), ("é",), ("\x7f",),
     ("good", ""), (None,), (7,), (["a"],), (b"a",)],
    ids=ascii,
)  # fmt: skip
def test_what_is_no_scope_token_is_refused_at_once(scopes):
    with pytest.raises(ValueError, match=r"scope"):
        HasScope(*scopes)


def test_every_character_of_a_scope_token_is_taken(token):
    every = "".join(map(chr, [0x21, *range(0x23, 0x5C), *range(0x5D, 0x7F)]))
    assert code(ask(HasScope(every), token=token(scope=every))) == LET_IN
    assert ask(HasScope(every), token=token())["WWW-Authenticate"].endswith(f'scope="{every}"')


# Roles


@pytest.mark.parametrize("roles", [["admin"], ["x", "admin"], ["support"]])
def test_one_of_the_roles_is_enough(roles, token):
    assert code(ask(HasRole("admin", "support"), token=token(roles=roles))) == LET_IN
    assert code(ask(HasRole("other", "admi"), token=token(roles=roles))) == NOT_ALLOWED


@pytest.mark.parametrize("roles", [(), ("",), ("a\0",), ("a", "\n"), (None,), (["a"],)], ids=ascii)
def test_what_is_no_role_is_refused_at_once(roles):
    with pytest.raises(ValueError, match=r"role"):
        HasRole(*roles)


# Recent proof


@pytest.mark.parametrize("age", [0, 1, 298, -9])
def test_a_recent_proof_lets_in(age, token):
    assert code(ask(RECENT, token=token(auth_time=int(time()) - age))) == LET_IN


@pytest.mark.parametrize("auth_time", [None, 0, -301, -302, 12, 3600], ids=str)
def test_an_old_proof_asks_for_a_new_one_and_so_does_one_from_the_future(auth_time, token):
    """More than the leeway ahead is no clock's error. Numbers but 0 are seconds from now."""
    at = int(time()) + auth_time if auth_time else auth_time
    assert code(ask(RECENT, token=token(auth_time=at))) == TOO_OLD


@pytest.mark.parametrize("max_age", [timedelta(days=365 * 100), timedelta.max], ids=str)
def test_an_unknown_proof_is_no_recent_one_and_a_known_one_is_however_long_that_may_be(max_age, token):
    permission = RecentlyAuthenticated(max_age)
    for unknown in (None, 0):
        refused = code(ask(permission, token=token(auth_time=unknown)))
        assert refused[:2] == (401, "insufficient_user_authentication")
        assert f'max_age="{int(max_age.total_seconds())}"' in refused[2]
        assert code(ask(~permission, token=token(auth_time=unknown))) == LET_IN
    assert code(ask(permission, token=token(auth_time=1))) == LET_IN
    far = token(auth_time=2**53 - 1)
    assert code(ask(permission, token=far))[0] == 401


@pytest.mark.parametrize("max_age", [None, 300, 0.5, "300", timedelta(0), timedelta(seconds=-1),
                                     timedelta(milliseconds=999)], ids=str)  # fmt: skip
def test_what_is_no_age_is_refused_at_once(max_age):
    with pytest.raises(ValueError, match="max_age"):
        RecentlyAuthenticated(max_age)


def test_a_proof_given_again_lets_in(ada, password, settings, api):
    """The whole step-up: refused, password, repeated with the new token."""
    credentials = open_session(ada, auth_time=ada.date_joined - timedelta(hours=1))
    assert code(ask(RECENT, token=credentials.access_token)) == TOO_OLD
    headers = {"Authorization": f"Bearer {credentials.access_token}"}
    proven = api.post("/api/auth/reauthenticate/", {"password": password}, headers=headers)
    assert code(ask(RECENT, token=proven.json()["access_token"])) == LET_IN


# Nobody, and somebody who came another way


@ALL_THREE
def test_no_credential_is_the_plain_challenge(permission, db):
    assert code(ask(permission)) == (401, "not_authenticated", BARE)


@ALL_THREE
def test_a_bad_token_is_refused_before(permission, db):
    assert code(ask(permission, token="garbage"))[:2] == (401, "token_malformed")


@ALL_THREE
def test_whoever_came_in_without_a_token_is_refused(permission, admin):
    assert code(ask(permission, user=admin)) == NOT_ALLOWED


@ALL_THREE
@pytest.mark.parametrize("auth", ["orders:read", {"scope": "orders:read", "roles": ["admin"]}, object()])
def test_another_authentications_token_says_nothing_to_us(permission, auth, ada):
    request = APIRequestFactory().get("/")
    request.auth = auth
    assert not permission().has_permission(request, None)


def test_a_cookie_carries_claims_as_well(ada, settings):
    settings.AUTHX_CLAIMS = "tests.api.test_permissions.claims_of"
    settings.ROOT_URLCONF = "demo_project.urls"
    client = APIClient()
    client.cookies[conf.ACCESS_COOKIE] = open_session(ada).access_token
    assert client.get("/api/staff/").status_code == 200


def claims_of(session):
    return {"roles": ["staff"]}


# Compositions


class Never(BasePermission):
    """Refuses everybody."""

    def has_permission(self, request, view):
        return False

    def has_object_permission(self, request, view, obj):
        return False


GOOD = {"scope": "orders:read", "roles": ["admin"]}
LONG_AGO = {"auth_time": 0}


@pytest.mark.parametrize(
    ("composed", "says", "expected"),
    [
        (READ | ADMIN, {"scope": "orders:read"}, LET_IN),
        (READ | ADMIN, {"roles": ["admin"]}, LET_IN),
        (READ | ADMIN, {}, LACKS_READ),
        (ADMIN | READ, {}, LACKS_READ),
        (READ & ADMIN, GOOD, LET_IN),
        (READ & ADMIN, {"scope": "orders:read"}, NOT_ALLOWED),
        (READ & ADMIN, {"roles": ["admin"]}, LACKS_READ),
        (~READ, {}, LET_IN),
        (~READ, GOOD, NOT_ALLOWED),
        (~~READ, GOOD, LET_IN),
        (~RECENT, LONG_AGO, LET_IN),
        (~RECENT, {}, NOT_ALLOWED),
        (~READ & ADMIN, {"roles": ["admin"]}, LET_IN),
        (~(READ | ADMIN), {}, LET_IN),
        (~(READ | ADMIN), GOOD, NOT_ALLOWED),
        (RECENT | ADMIN, {**LONG_AGO, **GOOD}, LET_IN),
        (RECENT | ADMIN, LONG_AGO, TOO_OLD),
        (ADMIN & RECENT, {**LONG_AGO, **GOOD}, TOO_OLD),
        (ADMIN & RECENT, LONG_AGO, NOT_ALLOWED),
        (READ & RECENT, LONG_AGO, LACKS_READ),
        # with permissions of others, on either side and nested
        (IsAuthenticated & READ, {}, LACKS_READ),
        (IsAdminUser & READ, {}, NOT_ALLOWED),
        (IsAdminUser | READ, {}, LACKS_READ),
        (READ & IsAuthenticated, {}, LACKS_READ),
        (IsAuthenticated & READ & RECENT, {**LONG_AGO, **GOOD}, TOO_OLD),
        (IsAuthenticated & (READ | RECENT), LONG_AGO, LACKS_READ),
        ((READ & RECENT) | AllowAny, LONG_AGO, LET_IN),
        (AllowAny | READ, {}, LET_IN),
        (READ | IsAdminUser, {}, LACKS_READ),
        (IsAdminUser | READ, GOOD, LET_IN),
        ((READ | AllowAny) & IsAdminUser, {}, NOT_ALLOWED),
        ((AllowAny & READ) & IsAdminUser, GOOD, NOT_ALLOWED),
        # a composition of DRF's own that comes first keeps its plain answer, and the same verdict
        ((AllowAny & IsAuthenticated) & READ, {}, NOT_ALLOWED),
        ((AllowAny & IsAuthenticated) & READ, GOOD, LET_IN),
        (((Never | IsAdminUser) & READ) | ADMIN, GOOD, LET_IN),
        ((Never | Never) | READ, {}, NOT_ALLOWED),
        ((Never | Never) | READ, GOOD, LET_IN),
    ],
)
@pytest.mark.parametrize("for_object", [False, True], ids=["view", "object"])
def test_compositions_decide_and_say_why(composed, says, expected, for_object, token):
    assert code(ask(composed, token=token(**says), for_object=for_object)) == expected


@pytest.mark.parametrize("composed", [READ | ADMIN, READ & RECENT, IsAuthenticated & READ, ADMIN | RECENT])
def test_a_composition_gives_nobody_the_plain_challenge_too(composed, db):
    assert code(ask(composed)) == (401, "not_authenticated", BARE)


@pytest.mark.parametrize(
    ("says", "expected"), [({}, LACKS_READ), ({"scope": "orders:read", **LONG_AGO}, TOO_OLD), (GOOD, LET_IN)]
)
def test_a_list_asks_one_after_the_other(says, expected, token):
    assert code(ask(READ, RECENT, token=token(**says))) == expected


def test_a_refusal_is_forgotten_with_its_request(token):
    """DRF makes an instance for each request; ours would stand being kept as well."""
    answers = [code(ask(READ, token=token(**says))) for says in ({}, GOOD, {})]
    assert answers == [LACKS_READ, LET_IN, LACKS_READ]


@ALL_THREE
def test_a_permission_is_a_class_that_says_what_it_demands(permission):
    assert issubclass(permission, BasePermission)
    assert permission.__doc__.startswith(("The token", "The user"))
    assert permission.__name__ in {"HasScope", "HasRole", "RecentlyAuthenticated"}
    assert permission.__module__ == "authx.api.permissions"


def test_they_need_no_models_and_no_installed_app():
    """A verify-only service has neither."""
    program = """
        import sys
        from django.conf import settings
        settings.configure(SECRET_KEY="a secret for this test alone", INSTALLED_APPS=[])
        import authx.api.permissions
        assert "authx.models" not in sys.modules
    """
    done = subprocess.run([sys.executable, "-c", dedent(program)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# The demo


@pytest.fixture
def demo(settings):
    """The demo's API on the test site's database."""
    settings.ROOT_URLCONF = "demo_project.urls"
    settings.AUTHX_CLAIMS = "demo_project.claims.roles"


@pytest.mark.parametrize(("name", "status"), [("ada", 403), ("staff", 200)])
def test_the_demos_staff_api_is_for_staff(name, status, demo, request, api):
    user = request.getfixturevalue(name)
    headers = {"Authorization": f"Bearer {open_session(user).access_token}"}
    assert api.get("/api/staff/", headers=headers).status_code == status
    assert APIClient().get("/api/staff/").status_code == 401


def test_the_demos_sensitive_api_wants_a_recent_password(demo, ada, api):
    for since, status in ((timedelta(0), 200), (timedelta(minutes=6), 401)):
        credentials = open_session(ada, auth_time=ada.date_joined - since)
        headers = {"Authorization": f"Bearer {credentials.access_token}"}
        assert api.get("/api/recovery-codes/", headers=headers).status_code == status
