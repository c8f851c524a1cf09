"""The list of device sessions: badges, buttons, searches, filters, an honest count, and the file of it."""

import codecs
import csv
import io
import re
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib import admin as django_admin
from django.contrib.admin.models import LogEntry
from django.db import models
from django.test import AsyncClient
from django.utils import timezone

from authx.admin import exporting, searching, session_page
from authx.admin import history as history_module
from authx.admin.words import ALARMS, ENDED
from authx.core.actor import NOBODY, Actor
from authx.core.reasons import EndReason
from authx.core.risk import Alarm
from authx.models import DeviceSession, SessionEvent
from authx.sessions import audit, end_session, refresh_session
from authx.sessions.lookup import find_by_sid
from authx.sessions.queries import rename_session
from authx.sessions.risk import raise_refresh_rate
from tests.admin.test_admin import (  # noqa: F401
    LIST,
    MARKUP,
    Form,
    boss,
    change,
    desk,
    devices,
    rows,
    said,
    sign_in,
    status_of,
    text_of,
)

EXPORT = f"{LIST}export/"


def row_of(seat, **query):
    (found,) = rows(seat.get(**query))
    return found


# Badges


@pytest.mark.parametrize("reason", list(EndReason))
def test_every_reason_has_words_of_the_staffs_own(boss, ada, reason):  # noqa: F811
    phone = sign_in(ada)
    end_session(phone.session, reason)
    found = row_of(boss, q="ada")["status"]
    assert found == ENDED[reason]
    assert not found.startswith("You ")


def test_who_ended_it_stands_beneath(boss, ada):  # noqa: F811
    phone = sign_in(ada)
    boss.kick(phone.session)
    assert "by admin</small>" in boss.get(q="ada").content.decode()


def test_an_alarm_is_seen_in_the_list_and_filtered_by(boss, ada, bob, settings):  # noqa: F811
    loud, quiet = sign_in(ada, name="loud"), sign_in(bob, name="quiet")
    raise_refresh_rate(find_by_sid(loud.session.pk), NOBODY)
    assert row_of(boss, q="ada")["status"] == "Live Alarm"
    assert row_of(boss, q="bob")["status"] == "Live"
    assert devices(boss.get(status="alarm")) == ["loud"]
    assert DeviceSession.objects.get(pk=quiet.session.pk).alarm_at is None
    event = SessionEvent.objects.get(session=loud.session, kind="flagged")
    assert DeviceSession.objects.get(pk=loud.session.pk).alarm_at == event.at


def test_every_alarm_has_words():
    assert set(ALARMS) == set(Alarm)


# A button for each row


def press(seat, session, **more):
    token = Form(seat.get()).filled()["csrfmiddlewaretoken"]
    sent = {"kick_row": session.pk, "csrfmiddlewaretoken": token, "action": "", "select_across": "0", **more}
    return seat.client.post(LIST, sent)


def test_a_button_kicks_out_its_own_row_alone(boss, ada):  # noqa: F811
    phone, other = sign_in(ada, name="phone"), sign_in(ada, name="other")
    question = press(boss, phone.session)
    assert "sign out this device session" in question.content.decode()
    assert said(boss.confirm(question, "lost")) == ["1 session was ended."]
    assert (status_of(phone), status_of(other)) == ("kicked", "live")


def test_rows_that_are_ticked_too_are_not_meant_by_it(boss, ada):  # noqa: F811
    phone, other = sign_in(ada, name="phone"), sign_in(ada, name="other")
    ticked = {"_selected_action": [str(other.session.pk)], "select_across": "1", "action": "kick_everywhere"}
    boss.confirm(press(boss, phone.session, **ticked))
    assert (status_of(phone), status_of(other)) == ("kicked", "live")


def test_it_says_whom_it_means(boss, ada):  # noqa: F811
    sign_in(ada, name="Pocket")
    assert 'aria-label="Kick out Pocket of ada"' in boss.get(q="ada").content.decode()


def test_without_the_permission_there_is_no_button_and_no_effect(desk, staff, ada):  # noqa: F811
    seat, phone = desk(staff, "view_devicesession"), sign_in(ada)
    assert 'name="kick_row"' not in seat.get().content.decode()
    token = seat.client.cookies["csrftoken"].value
    sent = {"kick_row": phone.session.pk, "csrfmiddlewaretoken": token, "post": "yes", "reason": ""}
    seat.client.post(LIST, sent)
    assert status_of(phone) == "live"


@pytest.mark.parametrize("sid", ["", "nonsense", "0190a5e0-0000-7000-8000-000000000000", "\x00", MARKUP])
def test_a_button_that_names_no_row_ends_nothing(boss, ada, sid):  # noqa: F811
    phone, token = sign_in(ada), Form(boss.get()).filled()["csrfmiddlewaretoken"]
    sent = {"kick_row": sid, "csrfmiddlewaretoken": token, "post": "yes", "reason": ""}
    answer = boss.client.post(LIST, sent, follow=True)
    assert answer.status_code in {200, 400}
    assert status_of(phone) == "live"


# Searches


@pytest.fixture
def people(make_user):
    grace = make_user("gh", email="grace@navy.example", first_name="Grace", last_name="Hopper")
    alan = make_user("at", email="alan@bletchley.example", first_name="Alan", last_name="Turing")
    sign_in(grace, name="Flow-Matic", ip="203.0.113.7", id="device-of-grace")
    sign_in(alan, name="Bombe", ip="203.0.114.9", id="device-of-alan")
    return grace, alan


@pytest.mark.user_model("auth.User")
@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("grace@navy.example", ["Flow-Matic"]),
        ("bletchley", ["Bombe"]),
        ("Grace Hopper", ["Flow-Matic"]),
        ("hopper grace", ["Flow-Matic"]),
        ("Grace Turing", []),
        ("device-of-alan", ["Bombe"]),
        ("device-of-al", []),
        ("203.0.113.*", ["Flow-Matic"]),
        ("203.0.*", ["Bombe", "Flow-Matic"]),
        ("203.0.11*", []),
        ("203.*", ["Bombe", "Flow-Matic"]),
        ("203.0.113.7.*", []),
        ("*", []),
        (".*", []),
    ],
)
def test_people_are_found_as_staff_know_them(boss, people, term, expected):  # noqa: F811
    found = devices(boss.get(q=term))
    assert sorted(set(found) & {"Bombe", "Flow-Matic"}) == expected


@pytest.mark.parametrize("term", ["2001:db8:*", "2001:DB8:1:*"])
def test_the_beginning_of_an_ipv6_address_finds_all_with_it(boss, ada, term):  # noqa: F811
    sign_in(ada, name="here", ip="2001:db8:1::7")
    sign_in(ada, name="there", ip="2001:db9::7")
    assert devices(boss.get(q=term)) == ["here"]


# Filters


def test_one_users_sessions(boss, ada, bob):  # noqa: F811
    sign_in(ada, name="hers")
    sign_in(bob, name="his")
    page = boss.get(user=ada.pk)
    assert devices(page) == ["hers"]
    assert ">ada</a>" in page.content.decode()  # the filter says whose


@pytest.mark.parametrize("key", ["nobody", "0", "99999999999999999999999", "\x00", "", "-1", "1 OR 1=1"])
def test_of_a_user_who_is_not_there_are_none(boss, ada, key):  # noqa: F811
    sign_in(ada)
    answer = boss.client.get(LIST, {"user": key}, follow=True)
    assert answer.status_code in {200, 400}
    assert answer.status_code == 400 or rows(answer) == [] or key == ""


def test_who_never_had_a_session_is_not_named(boss, bob):  # noqa: F811
    assert ">bob</a>" not in boss.get(user=bob.pk).content.decode()


@pytest.mark.parametrize("lookup", ["user__password__startswith", "user__email", "user__in"])
def test_nothing_of_a_user_can_be_guessed(boss, lookup):  # noqa: F811
    assert boss.client.get(LIST, {lookup: "a"}).status_code == 400


def test_the_countries_of_the_newest_sessions_are_offered(boss, ada):  # noqa: F811
    for country in ("FR", "DE", "FR", ""):
        change(sign_in(ada, name=f"in {country}").session, country=country)
    page = boss.get()
    assert [f"?country={code}" in page.content.decode() for code in ("FR", "DE", "AT")] == [True, True, False]
    assert set(devices(boss.get(country="FR"))) == {"in FR"}
    assert devices(boss.get(country="AT")) == []


# The count


def test_where_there_are_more_the_list_says_so(boss, ada, monkeypatch):  # noqa: F811
    for number in range(8):
        sign_in(ada, name=str(number))
    monkeypatch.setattr(searching, "MAX_COUNTED", 5)
    monkeypatch.setattr(type(django_admin.site._registry[DeviceSession]), "list_per_page", 2)
    page = boss.get(q="ada").content.decode()
    assert "There are more than 5; the list ends there." in page
    assert "Select all, more than 5" in page
    assert "All selected, more than 5" in page
    assert "5 results" not in page
    monkeypatch.setattr(searching, "MAX_COUNTED", 8)
    page = boss.get(q="ada").content.decode()
    assert "There are more than" not in page
    assert "Select all 8 device sessions" in page


# The file


def table(response):
    assert response.status_code == 200
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_the_file_holds_what_the_filters_leave(boss, ada, bob):  # noqa: F811
    phone = sign_in(ada, name="phone", ip="203.0.113.7")
    sign_in(bob, name="other")
    boss.kick(phone.session)
    answer = boss.get(EXPORT, q="ada", status="ended")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith('attachment; filename="device-sessions-')
    assert "no-store" in answer["Cache-Control"]
    (row,) = table(answer)
    assert (row["session"], row["user"], row["device"]) == (str(phone.session.pk), "ada", "phone")
    assert (row["reason"], row["ended_by"], row["ip"]) == ("kicked", "admin", "203.0.113.7")
    found = DeviceSession.objects.get(pk=phone.session.pk)
    assert (row["signed_in"], row["ended"]) == (found.created_at.isoformat(), found.ended_at.isoformat())


def test_spreadsheets_take_it_for_what_it_is(boss, ada):  # noqa: F811
    sign_in(ada, name="Büro")
    file = b"".join(boss.get(EXPORT, q="ada").streaming_content)
    assert file.startswith(codecs.BOM_UTF8 + b'"session"')
    assert file.count(codecs.BOM_UTF8) == 1
    assert '"Büro"'.encode() in file


def test_pages_of_rows_leave_none_out_and_bring_none_twice(boss, ada, monkeypatch):  # noqa: F811
    monkeypatch.setattr(exporting, "ROWS_PER_PAGE", 3)
    made = [sign_in(ada, name=str(number)).session for number in range(10)]
    same = timezone.now() - timedelta(hours=1)
    DeviceSession.objects.filter(pk__in=[each.pk for each in made[:7]]).update(created_at=same)
    found = [row["session"] for row in table(boss.get(EXPORT, q="ada"))]
    assert sorted(found) == sorted(str(each.pk) for each in made)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", "＝1"])  # noqa: RUF001
def test_no_cell_is_a_formula(boss, ada, name):  # noqa: F811
    sign_in(ada, name=name)
    (row,) = table(boss.get(EXPORT, q="ada"))
    assert row["device"] == f"'{name}"


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_no_cell_is_a_formula_where_another_separator_is_used(boss, ada, separator):  # noqa: F811
    phone = sign_in(ada)
    starts = ["=", "+", "-", "@", "＝", " =", '"=', "'=", "\n="]  # noqa: RUF001
    change(phone.session, device_name=separator.join(f"{start}1+1" for start in starts))
    text = b"".join(boss.get(EXPORT, q="ada").streaming_content).decode()
    for row in csv.reader(io.StringIO(text), delimiter=separator):
        for cell in row:
            assert not cell.strip("\"' ").startswith(("=", "+", "-", "@", "＝")) or cell.startswith("'")  # noqa: RUF001


def test_quotes_and_lines_stay_within_their_cell(boss, ada):  # noqa: F811
    phone = sign_in(ada)
    change(phone.session, device_name='say "hi",\n=1')
    (row,) = table(boss.get(EXPORT, q="ada"))
    assert row["device"] == 'say "hi",\n\'=1'


def test_it_takes_a_permission_of_its_own(desk, staff, ada):  # noqa: F811
    sign_in(ada)
    seat = desk(staff, "view_devicesession", "kick_devicesession")
    assert "export/" not in seat.get().content.decode()
    assert seat.get(EXPORT).status_code == 403
    assert not LogEntry.objects.exists()


def test_the_permission_alone_does_not_show_the_list(desk, staff, ada):  # noqa: F811
    assert desk(staff, "export_devicesession").get(EXPORT).status_code == 403


def test_who_has_it_is_offered_the_list_as_it_is_filtered(desk, staff, ada):  # noqa: F811
    seat = desk(staff, "view_devicesession", "export_devicesession")
    assert 'href="export/?status=live"' in seat.get(status="live").content.decode()
    assert table(seat.get(EXPORT, q="ada")) == []
    assert LogEntry.objects.get().change_message == "Exported as CSV. q"


@pytest.mark.parametrize("query", ["status=%00", "created_at__gte=yesterday", "user__password=a", "p=99"])
def test_a_mangled_filter_is_no_error_of_ours(boss, query):  # noqa: F811
    assert boss.client.get(f"{EXPORT}?{query}").status_code in {200, 302, 400}


def test_an_async_server_streams_it_too(admin, ada, password):
    sign_in(ada, name="phone")

    async def fetch():
        client = AsyncClient()
        await client.aforce_login(admin)
        answer = await client.get(EXPORT)
        return b"".join([piece async for piece in answer.streaming_content])

    found = list(csv.DictReader(io.StringIO(async_to_sync(fetch)().decode("utf-8-sig"))))
    assert "phone" in [row["device"] for row in found]


# The page of one


def history(seat, session):
    """The history as a person reads it, newest first."""
    page = " ".join(seat.detail(session).content.decode().split())
    found = re.search(r'<ol class="authx-history">(.*?)</ol>', page)[1]
    return [text_of(re.sub(r"<time.*?</time>", "", item)) for item in re.findall(r"<li>(.*?)</li>", found)]


def test_the_history_is_told_in_words_and_refreshes_are_folded(boss, ada):  # noqa: F811
    phone = sign_in(ada, ip="198.51.100.7")
    now = phone.session.rotated_at - timedelta(hours=1)
    change(phone.session, rotated_at=now)
    models.QuerySet(SessionEvent).filter(session=phone.session).delete()  # they are append-only
    audit.record(SessionEvent.Kind.OPENED, phone.session, at=now, actor=Actor(ada, ip="198.51.100.7"))
    credentials = phone
    for _ in range(4):
        now += timedelta(minutes=5)
        credentials = refresh_session(credentials.refresh_token, now=now)
    boss.kick(phone.session, reason="lost on the train")
    kicked, refreshed, opened = history(boss, phone.session)
    assert kicked.startswith("Kicked out")
    assert "by admin" in kicked
    assert "lost on the train" in kicked
    assert re.match(r"Refreshed · 4 times since \d", refreshed)
    assert opened.startswith("Signed in: password")
    assert "198.51.100.7" in opened


def test_alarms_stand_first(boss, ada):  # noqa: F811
    phone = sign_in(ada)
    raise_refresh_rate(find_by_sid(phone.session.pk), NOBODY)
    page = boss.detail(phone.session).content.decode()
    assert page.index("▲ Alarm: Renewed too often") < page.index("What happened")


def test_the_buttons_of_the_page_kick_it_out_or_everything_of_its_user(boss, ada):  # noqa: F811
    phone, other = sign_in(ada, name="phone"), sign_in(ada, name="other")
    page = boss.detail(phone.session)
    assert "Kick ada out everywhere (2)" in page.content.decode()
    assert f'href="/admin/authx/devicesession/?user={ada.pk}"' in page.content.decode()
    sent = Form(page).filled(action="kick_everywhere")
    boss.confirm(boss.client.post(LIST, sent))
    assert (status_of(phone), status_of(other)) == ("kicked", "kicked")
    page = boss.detail(phone.session).content.decode()
    assert "Kick out…" not in page
    assert "everywhere (" not in page


def test_who_may_only_look_has_no_buttons_there(desk, staff, ada):  # noqa: F811
    page = desk(staff, "view_devicesession").detail(sign_in(ada).session).content.decode()
    assert 'value="kick' not in page
    assert "All sessions of ada" in page


def test_a_session_with_many_events_is_shown_from_the_newest(boss, ada, monkeypatch):  # noqa: F811
    phone = sign_in(ada)
    assert "Older events are not shown." not in boss.detail(phone.session).content.decode()
    for module in (history_module, session_page):
        monkeypatch.setattr(module, "MAX_EVENTS", 3)
    for number in range(5):
        rename_session(phone.session, f"name {number}")
    page = boss.detail(phone.session).content.decode()
    assert "Older events are not shown." in page
    assert "name 1" not in page  # in the table of all columns too, the oldest are left out
    assert page.count("name 4") > 1
    assert history(boss, phone.session) == ["Renamed: name 4", "Renamed: name 3", "Renamed: name 2"]
