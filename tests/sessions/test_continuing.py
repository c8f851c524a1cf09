"""authx.sessions.continuing: a session that takes another's place, and what ends it."""

from datetime import UTC, datetime, timedelta
from threading import Event, Timer
from uuid import uuid4

import pytest
from django.db import transaction

from authx import signals
from authx.conf import conf
from authx.core.actor import NOBODY, Actor
from authx.core.reasons import EndReason
from authx.errors import SessionEnded
from authx.models import DeviceSession, SessionEvent
from authx.sessions import (
    Device,
    end_everyone,
    end_session,
    end_sessions,
    open_session,
    recognize,
    refresh_session,
)
from authx.sessions.continuing import continue_after_password_change, continue_session
from authx.sessions.ending import Ending, end_all
from authx.sessions.lookup import find_by_sid
from authx.sessions.queries import continuing, find_live_session, live_or_continued, other_sessions
from authx.store.database import database_now
from tests.racing import race
from tests.rows import row

pytestmark = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = START + timedelta(hours=5)
FOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
ADA = Actor(ip="203.0.113.7", user_agent=FOX)


@pytest.fixture
def old(ada):
    """Ada's phone."""
    device = Device(id="phone-1", name="Ada's phone", type="ios")
    return open_session(ada, device=device, amr=("pwd",), persistent=False, now=START)


@pytest.fixture
def live(ada):
    """A session of a moment ago."""
    return open_session(ada, device=Device(id="phone-1"))


def step_up(credentials, *methods, **options):
    session = getattr(credentials, "session", credentials)
    options = {"came_back": True, **options}
    return continue_session(session, options.pop("actor", NOBODY), methods=methods or ("pwd",), **options)


def change_password(credentials, **options):
    """End the session as the user's save does, and continue it as the response does."""
    end_session(credentials.session, "password_changed", **options)
    return continued(credentials, **options)


def continued(credentials, came_back=True, **options):
    return continue_after_password_change(
        find_by_sid(credentials.session.pk).session, NOBODY, came_back=came_back, **options
    )


# What it is


def test_the_old_one_ends_as_superseded_and_names_its_successor(old, ada):
    new = step_up(old, actor=Actor(ada), now=LATER)
    before = row(old)
    assert (before.end_reason, before.ended_at, before.ended_by) == ("superseded", LATER, ada)
    assert before.successor == new.session.pk
    event = SessionEvent.objects.get(session=before, kind="ended")
    assert (event.outcome, event.at, event.actor) == ("superseded", LATER, ada)


def test_it_keeps_device_name_and_choices_and_begins_a_new_life(old):
    DeviceSession.objects.update(device_name="Renamed since")
    new = row(step_up(old, actor=ADA, now=LATER))
    assert (new.device_id, new.device_name, new.device_type) == ("phone-1", "Renamed since", "ios")
    assert (new.user_id, new.subject, new.persistent) == (old.session.user_id, old.session.subject, False)
    assert (new.generation, new.created_at, new.last_seen_at) == (1, LATER, LATER)
    assert new.expires_at == LATER + conf.SESSION_LIFETIME
    assert new.idle_expires_at == LATER + conf.idle_period
    assert bytes(new.salt) != bytes(old.session.salt)
    assert (new.ended_at, new.successor, new.adopted_from) == (None, None, None)


def test_the_proof_is_added_and_its_time_is_now(old):
    new = step_up(old, "otp", now=LATER)
    assert (new.session.amr, new.session.auth_time) == (["pwd", "otp", "mfa"], LATER)
    assert (new.claims.amr, new.claims.auth_time) == (("pwd", "otp", "mfa"), int(LATER.timestamp()))
    event = SessionEvent.objects.get(session=new.session.pk)
    assert (event.kind, event.note, event.at) == ("reauthenticated", "otp mfa", LATER)


@pytest.mark.parametrize("hours", [-100, 1, 100])
def test_the_time_of_a_proof_is_never_in_the_future_nor_before_the_last_one(old, hours):
    new = step_up(old, now=LATER, auth_time=START + timedelta(hours=hours))
    assert new.session.auth_time == min(max(START, START + timedelta(hours=hours)), LATER)


def test_what_has_changed_since_it_was_read_is_taken_over(old):
    DeviceSession.objects.update(amr=["pwd", "otp", "mfa"], confirmed_generation=1)
    new = row(step_up(old, "pwd", came_back=False, now=LATER))
    assert (new.amr, new.confirmed_generation) == (["pwd", "otp", "mfa"], 1)


@pytest.mark.parametrize("confirmed", [0, 1, 7])
@pytest.mark.parametrize("came_back", [True, False])
@pytest.mark.parametrize("by", [step_up, change_password])
def test_it_is_unconfirmed_only_where_the_old_one_was(live, by, came_back, confirmed):
    DeviceSession.objects.update(generation=7, confirmed_generation=confirmed)
    new = by(live, came_back=came_back) if by is step_up else _changed(live, came_back)
    assert row(new).confirmed_generation == int(came_back or confirmed > 0)


def _changed(credentials, came_back):
    end_session(credentials.session, "password_changed")
    return continued(credentials, came_back)


@committing
def test_no_copy_of_the_old_tokens_is_good_any_more_and_the_new_ones_are(live):
    new = step_up(live)
    for presented in (lambda: recognize(live.access_token), lambda: refresh_session(live.refresh_token)):
        with pytest.raises(SessionEnded) as error:
            presented()
        assert (error.value.reason, error.value.sid) == ("superseded", live.session.pk)
    assert recognize(new.access_token) == new.session
    assert refresh_session(new.refresh_token).session == new.session


def test_no_limit_is_asked_and_no_other_session_ends(live, ada, settings):
    other = open_session(ada, device=Device(id="phone-2"))
    settings.AUTHX_SESSION_LIMITS = [{"types": ["other"], "limit": 1, "when_full": "refuse"}]
    new = step_up(live)
    changed = change_password(new)
    assert set(DeviceSession.objects.live()) == {other.session, changed.session}


@committing
def test_it_is_no_login_and_no_new_device(live):
    heard = []
    receivers = {
        getattr(signals, f"device_session_{name}"): lambda name=name, **told: heard.append((name, told))
        for name in ("opened", "continued", "ended")
    }
    for signal, receive in receivers.items():
        signal.connect(receive, weak=False)
    try:
        new = step_up(live)
        changed = change_password(new)
    finally:
        for signal, receive in receivers.items():
            signal.disconnect(receive)
    assert [name for name, _told in heard] == ["ended", "continued", "ended", "continued"]
    assert [(told["session"], told["before"]) for name, told in heard if name == "continued"] == [
        (new.session, live.session),
        (changed.session, new.session),
    ]


def test_all_of_it_or_nothing(live, settings):
    settings.AUTHX_CLAIMS = f"{__name__}.no_claims"
    with pytest.raises(ZeroDivisionError):
        step_up(live)
    assert DeviceSession.objects.get().ended_at is None
    assert SessionEvent.objects.get().kind == "opened"


def no_claims(session):
    raise ZeroDivisionError


@committing
def test_it_outlives_the_key_under_which_the_old_one_was_opened(live, settings):
    """The old key is dropped once the sessions of its time have been idle too long; this one has not."""
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-secret" * 4, [settings.SECRET_KEY]
    new = step_up(live)
    settings.SECRET_KEY_FALLBACKS = []
    assert recognize(new.access_token) == new.session
    assert refresh_session(new.refresh_token).session == new.session


@committing
def test_another_password_is_not_taken_for_the_one_it_was_opened_with(live, settings, django_user_model):
    """A bulk update between the look at the user and the proof."""
    django_user_model.objects.update(password="!")
    new = step_up(live)
    with pytest.raises(SessionEnded, match="password_changed"):
        recognize(new.access_token)


@committing
def test_a_hasher_upgrade_at_the_proof_ends_nobody(live, ada, password, settings, api):
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-secret" * 4, [settings.SECRET_KEY]
    headers = {"Authorization": f"Bearer {open_session(ada).access_token}"}
    answer = api.post("/api/auth/reauthenticate/", {"password": password}, headers=headers).json()
    ada.refresh_from_db()
    assert ada.password.startswith("pbkdf2_sha256$")
    settings.SECRET_KEY_FALLBACKS = []
    assert str(recognize(answer["access_token"]).pk) == answer["session_id"]


# What can no longer be continued


@pytest.mark.parametrize("reason", ["kicked", "idle", "password_changed"])
def test_what_has_ended_meanwhile_stays_ended(live, reason):
    end_session(DeviceSession(pk=live.session.pk), reason)
    with pytest.raises(SessionEnded) as error:
        step_up(live)
    assert (error.value.reason, error.value.sid) == (reason, live.session.pk)
    assert DeviceSession.objects.count() == 1


def test_what_has_expired_is_not_revived(old):
    with pytest.raises(SessionEnded, match="idle"):
        step_up(old, now=START + conf.IDLE_LIFETIME + conf.ACCESS_TOKEN_LIFETIME)


def test_what_a_mark_has_ended_stays_ended(live):
    end_everyone("kicked")
    with pytest.raises(SessionEnded, match="kicked"):
        step_up(live)


def test_a_mark_hits_the_successor_too(live):
    new = step_up(live)
    end_everyone("kicked")
    assert row(new).end_reason == "kicked"


# Twice


def test_a_second_proof_within_the_grace_is_answered_with_the_session_of_the_first(live):
    first, second = step_up(live), step_up(live)
    assert second.session == first.session
    assert DeviceSession.objects.live().get() == first.session
    assert recognize(second.access_token) == first.session


def test_a_second_proof_of_another_kind_is_added(live):
    step_up(live, "pwd")
    second = step_up(live, "otp")
    assert second.session.amr == ["pwd", "otp", "mfa"]
    assert DeviceSession.objects.live().get() == second.session


def test_after_the_grace_the_old_one_is_over(live):
    step_up(live)
    DeviceSession.objects.filter(pk=live.session.pk).update(
        ended_at=row(live).ended_at - conf.REFRESH_GRACE - timedelta(seconds=1)
    )
    with pytest.raises(SessionEnded, match="superseded"):
        step_up(live)


def test_nor_is_there_an_answer_where_the_successor_has_ended(live):
    end_session(step_up(live).session, "kicked")
    with pytest.raises(SessionEnded, match="superseded"):
        step_up(live)


# Whoever names the old one


def test_the_live_one_ends_after_any_number_of_steps_and_password_changes(live):
    line = [live, step_up(live)]
    for by in (step_up, change_password, change_password, step_up):
        line.append(by(line[-1]))
    assert end_session(row(line[0]), "kicked")
    assert [row(each).end_reason for each in line] == [
        *("superseded", "superseded", "password_changed", "password_changed", "superseded", "kicked"),
    ]
    event = SessionEvent.objects.filter(kind="ended").latest("pk")
    assert (event.session_id, event.outcome) == (line[-1].session.pk, "kicked")
    assert not end_session(row(line[0]), "kicked"), "it is counted once"


@pytest.mark.parametrize("reason", ["idle", "expired", "reused", "password_changed"])
def test_a_verdict_on_the_old_one_says_nothing_about_the_new_one(live, reason):
    new = step_up(live)
    assert not end_session(live.session, reason)
    assert row(new).ended_at is None


def test_a_queryset_ends_what_is_live_in_it(live, ada):
    new = step_up(live)
    assert end_sessions(DeviceSession.objects.filter(pk=live.session.pk), "kicked") == 0
    assert end_sessions(DeviceSession.objects.filter(user=ada), "kicked") == 1
    assert row(new).end_reason == "kicked"


def test_what_the_old_id_stands_for_is_found(live, ada, bob):
    new = step_up(step_up(live))
    assert find_live_session(ada, live.session.pk) == new.session
    assert find_live_session(bob, live.session.pk) is None
    assert find_live_session(ada, uuid4()) is None
    assert new.session.pk in continuing([live.session.pk])
    assert live_or_continued(DeviceSession.objects.filter(pk=live.session.pk)).get() == new.session
    assert set(other_sessions(ada, live.session.pk).live()) == {new.session}, "two steps on"


def test_a_login_over_an_ended_session_leaves_what_continues_it(live, bob):
    """Whoever still holds the old cookies holds nothing: they must not end anything either."""
    new = step_up(live)
    open_session(bob, overwrites=row(live))
    assert row(new).ended_at is None


def test_who_is_named_between_a_password_change_and_its_answer_is_not_continued(live):
    end_session(live.session, "password_changed")
    assert not end_session(live.session, "kicked")
    assert continued(live) is None
    assert not end_session(live.session, "kicked")
    assert not DeviceSession.objects.live().exists()


def test_a_password_change_is_continued_once(live):
    end_session(live.session, "password_changed")
    assert continued(live) is not None
    assert continued(live) is None
    assert DeviceSession.objects.live().count() == 1


def test_a_password_change_keeps_what_was_proved_and_when(old):
    end_session(old.session, "password_changed", now=LATER)
    new = row(continued(old, now=LATER))
    assert (new.amr, new.auth_time, new.created_at) == (["pwd"], START, LATER)
    assert (new.device_id, new.device_name, new.persistent) == ("phone-1", "Ada's phone", False)
    assert row(old).end_reason == "password_changed"


# At once


@committing
@pytest.mark.parametrize("times", range(10))
def test_of_many_step_ups_at_once_one_opens_a_session_and_all_are_answered_with_it(live, times):
    results = race(*[lambda: step_up(live).session.pk] * 4)
    assert len(set(results)) == 1, results
    assert DeviceSession.objects.live().get().pk == results[0]
    assert SessionEvent.objects.filter(kind="ended").count() == 1


@committing
@pytest.mark.parametrize("by", ["key", "queryset"])
@pytest.mark.parametrize("times", range(10))
def test_a_kick_beside_a_step_up_leaves_nobody_in(live, by, times):
    this = DeviceSession.objects.filter(pk=live.session.pk)
    kick = {"key": lambda: end_session(live.session, "kicked"), "queryset": lambda: kick_those_read(this)}[by]
    stepped, kicked = race(lambda: step_up(live), kick)
    assert not DeviceSession.objects.live().exists(), (stepped, kicked)
    assert kicked == 1
    assert SessionEvent.objects.filter(kind="ended", outcome="kicked").count() == 1


def kick_those_read(queryset):
    """As ``end_sessions`` does with rows that it read before the step-up."""
    return end_all(list(queryset.values_list("pk", flat=True)), Ending(EndReason.KICKED, database_now()))


@committing
@pytest.mark.databases("postgresql", "mariadb")
@pytest.mark.parametrize("first", ["kick", "step-up"])
def test_whoever_comes_second_waits_and_both_orders_end_both(live, first):
    written, go_on = Event(), Event()

    def holding(act):
        def run():
            with transaction.atomic():
                result = act()
                written.set()
                assert go_on.wait(timeout=20)
            return result

        return run

    def after(act):
        def run():
            assert written.wait(timeout=20)
            go_on_soon.start()
            return act()

        return run

    go_on_soon = Timer(0.2, go_on.set)  # by then the second one waits for the row
    kick, prove = lambda: end_session(live.session, "kicked"), lambda: step_up(live)
    if first == "kick":
        kicked, stepped = race(holding(kick), after(prove))
        assert isinstance(stepped, SessionEnded)
        assert stepped.reason == "kicked"
    else:
        stepped, kicked = race(holding(prove), after(kick))
        assert row(stepped).end_reason == "kicked"
    assert kicked is True
    assert not DeviceSession.objects.live().exists()
