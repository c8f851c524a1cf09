"""What many do at once to one session: one rotation, one ending, one event, no token too many."""

from __future__ import annotations

import random
from datetime import timedelta
from functools import partial
from threading import Event

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test import Client
from rest_framework.test import APIClient

from authx.conf import conf
from authx.errors import RefreshReused, SessionEnded, SessionLimitReached
from authx.models import DeviceSession, SessionEvent
from authx.sessions import Device, end_session, open_session, recognize, refresh_session
from tests.branches import another_branch, generation_of
from tests.racing import only, race

pytestmark = pytest.mark.django_db(transaction=True)

PRESENTERS = 20


@pytest.fixture
def due(ada):
    """Credentials whose refresh token is due for a rotation: the grace since the login has passed."""
    credentials = open_session(ada)
    travel(credentials.session, conf.REFRESH_GRACE + timedelta(seconds=1))
    return credentials


def travel(session, past):
    """Let time pass for this session alone, by moving its past back."""
    row = DeviceSession.objects.get(pk=session.pk)
    row.rotated_at -= past
    row.strike_at = row.strike_at and row.strike_at - past
    row.save()


def generation(session):
    return DeviceSession.objects.values_list("generation", flat=True).get(pk=session.pk)


def kinds(session, **only):
    return list(SessionEvent.objects.filter(session=session.pk, **only).values_list("kind", flat=True))


def assert_branches_of_one_generation(tokens):
    assert {generation_of(token) for token in tokens} == {2}
    assert len(set(tokens)) == PRESENTERS


def test_twenty_presenters_get_one_rotation_and_a_branch_each(due):
    results = race(*[lambda: refresh_session(due.refresh_token).refresh_token] * PRESENTERS)
    assert_branches_of_one_generation(results)
    assert generation(due.session) == 2
    assert kinds(due.session) == ["opened", "refreshed"]


def test_the_same_through_the_api(due, settings):
    settings.AUTHX_REFRESH_RATE = None

    def present():
        answer = APIClient().post("/api/auth/refresh/", {"refresh_token": due.refresh_token})
        return answer.status_code, answer.json().get("refresh_token")

    statuses, tokens = zip(*race(*[present] * PRESENTERS), strict=True)
    assert (only(statuses), generation(due.session)) == (200, 2)
    assert_branches_of_one_generation(tokens)


def test_the_same_through_the_middleware(due):
    def present():
        client = Client()
        client.cookies[conf.REFRESH_COOKIE] = due.refresh_token
        answer = client.get("/whoami/")
        return answer.json()["user"], answer.cookies[conf.REFRESH_COOKIE].value

    users, tokens = zip(*race(*[present] * PRESENTERS), strict=True)
    assert only(users) == due.session.user.get_username()
    assert generation(due.session) == 2
    assert_branches_of_one_generation(tokens)


@pytest.mark.parametrize("crowds", [1, 6], ids=["one jar beside a copy", "two crowds"])
def test_of_many_at_once_from_two_jars_one_is_noted_and_in_the_next_generation_one_ends_it(due, crowds):
    for number in (1, 2):
        copied = another_branch(due)
        present = [partial(refresh_session, token) for token in (due.refresh_token, copied)]
        results = race(*present * crowds)
        if number == 1:
            assert {generation_of(result.refresh_token) for result in results} == {2}
            assert kinds(due.session, kind="copied") == ["copied"]
            due = results[0]
            travel(due.session, timedelta(minutes=1))
    assert {type(result) for result in results} <= {RefreshReused, SessionEnded, type(due)}
    assert [type(result) for result in results].count(RefreshReused) == 1
    assert kinds(due.session, kind="copied") == ["copied", "copied"]
    assert kinds(due.session, kind="ended") == ["ended"]


def test_of_many_late_replays_at_once_one_counts(due):
    refresh_session(due.refresh_token)
    travel(due.session, timedelta(minutes=1))
    results = race(*[lambda: refresh_session(due.refresh_token).refresh_token] * PRESENTERS)
    assert_branches_of_one_generation(results)
    assert DeviceSession.objects.get(pk=due.session.pk).late_streak == 1
    assert kinds(due.session, outcome="T4") == ["refreshed"]


def test_of_many_who_end_a_session_one_does(due):
    results = race(*[lambda: end_session(due.session, "kicked")] * PRESENTERS)
    assert sorted(results) == [False] * (PRESENTERS - 1) + [True]
    assert kinds(due.session, kind="ended") == ["ended"]


def test_of_many_thieves_one_ends_the_session(due):
    successor = refresh_session(due.refresh_token)
    travel(due.session, timedelta(minutes=1))
    refresh_session(successor.refresh_token)
    results = race(*[lambda: refresh_session(due.refresh_token)] * 8)
    assert {type(result) for result in results} <= {RefreshReused, SessionEnded}
    assert [type(result) for result in results].count(RefreshReused) == 1
    assert kinds(due.session, kind="ended") == ["ended"]


def test_an_ended_session_presented_by_many_says_so_once(due):
    end_session(due.session, "kicked")
    results = race(*[lambda: refresh_session(due.refresh_token)] * PRESENTERS)
    assert {type(result) for result in results} == {SessionEnded}
    assert kinds(due.session, outcome="T11") == ["refused"]


@pytest.mark.databases("postgresql", "mariadb")
def test_no_refusal_waits_for_whoever_holds_the_session(due):
    end_session(due.session, "kicked")
    held, refused = Event(), Event()

    def hold():
        with transaction.atomic():
            DeviceSession.objects.select_for_update().get(pk=due.session.pk)
            held.set()
            return refused.wait(timeout=20)

    def present():
        held.wait(timeout=20)
        try:
            refresh_session(due.refresh_token)
        finally:
            refused.set()

    told, ended = race(hold, present)
    assert (told, type(ended)) == (True, SessionEnded)


def end_by_password(credentials):
    user = get_user_model().objects.get(pk=credentials.session.user_id)
    user.set_password("another-horse")
    user.save()


ENDERS = {
    "logout": lambda credentials: end_session(credentials.session, "logout"),
    "kick": lambda credentials: end_session(credentials.session, "kicked"),
    "password": end_by_password,
}


@pytest.mark.parametrize("ender", ENDERS)
@pytest.mark.parametrize("round", range(5))
def test_whoever_refreshes_while_the_session_ends_is_left_with_nothing(due, ender, round):
    def refresh():
        return refresh_session(due.refresh_token)

    *refreshed, ended = race(*[refresh] * 4, lambda: ENDERS[ender](due))
    assert not isinstance(ended, Exception), ended
    for result in refreshed:
        if isinstance(result, Exception):
            assert isinstance(result, SessionEnded), result
            continue
        with pytest.raises(SessionEnded):
            recognize(result.access_token)
        with pytest.raises(SessionEnded):
            refresh_session(result.refresh_token)
    assert kinds(due.session, kind="ended") == ["ended"]


def test_random_interleavings_leave_one_successor_or_an_ended_session(ada, request):
    """Bursts of honest tabs, thieves with old tokens and people who end it, in no order."""
    rounds = request.config.getoption("--races")
    for seed in range(rounds):
        dice = random.Random(seed)
        credentials = open_session(ada)
        known = {1: [credentials.refresh_token]}
        for _ in range(dice.randint(1, 3)):
            travel(credentials.session, timedelta(minutes=1))
            latest = [known[number] for number in sorted(known)[-2:]]
            crowd = [dice.choice(dice.choice(latest)) for _ in range(dice.randint(2, 6))]
            actors = [lambda token=token: refresh_session(token).refresh_token for token in crowd]
            if dice.random() < 0.2:
                actors.append(partial(end_session, credentials.session, "kicked"))
            tokens = {result for result in race(*actors) if isinstance(result, str)}
            row = DeviceSession.objects.get(pk=credentials.session.pk)
            ended = kinds(row, kind="ended")
            assert len(ended) == (row.ended_at is not None), f"seed {seed}"
            before = len(known)
            for token in sorted(tokens):
                known.setdefault(generation_of(token), []).append(token)
            assert len(known) <= before + 1, f"two live successors, seed {seed}"
            assert kinds(row).count("copied") <= row.generation - 1, f"seed {seed}"
            if row.ended_at:
                break
        assert row.generation <= len(known) + (row.ended_at is not None), f"seed {seed}"


PHONES = {"types": ["ios", "android"], "limit": 2}
LOGINS = 16


@pytest.mark.parametrize("when_full", ["end_least_recent", "refuse"])
def test_concurrent_logins_fill_the_limit_and_never_exceed_it(make_user, settings, request, when_full):
    """Everybody logs in twice with a crowd: with no session yet, and with as many as may be."""
    settings.AUTHX_SESSION_LIMITS = [PHONES | {"when_full": when_full}]
    for number in range(max(1, request.config.getoption("--races") // 30)):
        user = make_user(f"user{number}")
        let_in, most = crowd_in(user)
        assert (let_in, most, live_phones(user)) == (2 if when_full == "refuse" else LOGINS, 2, 2)
        let_in, most = crowd_in(user)
        assert (let_in, most, live_phones(user)) == (0 if when_full == "refuse" else LOGINS, 2, 2)


def crowd_in(user):
    """16 logins at once: how many were let in, and the most sessions live at any moment of it."""

    def watch():
        return max(live_phones(user) for _ in range(LOGINS))

    login = partial(open_session, user, device=Device(type="ios"))
    *logins, most = race(*[login] * LOGINS, watch)
    refused = [result for result in logins if isinstance(result, Exception)]
    assert {type(error) for error in refused} <= {SessionLimitReached}
    return LOGINS - len(refused), max(most, live_phones(user))


def live_phones(user):
    return DeviceSession.objects.live().filter(user=user).count()


@pytest.mark.databases("postgresql", "mariadb")
def test_the_same_under_repeatable_read(due, ada, settings, repeatable_read):
    results = race(*[lambda: refresh_session(due.refresh_token).refresh_token] * 8)
    assert {generation_of(token) for token in results} == {2}
    settings.AUTHX_SESSION_LIMITS = [PHONES]
    results = race(*[lambda: open_session(ada, device=Device(type="ios"))] * 16)
    assert not [result for result in results if isinstance(result, Exception)]
    phones = DeviceSession.objects.live().filter(user=ada, device_type="ios")
    assert phones.count() == 2


@pytest.fixture
def repeatable_read(settings):
    """New connections run at REPEATABLE READ."""
    options = connection.settings_dict["OPTIONS"]
    before = dict(options)
    if connection.vendor == "postgresql":
        from psycopg import IsolationLevel

        options["isolation_level"] = IsolationLevel.REPEATABLE_READ
    else:
        options["isolation_level"] = "repeatable read"
    yield
    options.clear()
    options.update(before)
