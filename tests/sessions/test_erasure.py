"""authx.sessions.erasure: what is personal goes, on demand and with the user; what happened stays."""

from datetime import UTC, datetime, timedelta

import pytest
from django.apps import apps
from django.contrib.admin import ModelAdmin, site
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import authenticate, get_user_model
from django.db import connection, router, transaction
from django.db.models.signals import pre_delete
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from authx.conf import conf
from authx.core.actor import Actor
from authx.errors import RefreshError
from authx.http.actor import actor_of
from authx.models import DeviceSession, NotBeforeMark, RevocationLogEntry, SessionEvent
from authx.sessions import (
    Device,
    end_session,
    end_user_sessions,
    erasure,
    forget,
    open_session,
    recognize,
    refresh_session,
)
from authx.sessions.audit import event
from authx.sessions.erasure import Erased, forget_gone
from authx.sessions.not_before import prune_marks
from authx.sessions.people import Person
from authx.sessions.queries import rename_session
from authx.sessions.user_changes import end_before_delete
from authx.store import database
from tests.racing import race
from tests.rows import row

FOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
PHONE = "TheirOwnApp/4.2 (iPhone; iOS 18)"

#: Of every column, whether it is erased. A new one is decided here first, and in docs/personal-data.md.
ERASED = {
    DeviceSession: {"device_id", "device_name", "device_label", "user_agent", "ip", "country"},
    SessionEvent: {"actor_label", "ip", "user_agent", "other_ip", "other_user_agent", "note"},
    NotBeforeMark: {"note"},
    RevocationLogEntry: set(),
}
KEPT = {
    DeviceSession: {
        "id",
        "user",
        "subject",
        "device_type",
        "amr",
        "backend",
        "auth_time",
        "persistent",
        "is_unconfirmed",
        "created_at",
        "last_seen_at",
        "generation",
        "confirmed_generation",
        "rotated_at",
        "strike_generation",
        "strike_at",
        "late_streak",
        "late_at",
        "alarm_at",
        "spent_branch",
        "twin_generation",
        "twin_streak",
        "salt",
        "fingerprint",
        "adopted_from",
        "django_session",
        "login_key",
        "not_before_number",
        "idle_expires_at",
        "expires_at",
        "ended_at",
        "end_reason",
        "replaced_by",
        "answers_lost",
        "ended_by",
        "successor",
        "client_id",
        "scope",
        "audience",
    },
    SessionEvent: {"client_id", "id", "session", "subject", "kind", "outcome", "at", "actor"},
    NotBeforeMark: {"number", "subject", "reason", "at", "by"},
    RevocationLogEntry: {"id", "subject_key", "value", "at"},
}


NAME = get_user_model().USERNAME_FIELD


def came_from(ip, user_agent=FOX):
    return RequestFactory().get("/", REMOTE_ADDR=ip, headers={"user-agent": user_agent})


@pytest.fixture
def life(ada, admin):
    """All that leaves something personal behind: devices, names, addresses, and what staff note."""
    phone = open_session(
        ada, came_from("2001:db8::7", PHONE), Device(id="ada-phone", name="Ada's phone", type="ios")
    )
    laptop = open_session(ada, came_from("203.0.113.7"), Device(id="ada-laptop", name="Ada's laptop"))
    rename_session(laptop.session, "Lovelace's", actor_of(came_from("203.0.113.8"), ada))
    DeviceSession.objects.update(country="GB")
    end_session(
        phone.session, "kicked", by=admin, request=came_from("192.0.2.1", "Staff/1"), note="ada's phone lost"
    )
    authenticate(came_from("203.0.113.9"), username=ada.get_username(), password="wrong")
    return phone, laptop


PERSONAL = ["phone lost", "phone", "laptop", "Lovelace", "2001:db8", "203.0.113", "Firefox", "TheirOwnApp"]


def rows(*models):
    """Every column of every row, as text."""
    return [
        f"{model.__name__}.{field.name}={value}"
        for model in models or (DeviceSession, SessionEvent, NotBeforeMark, RevocationLogEntry, LogEntry)
        for one in model._base_manager.order_by("pk")
        for field in model._meta.fields
        if field.name not in {"salt", "fingerprint"} and (value := field.value_from_object(one)) is not None
    ]


def found(*words):
    return {row for row in rows() for word in words if word in row.partition("=")[2]}


def events_of(credentials):
    return SessionEvent.objects.filter(session=credentials.session.pk)


def test_every_column_is_either_erased_or_kept():
    for model, erased in ERASED.items():
        assert {field.name for field in model._meta.fields} == erased | KEPT[model], model
    undecided = set(apps.get_app_config("authx").get_models()) - set(ERASED)
    about_nobody = {"ServiceClient", "SigningKey", "UsedTicket", "AuthorizationCode", "Consent", "HourTotals"}
    about_nobody.add("SentNotice")  # deleted with what they were told of: see tests/notices
    assert {model.__name__ for model in undecided} == about_nobody
    assert ERASED[DeviceSession] == set(erasure.SESSION_COLUMNS | erasure.DEVICE_ID)


# On demand


def test_nothing_personal_is_left_but_for_the_id_of_a_device_that_is_signed_in(ada, life):
    assert len(found(*PERSONAL)) > 12
    forget(ada)
    assert found(*PERSONAL) == {"DeviceSession.device_id=ada-laptop"}
    assert not [line for line in rows(SessionEvent) if line.endswith(f"={ada.get_username()}")]
    phone, laptop = life
    columns = ("device_name", "device_label", "user_agent", "ip", "country")
    told = set(DeviceSession.objects.values_list(*columns))
    assert told == {("", "Unknown device", "", None, "")}
    assert (row(phone).device_id, row(laptop).device_id) == ("", "ada-laptop")


def test_what_happened_when_and_to_whom_stays(ada, life):
    def kept():
        columns = sorted(KEPT[SessionEvent])
        sessions = sorted(KEPT[DeviceSession])
        return list(SessionEvent.objects.values_list(*columns)), [
            tuple(bytes(value) if isinstance(value, memoryview) else value for value in one)
            for one in DeviceSession.objects.order_by("pk").values_list(*sessions)
        ]

    before = kept()
    forget(ada)
    assert kept() == before


def test_who_kicked_her_stays_and_from_where_goes(ada, admin, life):
    phone, _laptop = life
    forget(ada)
    kicked = events_of(phone).get(kind="ended")
    assert (kicked.actor, kicked.actor_label) == (admin, admin.get_username())
    assert (kicked.ip, kicked.user_agent, kicked.note) == (None, "", "")


def test_it_says_how_many_rows_lost_something_and_the_second_time_none(ada, life):
    assert forget(ada) == Erased(sessions=2, events=5)
    before = rows()
    assert forget(ada) == Erased()
    assert rows() == before


def test_a_dry_run_says_the_same_and_changes_nothing(ada, life, bob):
    end_session(open_session(bob).session, "kicked", by=ada, note="they asked")
    before = rows()
    counted = forget(ada, dry_run=True)
    assert rows() == before
    assert forget(ada) == counted == Erased(sessions=2, events=6)


def test_nobody_else_loses_anything(ada, admin, life, bob):
    open_session(bob, came_from("198.51.100.1"), Device(id="bob-phone", name="Bob's phone"))
    theirs = open_session(admin, came_from("198.51.100.2"), Device(id="admin-desk", name="A desk"))
    end_session(theirs.session, "logout", by=admin, request=came_from("198.51.100.2"), note="going home")
    words = ["198.51.100", "bob-phone", "Bob's", "admin-desk", "A desk", "going home"]
    before = found(*words)
    forget(ada)
    assert found(*words) == before
    forget(bob)
    assert found("Bob's", "198.51.100.1") == set()
    assert found("going home")


def test_the_name_of_staff_goes_from_what_they_did_to_others(ada, admin, life):
    phone, _laptop = life
    assert forget(admin) == Erased(events=1)
    kicked = events_of(phone).get(kind="ended")
    assert (kicked.actor, kicked.actor_label, kicked.ip, kicked.user_agent) == (admin, "", None, "")
    assert kicked.note == "ada's phone lost"  # it is about her
    assert row(phone).device_name == "Ada's phone"
    assert row(phone).ended_by == admin


def test_what_staff_did_to_themselves_is_counted_once(admin):
    for _ in range(3):
        opened = open_session(admin, came_from("192.0.2.1"))
        end_session(opened.session, "kicked", by=admin, request=came_from("192.0.2.1"), note="mine")
    assert forget(admin, dry_run=True) == forget(admin) == Erased(sessions=3, events=6)


def test_the_notes_of_marks_go_and_those_on_everybody_stay(ada, admin):
    end_user_sessions(ada, "kicked", admin, note="ada was rude")
    erasure_of_others = end_user_sessions(admin, "kicked", note="admin too")
    assert erasure_of_others == 0
    assert forget(ada) == Erased(marks=1)
    notes = list(NotBeforeMark.objects.exclude(number=0).order_by("number").values_list("note", flat=True))
    assert notes == ["", "admin too"]


def test_the_last_mark_does_not_keep_its_note_for_ever(ada):
    end_user_sessions(ada, "kicked", note="ada was rude")
    assert prune_marks() == 0
    assert found("rude")
    assert prune_marks(now=timezone.now() + timedelta(days=2)) == 0
    assert NotBeforeMark.objects.exclude(number=0).count() == 1
    assert found("rude") == set()


def test_the_admins_own_log_forgets_too(ada, admin, life, bob):
    phone, laptop = life
    other = open_session(bob, device=Device(name="Bob's phone"))
    rows_of = [phone.session, laptop.session, other.session]
    LogEntry.objects.log_actions(str(admin.pk), rows_of, CHANGE, "Kicked out. a phone lost")
    assert forget(ada).log_entries == 2
    told = dict(LogEntry.objects.values_list("object_id", "object_repr"))
    assert told == {
        str(phone.session.pk): "Unknown device",
        str(laptop.session.pk): "Unknown device",
        str(other.session.pk): "Bob's phone",
    }
    assert LogEntry.objects.exclude(change_message="").get().object_id == str(other.session.pk)
    assert LogEntry.objects.filter(user=admin, action_flag=CHANGE).count() == 3


@pytest.mark.parametrize("who", [None, "", get_user_model()(pk=None), object(), "nul\0"])
def test_nobody_is_not_forgotten(db, who):
    with pytest.raises(ValueError, match="nobody"):
        forget(who)


# Whoever goes on


def test_a_live_session_goes_on_and_its_device_is_known_again(ada, life):
    _phone, laptop = life
    forget(ada)
    assert recognize(laptop.access_token).pk == laptop.session.pk
    later = timezone.now() + timedelta(minutes=1)
    again = refresh_session(laptop.refresh_token, came_from("203.0.113.9"), now=later)
    assert (again.session.pk, again.claims.did) == (laptop.session.pk, "ada-laptop")
    assert not SessionEvent.objects.filter(kind="flagged").exists()
    replacing = open_session(ada, device=Device(id="ada-laptop"), now=later)
    assert row(laptop).end_reason == "replaced"
    assert row(replacing).ended_at is None


@pytest.mark.parametrize("alarm", ["split_context", "new_country"])
def test_no_alarm_is_raised_because_something_was_forgotten(ada, settings, alarm):
    settings.AUTHX_ALARMS = {alarm: "end"}
    settings.AUTHX_COUNTRY = f"{__name__}.france"
    opened = open_session(ada, came_from("203.0.113.7"))
    forget(ada)
    later = timezone.now() + timedelta(minutes=1)
    assert refresh_session(opened.refresh_token, came_from("203.0.113.9", PHONE), now=later)


def france(ip):
    return "FR"


def test_a_browser_stays_signed_in(ada, password, transactional_db):
    browser = Client(REMOTE_ADDR="203.0.113.7", headers={"user-agent": FOX})
    browser.post("/account/login/", {"username": ada.get_username(), "password": password}, secure=True)
    forget(ada)
    page = browser.get("/account/devices/", secure=True)
    assert page.status_code == 200
    assert "Unknown device" in page.content.decode()


def test_what_is_done_afterwards_is_recorded_as_before(ada, life):
    _phone, laptop = life
    forget(ada)
    rename_session(laptop.session, "New", actor_of(came_from("203.0.113.8"), ada))
    last = events_of(laptop).last()
    assert (last.actor_label, last.ip, last.note) == (ada.get_username(), "203.0.113.8", "New")


@pytest.mark.parametrize("column", ["idle_expires_at", "expires_at"])
def test_a_session_that_has_expired_unnoticed_is_not_live(ada, column):
    opened = open_session(ada, device=Device(id="ada-phone"))
    DeviceSession.objects.update(**{column: datetime(2026, 1, 1, tzinfo=UTC)})
    forget(ada)
    assert (row(opened).device_id, row(opened).ended_at) == ("", None)


def test_nor_is_one_that_a_mark_has_ended(ada):
    opened = open_session(ada, device=Device(id="ada-phone"))
    NotBeforeMark.objects.create(number=1, subject=str(ada.pk), reason="kicked", at=timezone.now())
    forget(ada)
    assert (row(opened).device_id, row(opened).ended_at) == ("", None)


# With the user

WAYS = {
    "the user": lambda user: user.delete(),
    "a queryset": lambda user: get_user_model()._default_manager.filter(pk=user.pk).delete(),
    "all users": lambda user: get_user_model()._default_manager.all().delete(),
    "the admin": lambda user: delete_in_admin(user),
}


def delete_in_admin(user):
    """As its action "Delete selected users" does."""
    desk = ModelAdmin(get_user_model(), site)
    desk.delete_queryset(None, get_user_model()._default_manager.filter(pk=user.pk))


@pytest.mark.parametrize("way", WAYS)
def test_a_user_who_is_deleted_is_forgotten(ada, life, way):
    subject, name = str(ada.pk), ada.get_username()
    LogEntry.objects.log_actions(str(ada.pk), [life[0].session], CHANGE, "Kicked out. phone lost")
    WAYS[way](ada)
    assert found(*PERSONAL) == set()
    assert [line for line in rows(SessionEvent) if line.endswith(f"={name}")] == []
    for credentials in life:
        assert (row(credentials).user, row(credentials).subject) == (None, subject)
    kinds = list(SessionEvent.objects.filter(session=life[1].session.pk).values_list("kind", flat=True))
    assert kinds == ["opened", "renamed", "ended"]


def test_what_they_did_to_others_forgets_them_too(ada, admin, life):
    phone, _laptop = life
    name = admin.get_username()
    admin.delete()
    assert [line for line in rows() if line.endswith(f"={name}")] == []
    assert found("192.0.2.1", "Staff/1") == set()
    kicked = events_of(phone).get(kind="ended")
    assert (kicked.outcome, kicked.note, kicked.actor) == ("kicked", "ada's phone lost", None)


@pytest.mark.django_db(transaction=True)
def test_a_deletion_that_is_undone_has_erased_nothing(ada, life):
    before = rows()
    with transaction.atomic():
        get_user_model()._default_manager.get(pk=ada.pk).delete()
        assert found(*PERSONAL) == set()
        transaction.set_rollback(True)
    assert rows() == before
    assert recognize(life[1].access_token)


@pytest.mark.django_db(transaction=True)
def test_a_deletion_that_another_app_refuses_has_erased_nothing(ada, life):
    def refuse(**kwargs):
        raise PermissionError("not this one")

    before = rows()
    pre_delete.connect(refuse, get_user_model())
    try:
        with pytest.raises(PermissionError):
            ada.delete()
    finally:
        pre_delete.disconnect(refuse, get_user_model())
    assert rows() == before


def test_another_database_s_users_are_not_ours(ada, life):
    before = rows(SessionEvent)
    pre_delete.send(get_user_model(), instance=ada, using="elsewhere", origin=ada)
    assert set(before) <= set(rows(SessionEvent))


def test_a_child_that_leaves_its_user_behind_does_not_take_what_is_theirs(ada, life):
    """``delete(keep_parents=True)`` tells of the child alone; any other deletion tells of both."""
    before = {line for line in rows(SessionEvent) if "kind" not in line}
    end_before_delete(LogEntry, instance=ada, using=router.db_for_write(DeviceSession))
    assert before <= set(rows(SessionEvent))
    end_before_delete(Somebody, instance=ada, using=router.db_for_write(DeviceSession))
    assert found(*PERSONAL) == set()


class Somebody(get_user_model()):
    """The site's own view of its users."""

    class Meta:
        proxy = True
        app_label = "tests_of_erasure"


def test_a_user_s_device_that_comes_back_is_refused_and_leaves_no_trace_of_where_it_was(ada, life):
    _phone, laptop = life
    ada.delete()
    for _ in range(2):
        with pytest.raises(RefreshError):
            refresh_session(laptop.refresh_token, came_from("203.0.113.9"))
    assert events_of(laptop).filter(kind="refused").count() == 1
    assert found(*PERSONAL) == set()


def test_nor_does_one_of_a_user_deleted_by_sql(ada, life):
    _phone, laptop = life
    delete_by_sql(ada)
    with pytest.raises(RefreshError):
        refresh_session(laptop.refresh_token, came_from("198.51.100.77"))
    assert row(laptop).end_reason == "user_deleted"
    assert found("198.51.100.77") == set()


@pytest.mark.parametrize("way", ["refresh token", "access token"])
def test_nor_does_one_that_signs_out(ada, life, api, way):
    _phone, laptop = life
    delete_by_sql(ada)
    sent = {"refresh_token": laptop.refresh_token} if way == "refresh token" else {}
    if not sent:
        api.credentials(HTTP_AUTHORIZATION=f"Bearer {laptop.access_token}")
    api.post("/api/auth/logout/", sent, REMOTE_ADDR="198.51.100.77", headers={"user-agent": "Spy/1"})
    assert row(laptop).ended_at is not None
    assert found("198.51.100.77", "Spy/1") == set()


def test_an_event_about_somebody_gone_says_nothing_of_where(ada, admin):
    session = open_session(ada).session
    ada.delete()
    told = event(
        DeviceSession.objects.get(pk=session.pk),
        SessionEvent.Kind.REFUSED,
        at=timezone.now(),
        actor=actor_of(came_from("203.0.113.7")),
    )
    assert (told.ip, told.user_agent, told.actor_label) == (None, "", "")


def test_a_deletion_costs_five_statements_more_however_much_is_kept(ada, admin, make_user):
    for _ in range(20):
        opened = open_session(ada, came_from("203.0.113.7"), Device(name="Ada's"))
        end_session(opened.session, "kicked", by=ada, note="mine")
    with CaptureQueriesContext(connection) as asked:
        erasure.forget_deleted([ada], ada.device_sessions.values_list("pk", "subject", "user"))
    sql = [query["sql"] for query in asked.captured_queries if "django_content_type" not in query["sql"]]
    assert [text.split()[0] for text in sql[1:]] == ["UPDATE"] * 5
    eve = make_user("eve")
    with CaptureQueriesContext(connection) as asked:
        erasure.forget_deleted([eve], [])
    assert [query["sql"].split()[0] for query in asked.captured_queries] == ["UPDATE"] * 3


# Gone without a word


def delete_by_sql(user):
    """As a script of the site's does it: no signal is sent."""
    DeviceSession.objects.filter(user=user).update(user=None)
    DeviceSession.objects.filter(ended_by=user).update(ended_by=None)
    SessionEvent._base_manager.filter(actor=user).update(actor=None)
    users = get_user_model()._base_manager.filter(pk=user.pk)
    LogEntry.objects.filter(user=user).delete()
    assert users._raw_delete(users.db) == 1


def test_a_subject_whose_user_is_gone_is_forgotten_by_name_of_it(ada, life):
    subject = str(ada.pk)
    end_user_sessions(ada, "kicked", note="ada was rude")
    delete_by_sql(ada)
    assert forget(subject) == Erased(sessions=2, events=6, marks=1)
    assert found(*PERSONAL, "rude") == set()
    assert {one.device_id for one in map(row, life)} == {""}
    assert forget(subject) == Erased()


def test_a_subject_whose_user_is_there_is_that_user(ada, life):
    assert forget(str(ada.pk)) == Erased(sessions=2, events=5)
    assert row(life[1]).device_id == "ada-laptop"


def test_of_a_subject_used_twice_only_whoever_is_meant_is_forgotten(ada, life, bob):
    """A key may be given again: by a database restored, or one that counts anew after a restart."""
    DeviceSession.objects.filter(pk=life[0].session.pk).update(user=None)
    forget(ada)
    assert row(life[0]).device_name == "Ada's phone"
    assert row(life[1]).device_name == ""


def test_whoever_was_deleted_by_sql_is_found_and_forgotten(ada, life, bob):
    open_session(bob, device=Device(name="Bob's"))
    delete_by_sql(ada)
    assert list(forget_gone(500, dry_run=True)) == [Erased(sessions=2, events=4), Erased(events=1)]
    assert list(forget_gone(500)) == [Erased(sessions=2, events=4), Erased(events=1)]
    assert list(forget_gone(500)) == []
    assert found(*PERSONAL) == set()
    assert found("Bob's")


def fail(user, request):
    authenticate(request, username=user.get_username(), password="wrong")


def test_whoever_never_had_a_session_is_found_by_what_was_tried_on_their_account(ada, bob):
    for user in (ada, bob):
        fail(user, came_from("203.0.113.9"))
        end_user_sessions(user, "kicked", note=f"{user.pk} was rude")
    delete_by_sql(ada)
    assert list(forget_gone(500)) == [Erased(events=1), Erased(marks=1)]
    assert list(forget_gone(500)) == []
    assert {one.ip for one in SessionEvent.objects.filter(subject=str(ada.pk))} == {None}
    assert {one.ip for one in SessionEvent.objects.filter(subject=str(bob.pk))} == {"203.0.113.9"}
    assert [mark.note for mark in NotBeforeMark.objects.exclude(note="")] == [f"{bob.pk} was rude"]


def test_what_was_tried_on_whoever_has_the_subject_of_somebody_gone_is_theirs(ada, bob, settings):
    settings.AUTHX_SUBJECT_FIELD = NAME
    open_session(ada, came_from("203.0.113.7"))
    name = ada.get_username()
    delete_by_sql(ada)
    type(bob)._base_manager.filter(pk=bob.pk).update(**{NAME: name})
    fail(type(bob)._base_manager.get(pk=bob.pk), came_from("203.0.113.9"))
    assert list(forget_gone(500)) == [Erased(sessions=1, events=1)]
    assert SessionEvent.objects.get(kind="login_failed").ip == "203.0.113.9"


def test_whose_subject_a_database_takes_for_theirs_is_not_found_gone(ada, bob, settings):
    settings.AUTHX_SUBJECT_FIELD = NAME
    users = type(ada)._base_manager
    users.filter(pk=ada.pk).update(**{NAME: "eve@x.example "})
    open_session(users.get(pk=ada.pk), came_from("203.0.113.7"))
    delete_by_sql(users.get(pk=ada.pk))
    users.filter(pk=bob.pk).update(**{NAME: "Ève@x.example"})
    fail(users.get(pk=bob.pk), came_from("203.0.113.9"))
    list(forget_gone(500))
    assert SessionEvent.objects.get(kind="login_failed").ip == "203.0.113.9"


@pytest.mark.parametrize("subject", ["9" * 200, "-" + "9" * 30, "x", " ", "None", "é" * 255, str(2**63)])
def test_whatever_a_subject_was_nobody_has_it_any_more(ada, subject):
    at = timezone.now()
    fields = {"kind": "login_failed", "at": at, "subject": subject, "ip": "203.0.113.9"}
    SessionEvent.objects.create(**fields)
    assert list(forget_gone(500)) == [Erased(events=1)]


# The setting that says what a subject is has been changed


@pytest.mark.parametrize("way", ["forget", "delete"])
@pytest.mark.parametrize("before", [None, NAME])
def test_what_was_tried_under_another_subject_is_forgotten_too(ada, bob, settings, way, before):
    settings.AUTHX_SUBJECT_FIELD = before
    open_session(ada)
    for user in (ada, bob):
        fail(user, came_from("203.0.113.9"))
    end_user_sessions(ada, "kicked", note="ada was rude")
    settings.AUTHX_SUBJECT_FIELD = NAME if before is None else None
    forget(ada) if way == "forget" else ada.delete()
    assert SessionEvent.objects.filter(ip="203.0.113.9").count() == 1
    assert found("rude") == set()


def test_a_former_subject_that_is_another_s_now_is_the_other_s(ada, bob, settings):
    settings.AUTHX_SUBJECT_FIELD = NAME
    type(bob)._base_manager.filter(pk=bob.pk).update(**{NAME: str(ada.pk)})
    fail(type(bob)._base_manager.get(pk=bob.pk), came_from("203.0.113.9"))
    ada.delete()
    assert SessionEvent.objects.get(kind="login_failed").ip == "203.0.113.9"


def test_they_are_found_a_few_at_a_time(ada):
    for _ in range(5):
        open_session(ada, came_from("203.0.113.7"))
    delete_by_sql(ada)
    assert [erased.sessions for erased in forget_gone(2)] == [2, 2, 1]


def test_and_so_are_the_names_of_staff_who_were(ada, admin, life):
    phone, _laptop = life
    delete_by_sql(admin)
    assert list(forget_gone(500)) == []  # by itself it does not read all events
    assert list(forget_gone(500, acts=True, dry_run=True)) == [Erased(events=1)]
    assert list(forget_gone(500, acts=True)) == [Erased(events=1)]
    kicked = events_of(phone).get(kind="ended")
    assert (kicked.actor_label, kicked.ip, kicked.note) == ("", None, "ada's phone lost")
    assert events_of(phone).get(kind="opened").actor_label == ada.get_username()
    assert list(forget_gone(500, acts=True)) == []


# Much, and alike


def test_it_goes_by_a_few_hundred_rows(ada, monkeypatch):
    monkeypatch.setattr(database, "ROWS_PER_TRANSACTION", 3)
    for _ in range(4):
        opened = open_session(ada, came_from("203.0.113.7"), Device(name="Ada's"))
        rename_session(opened.session, "Lovelace's", Actor(ada))
    other = open_session(ada)
    end_session(other.session, "kicked", by=ada, note="mine")
    with CaptureQueriesContext(connection) as asked:
        assert forget(ada) == Erased(sessions=4, events=10)
    changes = [query["sql"] for query in asked.captured_queries if query["sql"].startswith("UPDATE")]
    assert len(changes) >= 6
    assert found("Lovelace's", "203.0.113") == set()
    assert forget(ada) == Erased()


@pytest.mark.parametrize("text", ["\u034f", "\u0301", "ä"], ids=ascii)
def test_a_text_that_the_database_takes_for_none_is_erased(ada, text):
    """To MariaDB's collation a mark without a letter is the same as nothing."""
    opened = open_session(ada, device=Device(id=text, name=text))
    rename_session(opened.session, text, Actor(ada))
    end_session(opened.session, "logout")
    forget(ada)
    assert (row(opened).device_id, row(opened).device_name) == ("", "")
    assert {one.note for one in events_of(opened)} == {""}


@pytest.mark.parametrize(("one", "other"), [("ada", "ADA"), ("ada", "ada "), ("ada", "adà")], ids=ascii)
def test_a_subject_that_collates_alike_is_somebody_else(ada, bob, one, other):
    for user, subject in ((ada, one), (bob, other)):
        open_session(user, device=Device(name=f"{subject}'s phone"))
        DeviceSession.objects.filter(user=user).update(subject=subject, user=None)
    NotBeforeMark.objects.create(number=1, subject=one, reason="kicked", at=timezone.now(), note="hers")
    NotBeforeMark.objects.create(number=2, subject=other, reason="kicked", at=timezone.now(), note="theirs")
    assert forget(one) == Erased(sessions=1, marks=1)
    assert set(DeviceSession.objects.values_list("device_name", flat=True)) == {"", f"{other}'s phone"}
    assert set(NotBeforeMark.objects.values_list("note", flat=True)) == {"", "theirs"}


@pytest.mark.django_db(transaction=True)
def test_forgetting_and_refreshing_at_once_do_not_disturb_each_other(ada):
    opened = open_session(ada, came_from("203.0.113.7"), Device(id="ada-phone"))
    DeviceSession.objects.update(rotated_at=timezone.now() - timedelta(hours=1))
    results = race(
        lambda: forget(ada),
        lambda: forget(ada),
        lambda: refresh_session(opened.refresh_token, came_from("::1")),
    )
    assert [result for result in results if isinstance(result, Exception)] == []
    assert recognize(results[2].access_token).pk == opened.session.pk
    assert row(opened).user_agent == ""


# The one exception


def test_nothing_else_may_edit_an_event(ada, life):
    for attempt in (
        lambda: SessionEvent.objects.update(actor_label=""),
        lambda: life[0].session.events.update(ip=None),
        lambda: SessionEvent.objects.first().save(),
    ):
        with pytest.raises(TypeError, match="append-only"):
            attempt()


def test_a_person_is_named_once(ada):
    person = Person.of(ada)
    assert (person.subject, person.key, person.username) == (str(ada.pk), ada.pk, ada.get_username())
    assert Person.of(person) is person
    assert Person.of(str(ada.pk)) == person


def test_limits_still_see_a_forgotten_session(ada, settings):
    settings.AUTHX_SESSION_LIMITS = [{"types": ["ios"], "limit": 1, "when_full": "end_least_recent"}]
    assert conf.SESSION_LIMITS
    first = open_session(ada, device=Device(type="ios"))
    forget(ada)
    open_session(ada, device=Device(type="ios"))
    assert row(first).end_reason == "replaced"
