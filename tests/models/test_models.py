"""authx.models: states and questions."""

import re
import time
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import IntegrityError, models, transaction
from django.utils.translation import override

from authx.core.rotation import RotationState
from authx.models import DeviceSession, EndReason, SessionEvent, uuid7
from authx.sessions import Device, end_session, open_session, refresh_session

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
IDLE = timedelta(days=7, minutes=15)  # AUTHX_IDLE_LIFETIME, and the life of an access token
ABSOLUTE = timedelta(days=30)
#: What its refresh tokens have been through.
LIFE = {
    "generation": 2,
    "confirmed_generation": 1,
    "rotated_at": START + timedelta(minutes=1),
    "idle_expires_at": START + timedelta(minutes=1) + IDLE,
    "strike_generation": 1,
    "strike_at": START,
    "late_streak": 3,
    "late_at": START,
    "spent_branch": 2**48 - 1,
    "twin_generation": 1,
    "twin_streak": 1,
}
CONTRACT_REASONS = {
    "logout",
    "ended_by_user",
    "kicked",
    "replaced",
    "superseded",
    "reused",
    "idle",
    "expired",
    "password_changed",
    "credentials_changed",
    "user_disabled",
    "user_deleted",
}


@pytest.fixture
def session(ada):
    return open_session(ada, now=START).session


# Ids


def test_an_id_is_a_version_7_uuid_of_its_millisecond():
    before, made, after = time.time_ns() // 10**6, uuid7(), time.time_ns() // 10**6
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert before <= made.int >> 80 <= after


def test_ids_made_one_after_the_other_stay_together_and_are_never_the_same():
    made = [uuid7() for _ in range(2000)]
    assert len(set(made)) == 2000
    assert sorted(one.int >> 80 for one in made) == [one.int >> 80 for one in made]


def test_an_id_cannot_be_guessed_from_the_one_before():
    random_bits = {one.int & (1 << 62) - 1 for one in (uuid7() for _ in range(100))}
    assert len(random_bits) == 100
    varying = 0
    for bits in random_bits:
        varying |= bits ^ min(random_bits)
    assert varying.bit_count() == 62


# Live or not


def test_a_session_is_live_until_the_first_of_its_limits_and_its_end(ada, session):
    expired = open_session(ada, now=START).session
    DeviceSession.objects.filter(pk=expired.pk).update(idle_expires_at=START + ABSOLUTE)
    ended = open_session(ada, now=START).session
    end_session(ended, "kicked", now=START)
    live = DeviceSession.objects.live
    assert set(live(START)) == {session, expired}
    assert set(live(START + IDLE - TICK)) == {session, expired}
    assert set(live(START + IDLE)) == {expired}
    assert set(live(START + ABSOLUTE - TICK)) == {expired}
    assert set(live(START + ABSOLUTE)) == set()


def test_without_a_clock_live_is_now(ada, session):
    DeviceSession.objects.update(idle_expires_at=START, expires_at=START)
    now = open_session(ada).session
    assert list(DeviceSession.objects.live()) == [now]
    assert list(ada.device_sessions.live()) == [now]


def test_a_session_says_why_it_is_over(session):
    assert session.ended_reason(START + IDLE - TICK) is None
    assert session.ended_reason(START + IDLE) == "idle"
    session.idle_expires_at = START + ABSOLUTE
    assert session.ended_reason(START + ABSOLUTE) == "expired"
    session.ended_at, session.end_reason = START, "kicked"
    assert session.ended_reason(START) == "kicked"
    assert session.ended_reason(START + ABSOLUTE) == "kicked"


def test_a_session_that_lives_now_is_not_over(ada):
    assert open_session(ada).session.ended_reason() is None


# The snapshot for judge()


def test_the_snapshot_holds_what_the_row_holds(session):
    lead_a_life(session)
    row = DeviceSession.objects.get(pk=session.pk)
    assert row.rotation_state() == RotationState(**LIFE, expires_at=START + ABSOLUTE, end_reason=None)


def lead_a_life(session):
    DeviceSession.objects.filter(pk=session.pk).update(**LIFE)


def test_the_snapshot_of_an_ended_session_says_why(session):
    end_session(session, "kicked", now=START)
    assert DeviceSession.objects.get().rotation_state().end_reason == "kicked"


# What is kept


def test_a_session_is_called_by_its_name_or_by_what_it_seems_to_be(ada):
    named = open_session(ada, device=Device(name="Ada's phone"), now=START).session
    assert str(named) == "Ada's phone"
    assert str(open_session(ada, now=START).session) == "Unknown device"


def test_a_deleted_users_rows_stay_with_the_subject_they_had(ada, session):
    subject = str(ada.pk)
    ada.delete()
    row = DeviceSession.objects.get(pk=session.pk)
    assert (row.user, row.subject) == (None, subject)


def test_what_refers_to_a_user_never_deletes_with_it():
    for model in (DeviceSession, SessionEvent):
        for field in model._meta.fields:
            if field.is_relation and field.related_model is not DeviceSession:
                assert field.deconstruct()[-1]["on_delete"] is models.SET_NULL, field


def test_a_django_session_is_adopted_by_one_row_alone(ada, session):
    other = open_session(ada, now=START).session
    DeviceSession.objects.filter(pk=session.pk).update(adopted_from="a" * 64)
    with pytest.raises(IntegrityError), transaction.atomic():
        DeviceSession.objects.filter(pk=other.pk).update(adopted_from="a" * 64)


def test_generations_may_grow_as_far_as_the_token_can_say(session):
    DeviceSession.objects.update(generation=2**32 - 1, confirmed_generation=2**32 - 2)
    assert DeviceSession.objects.get().generation == 2**32 - 1


def test_times_are_kept_to_the_microsecond(ada):
    at = START + 123_457 * TICK
    session = open_session(ada, now=at).session
    assert DeviceSession.objects.get(pk=session.pk).rotated_at == at


def test_any_text_is_kept_as_it_is(ada):
    name = "Ada's 電話 📱 ñ"
    session = open_session(ada, device=Device(name=name, id=name), now=START).session
    row = DeviceSession.objects.get(pk=session.pk)
    assert (row.device_name, row.device_id) == (name, name)


# The contract


def test_the_reasons_are_those_of_the_contract_each_with_a_sentence():
    assert set(EndReason.values) == CONTRACT_REASONS
    for reason in EndReason:
        assert re.fullmatch(r"[A-Z].+\.", str(reason.label)), reason
        assert len(reason.value) <= DeviceSession._meta.get_field("end_reason").max_length


def test_every_kind_and_outcome_of_an_event_fits_its_column():
    limit = SessionEvent._meta.get_field("kind").max_length
    assert all(len(kind) <= limit for kind in SessionEvent.Kind.values)
    assert SessionEvent._meta.get_field("outcome").max_length >= 32


def test_kicking_out_is_a_permission_of_its_own_and_everywhere_another(db):
    codenames = Permission.objects.filter(content_type__app_label="authx").values_list("codename", flat=True)
    assert {"kick_devicesession", "kick_everywhere_devicesession"} <= set(codenames)


def test_models_and_migrations_say_the_same(db):
    printed = StringIO()
    call_command("makemigrations", "authx", check=True, dry_run=True, stdout=printed)
    assert "No changes detected" in printed.getvalue()


def test_no_database_is_warned_of(db):
    """As ``migrate`` asks, of the database that it migrates."""
    models_of = [getattr(message.obj, "model", message.obj) for message in run_checks(databases=["default"])]
    assert [model for model in models_of if model in apps.get_app_config("authx").get_models()] == []


def test_newest_sessions_come_first_and_oldest_events(ada, session):
    newer = open_session(ada, now=START + TICK).session
    assert list(DeviceSession.objects.all()) == [newer, session]
    assert [event.session_id for event in SessionEvent.objects.all()] == [session.pk, newer.pk]


def test_an_event_is_called_what_happened():
    assert str(SessionEvent(kind="ended", outcome="kicked")) == "Ended kicked"
    assert str(SessionEvent(kind="renamed")) == "Renamed"


def test_every_model_of_ours_has_a_name_a_person_can_read():
    with override("en"):
        for model in apps.get_app_config("authx").get_models():
            assert str(model._meta.verbose_name).islower()


def test_refreshing_leaves_the_row_where_it_is(ada):
    opened = open_session(ada, now=START)
    refresh_session(opened.refresh_token, now=START + timedelta(minutes=1))
    assert DeviceSession.objects.get().pk == opened.session.pk
