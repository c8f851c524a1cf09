"""What makes a notice, and what makes none; and that nothing is asked or written where nobody wants one."""

import pickle
from datetime import timedelta
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from authx.conf import conf
from authx.core.actor import NOBODY
from authx.core.notice_kinds import NoticeKind
from authx.core.risk import Alarm
from authx.models import DeviceSession, SentNotice
from authx.notices import HeldBack, Notice
from authx.sessions import (
    Device,
    end_session,
    end_sessions,
    end_user_sessions,
    forget,
    open_session,
    refresh_session,
)
from authx.sessions.connected_apps import disconnect
from authx.sessions.end_everywhere import end_everyone
from authx.sessions.kick_announcing import announced_together
from authx.sessions.not_me import find_named
from authx.sessions.risk import record_alarm
from authx.signals import device_session_opened, notice, password_changed
from authx.store import database
from authx.testing import clock
from tests.branches import another_branch
from tests.granted import granted, make_client

pytestmark = pytest.mark.django_db(transaction=True)

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
LATER = conf.REFRESH_GRACE + timedelta(seconds=1)


def came_from(ip="203.0.113.7"):
    return RequestFactory().get("/", REMOTE_ADDR=ip, headers={"user-agent": FIREFOX})


def new_device(user, name="Ada's phone", key="phone", is_new=True):
    """A login, announced as ``open_session`` does where the device had not been seen before."""
    session = open_session(user, came_from(), Device(id=key, name=name)).session
    told = {"session": session, "user": user, "request": None, "is_new": is_new}
    device_session_opened.send_robust(DeviceSession, **told)
    return session


def kinds(heard):
    return [one.kind for one in heard]


# Each kind


def test_a_new_device(ada, heard, at_site):
    session = new_device(ada)
    (told,) = heard
    assert (told.kind, told.user_pk, told.session_id) == ("new_device", ada.pk, str(session.pk))
    assert (told.device, told.device_label) == ("Ada's phone", "Firefox on Linux")
    assert (told.ip, told.at, told.count) == ("203.0.113.7", session.created_at, 1)
    assert told.not_me_url.startswith("https://shop.example/account/not-me/")
    assert told.devices_url == "https://shop.example/account/devices/"
    assert told.password_reset_url == ""  # this site has no such page
    assert find_named(told.not_me_url.split("/")[-2]).session == session


def test_a_known_device_is_no_news(ada, heard):
    new_device(ada, is_new=False)
    assert heard == []


def test_who_does_not_say_whether_it_is_new_says_nothing(ada, heard):
    session = open_session(ada).session
    heard.clear()
    device_session_opened.send_robust(DeviceSession, session=session, user=ada, request=None)
    assert heard == []


def test_a_kick(ada, admin, heard):
    session = open_session(ada, came_from(), Device(name="Tablet")).session
    heard.clear()
    assert end_session(session, "kicked", by=admin, note="for fun")
    (told,) = heard
    assert (told.kind, told.user_pk, told.count, told.device) == ("kicked", ada.pk, 1, "Tablet")
    assert told.not_me_url == ""  # it is over
    assert "fun" not in repr(told)


@pytest.mark.parametrize("way", ["each of a query", "everywhere"])
def test_a_person_who_is_kicked_is_told_once(ada, bob, admin, heard, way):
    for user in (ada, ada, ada, bob):
        open_session(user)
    heard.clear()
    if way == "everywhere":
        end_user_sessions(ada, "kicked", by=admin)
        end_user_sessions(bob, "kicked", by=admin)
    else:
        end_sessions(DeviceSession.objects.all(), "kicked", by=admin)
    assert sorted((told.user_pk, told.count) for told in heard) == sorted([(ada.pk, 3), (bob.pk, 1)])
    assert {told.session_id for told in heard if told.count == 3} == {""}


@pytest.mark.parametrize("way", ["each of a query", "everywhere", "everybody", "by hand", "in a transaction"])
def test_who_is_kicked_in_several_transactions_is_told_of_all_at_once(
    ada, bob, admin, heard, monkeypatch, way
):
    monkeypatch.setattr(database, "ROWS_PER_TRANSACTION", 2)
    for user in (ada, bob, ada, ada, bob, ada, ada):
        open_session(user)
    heard.clear()
    everything = DeviceSession.objects.all()
    if way == "everywhere":
        with announced_together():
            for user in (ada, bob):
                end_user_sessions(user, "kicked", by=admin)
    elif way == "everybody":
        end_everyone("kicked", by=admin)
    elif way == "by hand":
        desk = Client()
        desk.force_login(admin)
        chosen = [str(pk) for pk in everything.values_list("pk", flat=True)]
        sent = {"action": "kick", "_selected_action": chosen, "post": "yes", "reason": ""}
        assert desk.post("/admin/authx/devicesession/", sent).status_code == 302
    elif way == "in a transaction":
        with transaction.atomic():
            end_sessions(everything, "kicked", by=admin)
            assert heard == []
    else:
        end_sessions(everything, "kicked", by=admin)
    told = [(one.user_pk, one.count) for one in heard if one.kind == "kicked"]
    assert sorted(told) == sorted([(ada.pk, 5), (bob.pk, 2)])
    assert not SentNotice.objects.filter(kind="kicked").exclude(held_back_count=0).exists()


def test_of_a_kick_that_is_cut_short_its_users_are_told_of_what_has_ended(ada, admin, heard, monkeypatch):
    monkeypatch.setattr(database, "ROWS_PER_TRANSACTION", 2)
    for _ in range(5):
        open_session(ada)
    heard.clear()

    def kick():
        with announced_together():
            end_sessions(ada.device_sessions.all(), "kicked", by=admin)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        kick()
    assert [(one.kind, one.count) for one in heard if one.kind == "kicked"] == [("kicked", 5)]


def test_of_a_kick_that_is_rolled_back_nobody_is_told(ada, admin, heard):
    open_session(ada)
    heard.clear()
    with announced_together():
        with transaction.atomic():
            end_sessions(ada.device_sessions.all(), "kicked", by=admin)
            transaction.set_rollback(True)
        assert end_sessions(ada.device_sessions.all(), "kicked", by=admin) == 1
    assert [one.count for one in heard if one.kind == "kicked"] == [1]


def test_of_kicks_that_are_held_back_each_device_is_named(ada, admin, heard):
    def kick(*names):
        for name in names:
            open_session(ada, came_from(), Device(name=name))
        end_sessions(ada.device_sessions.all(), "kicked", by=admin)

    kick("One")
    kick("Two", "Three")
    with clock() as now:
        now.advance(hours=1)
        kick("Four")
    told = [one for one in heard if one.kind == "kicked"]
    assert [one.count for one in told] == [1, 1]
    assert sorted(one.device for one in told[1].held_back) == ["Three", "Two"]
    assert told[1].held_back_count == 2
    assert {one.not_me_url for one in told[1].held_back} == {""}


@pytest.mark.parametrize("reason", ["logout", "ended_by_user", "replaced", "expired", "user_disabled"])
def test_no_other_end_is_a_notice(ada, heard, reason):
    session = open_session(ada).session
    heard.clear()
    end_session(session, reason)
    assert heard == []


def test_an_app_that_staff_end_signs_nobody_out(ada, admin, heard):
    session = granted(make_client(), open_session(ada).session).session
    heard.clear()
    end_session(session, "kicked", by=admin)
    assert heard == []


def test_a_copy(ada, heard):
    opened = open_session(ada, came_from(), Device(name="Laptop"))
    heard.clear()
    at = opened.now + LATER
    refresh_session(opened.refresh_token, now=at)
    refresh_session(another_branch(opened), now=at)
    (told,) = heard
    assert told.kind == "copied"
    assert (told.session_id, told.device, told.user_pk) == (str(opened.session.pk), "Laptop", ada.pk)


@pytest.mark.parametrize("alarm", sorted(set(Alarm) - {Alarm.COPIED}))
def test_no_other_alarm_is_a_notice(ada, heard, alarm):
    session = open_session(ada).session
    heard.clear()
    record_alarm(session, Alarm(alarm), at=session.created_at, actor=NOBODY)
    assert heard == []


def by_set_password(user):
    user.set_password("another one entirely")
    user.save()


def by_a_hash(user):
    user.password = make_password("another one entirely")
    user.save()


@pytest.mark.parametrize("change", [by_set_password, by_a_hash])
def test_a_new_password(ada, heard, change):
    open_session(ada)
    heard.clear()
    change(ada)
    (told,) = heard
    assert (told.kind, told.user_pk, told.session_id, told.device) == ("password_changed", ada.pk, "", "")


def test_a_new_password_of_somebody_who_is_signed_in_nowhere(ada, heard):
    by_set_password(ada)
    assert kinds(heard) == ["password_changed"]


def test_a_password_is_not_changed_by_another_save(ada, heard):
    open_session(ada)
    heard.clear()
    fresh = get_user_model()._default_manager.get(pk=ada.pk)
    fresh.save()
    fresh.is_active = False
    fresh.save()
    assert heard == []


def test_nor_by_an_upgraded_hash(ada, heard, password, settings):
    open_session(ada)
    heard.clear()
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]
    before = ada.password
    assert ada.check_password(password)
    assert ada.password != before
    assert heard == []


def test_a_new_password_that_is_rolled_back_is_none(ada, heard):
    with transaction.atomic():
        by_set_password(ada)
        transaction.set_rollback(True)
    assert heard == []


def test_password_changed_is_a_signal_of_its_own(ada):
    told = []

    def hear(sender, user, **kwargs):
        told.append(user)

    password_changed.connect(hear)
    try:
        by_set_password(ada)
    finally:
        password_changed.disconnect(hear)
    assert told == [ada]
    assert not SentNotice.objects.exists()


def test_an_app(ada, heard):
    client = make_client(name="Photo Printer")
    login = open_session(ada).session
    heard.clear()
    session = granted(client, login).session
    (told,) = heard
    assert (told.kind, told.client_id, told.device) == ("connected_app", client.client_id, "Photo Printer")
    assert told.session_id == str(session.pk)


def test_an_app_that_comes_back_is_connected_already(ada, heard):
    client, login = make_client(), open_session(ada).session
    granted(client, login)
    heard.clear()
    with clock() as now:
        now.advance(hours=2)
        first = granted(client, login).session
        end_session(first, "idle")
        now.advance(hours=2)
        granted(client, login)
    assert heard == []


def test_an_app_that_its_user_had_disconnected_is_new(ada, heard):
    client, login = make_client(), open_session(ada).session
    granted(client, login)
    heard.clear()
    disconnect(ada, client.client_id)
    with clock() as now:
        now.advance(hours=2)
        granted(client, login)
    assert kinds(heard) == ["connected_app"]


# Once an hour


def test_what_is_held_back_stands_in_the_next(ada, heard, at_site):
    with clock() as now:
        first = new_device(ada)
        now.advance(minutes=30)
        second, third = new_device(ada, "Ada's other phone"), new_device(ada, "Ada's last phone")
        assert [told.session_id for told in heard] == [str(first.pk)]
        now.advance(minutes=31)
        fourth = new_device(ada)
        now.advance(minutes=61)
        new_device(ada)
        told, last = heard[1:]
        tokens = [one.not_me_url.split("/")[-2] for one in told.held_back]
        assert [find_named(token).session for token in tokens] == [second, third]
    assert told.session_id == str(fourth.pk)
    assert (told.held_back_count, last.held_back_count) == (2, 0)
    assert [one.session_id for one in told.held_back] == [str(second.pk), str(third.pk)]
    assert [one.device for one in told.held_back] == ["Ada's other phone", "Ada's last phone"]
    assert [one.at for one in told.held_back] == [second.created_at, third.created_at]
    assert {one.ip for one in told.held_back} == {"203.0.113.7"}
    assert last.held_back == ()


def test_more_than_are_listed_are_counted(ada, heard):
    with clock() as now:
        for _ in range(24):
            by_set_password(ada)
        now.advance(hours=1)
        by_set_password(ada)
    assert len(heard) == 2
    assert (len(heard[1].held_back), heard[1].held_back_count) == (20, 23)


def test_each_device_kind_and_user_has_an_hour_of_its_own(ada, bob, heard):
    new_device(ada, key="phone")
    new_device(ada, key="tablet")
    new_device(bob, key="phone")
    by_set_password(ada)
    new_device(ada, key="phone")
    assert kinds(heard) == ["new_device", "new_device", "new_device", "password_changed"]


def test_a_clock_that_is_put_back_does_not_silence_anybody_for_longer(ada, heard):
    with clock() as now:
        now.advance(days=30)
        by_set_password(ada)
        now.advance(days=-30)
        by_set_password(ada)
    assert len(heard) == 2


# What it costs


def test_nobody_who_wants_to_know_costs_no_statement(ada, admin):
    assert not notice.has_listeners(DeviceSession)
    session = open_session(ada).session
    flagged = open_session(ada).session
    with CaptureQueriesContext(connection) as asked:
        for is_new in (True, False):
            device_session_opened.send(DeviceSession, session=session, user=ada, request=None, is_new=is_new)
        password_changed.send(type(ada), user=ada)
    assert len(asked) == 0
    with CaptureQueriesContext(connection) as asked:
        end_session(session, "kicked", by=admin)
    assert not [sql for sql in asked.captured_queries if "authx_sentnotice" in sql["sql"]]
    with CaptureQueriesContext(connection) as asked_with_a_receiver:
        told = []

        def hear(notice, **kwargs):
            told.append(notice)

        notice.connect(hear)
        try:
            end_session(flagged, "kicked", by=admin)
        finally:
            notice.disconnect(hear)
    assert told
    assert len(asked_with_a_receiver) > len(asked)


def test_a_login_that_is_told_of_is_still_one_commit(ada, heard, client, password):
    """What follows it is counted apart: read whose turn it is, and take it."""
    client.post("/account/login/", {"username": ada.get_username(), "password": password})
    session = DeviceSession.objects.get()
    with CaptureQueriesContext(connection) as asked:
        device_session_opened.send(DeviceSession, session=session, user=ada, request=None, is_new=True)
    assert kinds(heard)[-1] == "new_device"
    touching = [sql["sql"] for sql in asked.captured_queries if "authx_sentnotice" in sql["sql"]]
    assert len(touching) == 2


def test_a_receiver_that_fails_stops_nobody(ada, heard, caplog):
    def fail(sender, notice, **kwargs):
        raise RuntimeError("the queue is down")

    notice.connect(fail)
    try:
        by_set_password(ada)
    finally:
        notice.disconnect(fail)
    assert kinds(heard) == ["password_changed"]
    assert "the queue is down" in caplog.text


def test_a_user_who_has_gone_meanwhile_is_told_nothing(ada, heard, caplog):
    key = ada.pk
    session = open_session(ada).session
    get_user_model()._default_manager.get(pk=key).delete()
    heard.clear()
    device_session_opened.send(DeviceSession, session=session, user=ada, request=None, is_new=True)
    assert heard == []
    assert caplog.records == []


# The value


def whole(**columns):
    at = timezone.now()
    return Notice(
        kind="new_device",
        user_pk=7,
        at=at,
        session_id=str(UUID(int=7)),
        device="Phone",
        held_back=(HeldBack(at=at, device="Laptop", not_me_url="https://shop.example/held/"),),
        held_back_count=1,
        not_me_url="https://shop.example/secret/",
        **columns,
    )


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_pickles(protocol):
    told = whole()
    assert pickle.loads(pickle.dumps(told, protocol)) == told


def test_it_becomes_json_and_comes_back():
    import json

    told = whole()
    back = Notice.from_dict(json.loads(json.dumps({**told.as_dict(), "of_a_later_version": 1})))
    assert back.user_pk == "7"
    assert Notice.from_dict({**back.as_dict()}) == back
    assert (back.at, back.held_back, back.not_me_url) == (told.at, told.held_back, told.not_me_url)
    held_back = [{**told.as_dict()["held_back"][0], "of_a_later_version": 1}]
    assert Notice.from_dict({**told.as_dict(), "held_back": held_back}).held_back == told.held_back


def test_neither_repr_nor_a_log_shows_the_link():
    assert "https://shop.example" not in repr(whole())


def test_its_kinds_are_those_that_have_templates():
    from django.template.loader import get_template

    for kind in NoticeKind:
        for suffix in ("subject.txt", "txt", "html"):
            get_template(f"authx/mail/{kind.value}.{suffix}")


# Personal data


def test_it_is_exported_and_erased(ada, bob, heard):
    import json

    from authx.sessions import export

    for user in (ada, bob):
        new_device(user)
        new_device(user, "Ada's other phone")
    document = json.loads("".join(export(ada)))
    (told,) = document["notices"]
    assert (told["kind"], told["held_back_count"]) == ("new_device", 1)
    assert told["held_back"][0]["device"] == "Ada's other phone"
    assert forget(ada, dry_run=True).notices == 1
    assert forget(ada).notices == 1
    assert not SentNotice.objects.filter(user=ada).exists()
    assert SentNotice.objects.filter(user=bob).count() == 1
    assert "notices" not in json.loads("".join(export(ada)))


def test_it_goes_with_its_user(ada, heard):
    new_device(ada)
    ada.delete()
    assert not SentNotice.objects.exists()


def test_a_kick_by_the_api_tells_the_user(ada, admin, heard, password):
    session = open_session(ada).session
    heard.clear()
    browser = Client()
    browser.post("/account/login/", {"username": admin.get_username(), "password": password})
    answer = browser.post(f"/api/auth/staff/sessions/{session.pk}/kick/", content_type="application/json")
    assert answer.json() == {"ended": 1}
    assert [(told.kind, told.user_pk) for told in heard if told.user_pk == ada.pk] == [("kicked", ada.pk)]
