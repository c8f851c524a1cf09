"""What many do at once to one grant: one session, one generation, and nothing lives on after its end."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.utils import timezone

from authx.conf import conf
from authx.core.actor import Actor
from authx.core.oauth_client import ACCESS_TOKEN_TYPE
from authx.errors import OAuthError, SessionEnded
from authx.models import AuthorizationCode, DeviceSession, ServiceClient, SessionEvent
from authx.sessions import end_session, end_sessions, end_user_sessions, open_session
from authx.sessions.continuing import continue_session
from authx.sessions.exchanging import exchange_token
from authx.sessions.liveness import find_live
from authx.sessions.refreshing_clients import refresh_for_client
from authx.sessions.service_tokens import service_token
from tests.branches import generation_of
from tests.granted import code_of, grace_has_passed, granted, make_client, make_service, redeem
from tests.racing import only, race
from tests.rows import disable

pytestmark = pytest.mark.django_db(transaction=True)

CODES, TIMES, ROUNDS = 25, 6, 12
GRACE = timedelta(seconds=31)
ORDERS, SHOP = "https://orders.example/", "https://shop.example/"


@pytest.fixture
def login(ada):
    return open_session(ada).session


@pytest.fixture
def client(login):
    return make_client()


def succeeded(results):
    """The answers among results of which all others are refusals."""
    refused = [result for result in results if isinstance(result, OAuthError)]
    answers = [result for result in results if not isinstance(result, Exception)]
    assert len(refused) + len(answers) == len(results), results
    return answers


# Codes


def test_six_at_once_with_each_of_25_codes_open_one_session_each(client, login):
    for _ in range(CODES):
        code = code_of(client, login)
        results = race(*[partial(redeem, client, code)] * TIMES)
        (winner,) = succeeded(results)
        assert {error.error for error in results if isinstance(error, OAuthError)} == {"invalid_grant"}
        assert winner.session.pk == AuthorizationCode.objects.latest("redeemed_at").session_id
    opened = DeviceSession.objects.filter(client_id="app-1")
    assert (opened.count(), opened.filter(ended_at=None).count()) == (CODES, CODES)
    assert SessionEvent.objects.filter(client_id="app-1").count() == CODES


def test_six_replays_at_once_after_the_grace_end_it_once(client, login):
    code = code_of(client, login)
    session = redeem(client, code).session
    grace_has_passed(session, GRACE)
    assert not succeeded(race(*[partial(redeem, client, code)] * TIMES))
    ended = SessionEvent.objects.filter(session=session, kind="ended", outcome="reused")
    assert ended.count() == 1


ENDS = {
    "a kick": lambda login: end_session(login, "kicked"),
    "a kick everywhere": lambda login: end_user_sessions(login.user, "kicked"),
    "a new password": lambda login: set_password(login.user),
    "a disabled user": lambda login: disable(login.user),
    "a deleted user": lambda login: get_user_model()._default_manager.get(pk=login.user_id).delete(),
    "a disabled client": lambda login: disable_client("app-1"),
}


def set_password(user):
    user.set_password("another-password")
    user.save()


def disable_client(client_id):
    """As a site does that takes a client out: in one transaction, with an old snapshot of its sessions."""
    with transaction.atomic():
        ServiceClient.objects.filter(client_id=client_id).update(disabled_at=timezone.now())
        end_sessions(DeviceSession.objects.filter(client_id=client_id), "kicked")


@pytest.mark.parametrize("end", ENDS, ids=ENDS)
def test_what_ends_while_a_code_is_redeemed_is_over_afterwards(make_user, end):
    """In either order: where the session was opened first, whatever ends all that is the user's ends it."""
    make_client()
    for number in range(ROUNDS):
        ServiceClient.objects.update(disabled_at=None)
        login = open_session(make_user(f"user-{number}")).session
        client = ServiceClient.objects.get(client_id="app-1")
        code = code_of(client, login)
        result, _ = race(partial(redeem, client, code), partial(ENDS[end], login))
        if end == "a kick":  # of one login, which is not the app's session
            assert succeeded([result]) in ([], [result])
        elif succeeded([result]):
            with pytest.raises(SessionEnded):
                find_live(result.claims, delegated=True)
        assert not succeeded([redeem_later(client, code)])


def redeem_later(client, code):
    try:
        return redeem(client, code)
    except OAuthError as error:
        return error


# Refreshing


def test_twelve_refreshes_at_once_have_twelve_answers_of_one_generation(client, login):
    credentials = granted(client, login)
    grace_has_passed(credentials.session, GRACE)
    results = race(*[partial(refresh_for_client, client, credentials.refresh_token)] * 12)
    assert len(succeeded(results)) == 12
    assert only([generation_of(result.refresh_token) for result in results]) == 2
    assert DeviceSession.objects.get(pk=credentials.session.pk).generation == 2


@pytest.mark.parametrize("end", [name for name in ENDS if name != "a kick"])
def test_what_ends_while_it_is_refreshed_is_over_afterwards(make_user, end):
    make_client()
    for number in range(ROUNDS):
        ServiceClient.objects.update(disabled_at=None)
        client = ServiceClient.objects.get(client_id="app-1")
        login = open_session(make_user(f"user-{number}")).session
        credentials = granted(client, login)
        grace_has_passed(credentials.session, GRACE)
        refresh = partial(refresh_for_client, client, credentials.refresh_token)
        result, _ = race(refresh, partial(ENDS[end], login))
        for answer in succeeded([result]):
            with pytest.raises(SessionEnded):
                find_live(answer.claims, delegated=True)
            with pytest.raises(OAuthError):
                refresh_for_client(client, answer.refresh_token)


def test_a_kick_of_the_apps_session_stands(client, login):
    for _ in range(ROUNDS):
        credentials = granted(client, login)
        grace_has_passed(credentials.session, GRACE)
        refresh = partial(refresh_for_client, client, credentials.refresh_token)
        result, kicked = race(refresh, partial(end_session, credentials.session, "kicked"))
        assert kicked is True
        for answer in succeeded([result]):
            with pytest.raises(SessionEnded):
                find_live(answer.claims, delegated=True)


# Services


@pytest.fixture
def shop(db):
    make_service("orders")
    return make_service("shop", may_call=["orders"])


def test_of_many_calls_at_once_one_opens_the_session(shop):
    ask = partial(service_token, shop, audience=[ORDERS], scope=None)
    for round_ in range(4):
        results = race(*[ask] * TIMES)
        assert len(succeeded(results)) == TIMES
        sid = only([claims.sid for claims, _ in results])
        assert DeviceSession.objects.filter(client_id="shop").count() == round_ + 1
        end_session(DeviceSession.objects.get(pk=sid), "kicked")


def test_a_service_that_is_disabled_meanwhile_has_no_session_left(shop):
    ask = partial(service_token, shop, audience=[ORDERS], scope=None)
    for _ in range(ROUNDS):
        ServiceClient.objects.update(disabled_at=None)
        result, _ = race(ask, partial(disable_client, "shop"))
        for claims, _ in succeeded([result]):
            with pytest.raises(SessionEnded):
                find_live(claims, delegated=True)
        assert not DeviceSession.objects.filter(client_id="shop", ended_at=None).exists()


# Exchange


@pytest.mark.parametrize("end", ["a kick", "a kick everywhere", "a new password", "a disabled user"])
def test_what_ends_while_it_is_exchanged_is_over_afterwards(shop, make_user, settings, end):
    settings.AUTHX_AUDIENCE = ["authx", SHOP]
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=10)
    for number in range(ROUNDS):
        login = open_session(make_user(f"user-{number}"))
        form = {
            "subject_token": [login.access_token],
            "subject_token_type": [ACCESS_TOKEN_TYPE],
            "audience": [ORDERS],
        }
        result, _ = race(partial(exchange_token, shop, form), partial(ENDS[end], login.session))
        for claims, _ in succeeded([result]):
            with pytest.raises(SessionEnded):
                find_live(claims, delegated=True)
        with pytest.raises(OAuthError) as refused:
            exchange_token(shop, form)
        assert refused.value.rule == "E4"
    assert conf.REVOCATION_LAG  # no copy of the ended sessions was asked


# One of the two orders, which a race may never show


def interrupted(call, act, *, before):
    """Make the call, and let another connection do ``act`` and commit before its statement ``before``.

    SQLite lets nobody write beside a transaction, so there it is before that begins.
    """
    done = []

    def statement(execute, sql, params, many, context):
        point = "BEGIN" if connection.vendor == "sqlite" and not before.startswith("SELECT") else before
        if not done and sql.replace("`", '"').startswith(point):
            done.append(point)
            (result,) = race(act)
            assert not isinstance(result, Exception), result
        return execute(sql, params, many, context)

    with connection.execute_wrapper(statement):
        try:
            return call()
        except OAuthError as error:
            return error
        finally:
            assert done, "the call has not come to that statement"


SWAP_OF_CODE = 'UPDATE "authx_authorizationcode"'
SWAP_OF_SESSION = 'UPDATE "authx_devicesession"'


@pytest.mark.parametrize("end", ENDS, ids=ENDS)
def test_what_ends_just_before_a_code_is_spent_keeps_it_from_opening_anything(client, login, end):
    code = code_of(client, login)
    result = interrupted(partial(redeem, client, code), partial(ENDS[end], login), before=SWAP_OF_CODE)
    if end == "a disabled user":  # nothing in the session's row shows it before it is read
        with pytest.raises(SessionEnded):
            find_live(result.claims, delegated=True)
        return
    assert isinstance(result, OAuthError), result
    assert not DeviceSession.objects.exclude(client_id="").exists()
    unspent = AuthorizationCode.objects.filter(redeemed_at=None)
    assert unspent.count() == (end != "a deleted user")


@pytest.mark.databases("postgresql")  # the others keep the login from its end until the commit
def test_what_ends_all_of_a_user_ends_what_is_being_opened(client, login):
    code = code_of(client, login)
    end = partial(ENDS["a kick everywhere"], login)
    result = interrupted(partial(redeem, client, code), end, before='INSERT INTO "authx_devicesession"')
    with pytest.raises(SessionEnded) as ended:
        find_live(result.claims, delegated=True)
    assert ended.value.reason == "kicked"


def test_a_step_up_just_before_a_code_is_spent_lets_it_be_spent(client, login):
    code = code_of(client, login)
    again = partial(continue_session, login, Actor(login.user), methods=["otp"], came_back=True)
    result = interrupted(partial(redeem, client, code), again, before=SWAP_OF_CODE)
    assert "otp" in result.claims.amr


def test_a_kick_just_before_the_swap_refuses_the_refresh(client, login):
    credentials = granted(client, login)
    grace_has_passed(credentials.session, GRACE)
    refresh = partial(refresh_for_client, client, credentials.refresh_token)
    kick = partial(end_session, credentials.session, "kicked")
    assert interrupted(refresh, kick, before=SWAP_OF_SESSION).error == "invalid_grant"


def test_a_kick_between_the_statements_of_an_exchange_ends_its_token(shop, login, settings):
    settings.AUTHX_AUDIENCE = ["authx", SHOP]
    credentials = open_session(login.user)
    form = {
        "subject_token": [credentials.access_token],
        "subject_token_type": [ACCESS_TOKEN_TYPE],
        "audience": [ORDERS],
    }
    kick = partial(end_session, credentials.session, "kicked")
    claims, _ = interrupted(partial(exchange_token, shop, form), kick, before="SELECT one.*")
    with pytest.raises(SessionEnded):
        find_live(claims, delegated=True)


def test_a_service_disabled_before_its_session_is_opened_has_none(shop):
    ask = partial(service_token, shop, audience=[ORDERS], scope=None)
    lock = "BEGIN" if connection.vendor == "sqlite" else 'SELECT "authx_serviceclient"."id"'
    result = interrupted(ask, partial(disable_client, "shop"), before=lock)
    assert result.error == "invalid_client"
    assert not DeviceSession.objects.exclude(client_id="").exists()
