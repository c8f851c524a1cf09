"""A database for each tenant: nothing that a process or Redis keeps of one is taken for another's."""

from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from http.cookies import SimpleCookie

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.management import call_command
from django.db import connections, transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import path

from authx import signals
from authx.checks.stores import check_store
from authx.core.claims import AccessClaims
from authx.core.rates import Rate
from authx.errors import SessionEnded, TokenError
from authx.gate import verify_access_token
from authx.gate.keys import keyring
from authx.gate.revocation import sources
from authx.issuer import signing_keys
from authx.models import SessionEvent
from authx.notices import Notice, send_mail
from authx.sessions import end_everyone, end_session, end_user_sessions, open_session, refresh_session
from authx.sessions.activity import uses
from authx.sessions.authentication import admit
from authx.store import after_transaction, database
from authx.store.counters import count, is_first
from tests.gate.test_stores import choose
from tests.in_process import apart, connect, in_loop

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

TENANTS = ("acme", "beta")
_tenant: ContextVar[str] = ContextVar("tenant", default="default")


class ByTenant:
    """A site's router, by the tenant of the current request."""

    def db_for_read(self, model, **hints):
        return _tenant.get()

    db_for_write = db_for_read

    def allow_relation(self, one, other, **hints):
        return True


@contextmanager
def at(tenant):
    token = _tenant.set(tenant)
    try:
        yield
    finally:
        _tenant.reset(token)


@pytest.fixture(scope="module")
def made(tmp_path_factory, django_db_setup, django_db_blocker):
    """The tenants' databases, migrated: files, so that threads may have connections of their own."""
    folder = tmp_path_factory.mktemp("tenants")
    with django_db_blocker.unblock():
        for name in TENANTS:
            connections.databases[name] = connections.configure_settings(
                {
                    "default": {},
                    name: {
                        "ENGINE": "django.db.backends.sqlite3",
                        "NAME": str(folder / f"{name}.sqlite3"),
                        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
                    },
                }
            )[name]
            call_command("migrate", database=name, verbosity=0)
        yield
        for name in TENANTS:
            connections[name].close()
            del connections.databases[name]
            delattr(connections._connections, name)


@pytest.fixture
def tenants(made, settings):
    """Both tenants, empty, with a user ada who has the same key in both."""
    settings.DATABASE_ROUTERS = [f"{__name__}.ByTenant"]
    sources._drop()
    uses.clear()
    keyring.keyset_of.cache_clear()
    for name in TENANTS:
        with at(name):
            get_user_model().objects.create_user("ada", password="x")
    yield TENANTS
    sources._drop()
    uses.clear()
    keyring.keyset_of.cache_clear()


STORES = [
    ("database", timedelta(0)),
    ("database", timedelta(seconds=1)),
    ("redis", timedelta(0)),
    ("redis", timedelta(seconds=1)),
]


@pytest.fixture(params=STORES, ids=["database", "database, lag", "redis", "redis, lag"])
def store(request, settings, tenants):
    choose(settings, *request.param)
    return request.param


def opened(tenant):
    with at(tenant):
        return open_session(get_user_model().objects.get())


def is_let_in(tenant, credentials):
    with at(tenant):
        try:
            verify_access_token(credentials.access_token)
        except TokenError:
            return False
        return True


def test_a_token_is_good_at_its_own_tenant_alone(store):
    ours, theirs = opened("acme"), opened("beta")
    for _ in range(2):  # cold and warm
        assert [is_let_in(tenant, ours) for tenant in TENANTS] == [True, False]
        assert [is_let_in(tenant, theirs) for tenant in TENANTS] == [False, True]


def test_the_rest_of_a_row_is_read_where_it_was_judged(tenants):
    """In code that runs when the request, and with it the tenant, is out of sight."""
    ours = opened("acme")
    with at("acme"):
        caller = admit(ours.claims, reads_session=False)
    with at("beta"):
        session = caller.session
    assert (session.pk, session._state.db, session.user) == (ours.session.pk, "acme", caller.user())


def test_a_row_that_a_copy_has_spared_is_read_where_the_copy_was_asked(store):
    ours = opened("acme")
    with at("acme"):
        caller = admit(ours.claims, reads_session=False)
        user = caller.user()
    with at("beta"):
        assert (user.get_username(), user._state.db) == ("ada", "acme")
        assert (caller.session.pk, caller.session._state.db) == (ours.session.pk, "acme")


def of_acme(get_response):
    def middleware(request):
        with at("acme"):
            return get_response(request)

    return middleware


def names_when_answered(get_response):
    """What stands before the middleware that chooses the tenant."""

    def middleware(request):
        response = get_response(request)
        response["X-User"] = request.user.get_username()
        return response

    return middleware


def asks(request):
    return HttpResponse(str(request.user.is_authenticated))


urlpatterns = [path("asks/", asks)]


def test_so_it_is_for_a_middleware_that_asks_when_the_page_has_been_made(store, settings):
    ours = opened("acme")
    mine = [f"{__name__}.{name.__name__}" for name in (names_when_answered, of_acme)]
    settings.MIDDLEWARE, settings.ROOT_URLCONF = [*mine, *settings.MIDDLEWARE], __name__
    client = Client()
    client.cookies = SimpleCookie({"__Host-authx_access": ours.access_token})
    answer = client.get("/asks/")
    assert (answer.content, answer["X-User"]) == (b"True", "ada")


def test_a_token_of_the_default_database_is_good_there_alone(store):
    get_user_model().objects.create_user("ada", password="x")
    ours = opened("default")
    assert ours.claims.db is None
    assert [is_let_in(tenant, ours) for tenant in ("default", *TENANTS)] == [True, False, False]


def test_the_doors_agree(store):
    credentials = opened("acme")
    headers = {"Authorization": f"Bearer {credentials.access_token}"}
    answers = []
    for tenant in TENANTS:
        with at(tenant):
            answers.append(Client().get("/api/whoami/", headers=headers).status_code)
    assert answers == [200, 401]


@pytest.mark.parametrize(
    "end",
    [
        lambda session: end_session(session, "kicked"),
        lambda session: end_user_sessions(session.user, "kicked"),
        lambda session: end_everyone("kicked"),
    ],
    ids=["one", "of a user", "everyone"],
)
def test_an_end_is_seen_at_its_own_tenant_and_at_no_other(store, end):
    ours, theirs = opened("acme"), opened("beta")
    assert is_let_in("acme", ours)
    assert is_let_in("beta", theirs)
    with at("acme"):
        end(ours.session)
    assert [is_let_in("acme", ours), is_let_in("beta", theirs)] == [False, True]
    with at("acme"), pytest.raises(SessionEnded, match="kicked"):
        verify_access_token(ours.access_token)


@pytest.mark.parametrize("is_published", [True, False])
@in_loop
async def test_an_end_closes_the_sockets_of_its_own_tenant_alone(store, is_published, monkeypatch):
    ours, theirs = await apart(opened, "acme"), await apart(opened, "beta")
    peers = {}
    for tenant, credentials in (("acme", ours), ("beta", theirs)):
        with at(tenant):
            peers[tenant] = connect(bearer=credentials.access_token)
        await peers[tenant].accepted()
    if not is_published:
        monkeypatch.setattr(sources, "publish", lambda ended: None)

    def end():
        with at("acme"):
            end_everyone("kicked")

    await apart(end)
    assert await peers["acme"].closed() == (4401, "kicked")
    peers["beta"].send("still here")
    assert await peers["beta"].text() == "still here"
    with at("acme"):
        status, body, _headers = await connect(bearer=theirs.access_token).refused()
    assert status == 401
    assert body["code"] in {"session_ended", "key_unknown"}


def test_an_end_that_was_not_published_is_read_from_its_own_log(store, monkeypatch):
    """As by another process: the copies of both tenants have been read before."""
    ours, theirs = opened("acme"), opened("beta")
    assert is_let_in("acme", ours)
    assert is_let_in("beta", theirs)
    with at("acme"), monkeypatch.context() as patched:
        patched.setattr(sources, "publish", lambda ended: None)
        end_session(ours.session, "kicked")
    if store[0] == "redis":  # the next reading of each log, by whoever finds it due
        for tenant in TENANTS:
            with at(tenant):
                shared = sources._redis("sessions", tenant)
                shared._doubts = True  # so that it is read before its time
                shared._renew()
    for copy in list(sources._copies.values()):
        copy._copy.reload()
    assert [is_let_in("acme", ours), is_let_in("beta", theirs)] == [False, True]


def test_each_tenant_has_its_own_managed_keys(tenants):
    with at("acme"):
        signing_keys.rotate()
    kids = {}
    for tenant in TENANTS:
        with at(tenant):
            kids[tenant] = {key.kid for key in keyring.keyset()}
    assert kids["acme"] > kids["beta"]


def test_refreshing_reads_the_tenants_own_row(store):
    credentials = opened("acme")
    with at("beta"), pytest.raises(Exception, match="no session of ours"):
        refresh_session(credentials.refresh_token)
    with at("acme"):
        assert refresh_session(credentials.refresh_token).session == credentials.session


def test_what_follows_a_transaction_goes_to_the_database_of_its_request(tenants):
    """The tenant is known while the request is; what a rollback leaves to be done is done later."""
    done = []
    with at("acme"), transaction.atomic(using="acme"):
        after_transaction.run_even_on_rollback(lambda: done.append(database.alias()))
        transaction.set_rollback(True, using="acme")
    after_transaction.run_pending()
    assert done == ["acme"]


def test_a_commit_is_followed_up_in_its_own_database(tenants):
    done = []
    with transaction.atomic(using="acme"), at("acme"):
        database.after_commit(lambda: done.append(database.alias()))
    assert done == ["acme"]


def test_another_thread_reads_the_same_database(tenants):
    with at("acme"):
        assert database.on_own_connection(database.alias) == "acme"


def test_a_claim_names_the_database(tenants):
    credentials = opened("acme")
    assert (credentials.claims.db, credentials.claims.issued_by) == ("acme", "acme")
    assert isinstance(credentials.claims, AccessClaims)


def test_events_stay_with_their_tenant(tenants):
    opened("acme")
    counts = {}
    for tenant in TENANTS:
        with at(tenant):
            counts[tenant] = SessionEvent.objects.count()
    assert counts == {"acme": 1, "beta": 0}


# Counters in the cache


def login(password):
    body = {"username": "ada", "password": password}
    return Client().post("/api/auth/login/", body, content_type="application/json")


def test_wrong_passwords_at_one_tenant_lock_nobody_out_of_another(tenants, settings):
    """Both adas have the same name and key."""
    settings.AUTHX_LOGIN_RATE, settings.AUTHX_ADDRESS_RATE = "3/min", None
    answers = {}
    for tenant, tries in (("acme", 4), ("beta", 0)):
        with at(tenant):
            answers[tenant] = [login("wrong").status_code for _ in range(tries)] + [login("x").status_code]
    assert answers == {"acme": [401, 401, 401, 429, 429], "beta": [200]}


def test_what_is_counted_or_reported_once_is_each_tenants_own(tenants):
    rate, found = Rate(1, 60), {}
    for tenant in (*TENANTS, "default"):
        with at(tenant):
            found[tenant] = [count("refresh", "7", rate).is_within for _ in range(2)]
            found[tenant] += [is_first("flood", "7", 60) for _ in range(2)]
    assert set(map(tuple, found.values())) == {(True, False, True, False)}


# Schemas: one alias for all tenants


@pytest.mark.parametrize(
    "engine",
    [
        "django_tenants.postgresql_backend",
        "tenant_schemas.postgresql_backend",
        "django_pgschemas.postgresql_backend",
    ],
)
@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ({}, []),
        ({"AUTHX_REVOCATION_LAG": timedelta(seconds=1)}, ["authx.E023"]),
        ({"AUTHX_REVOCATION_STORE": "redis"}, ["authx.E012", "authx.E023"]),
    ],
    ids=["neither", "lag", "redis"],
)
def test_where_the_alias_cannot_tell_tenants_apart_no_copies_are_kept(
    settings, monkeypatch, engine, options, ids
):
    monkeypatch.setitem(settings.DATABASES, "default", {"ENGINE": engine})
    for name, value in options.items():
        setattr(settings, name, value)
    assert sorted(message.id for message in check_store()) == ids


# Notices


def test_a_notice_of_one_tenant_reaches_its_own_user_from_a_queue_that_knows_no_tenant(tenants, settings):
    """The workers of a queue have no request, and another tenant has a user with the same key."""
    settings.AUTHX_ISSUER = "https://shop.example"
    for name in ("default", *tenants):
        with at(name):
            model = get_user_model()
            user = model.objects.filter(pk=opened("acme").session.user_id).first()
            user = user or model.objects.create_user("ada", password="x")
            model.objects.filter(pk=user.pk).update(email=f"ada@{name}.example")
    queue = []

    def enqueue(notice, **kwargs):
        queue.append(notice.as_dict())

    signals.notice.connect(enqueue)
    try:
        for name in tenants:
            with at(name):
                user = get_user_model().objects.get()
                user.set_password("another")
                user.save()
    finally:
        signals.notice.disconnect(enqueue)
    mail.outbox.clear()
    assert [send_mail(Notice.from_dict(values)) for values in queue] == [True, True]
    assert [message.to for message in mail.outbox] == [[f"ada@{name}.example"] for name in tenants]
