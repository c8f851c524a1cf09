"""authx.admin: staff see who is signed in where, and kick out; nobody edits anything."""

import html
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from authx.core.actor import NOBODY
from authx.errors import SessionEnded
from authx.models import DeviceSession, EndReason, SessionEvent
from authx.sessions import Device, end_session, open_session, recognize, refresh_session
from authx.sessions.continuing import continue_session
from tests.branches import another_branch

LIST = "/admin/authx/devicesession/"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
DESK_IP = "203.0.113.9"
MARKUP = "<script>alert(1)</script><img src=x onerror='alert(2)'>\"&"


class Form(HTMLParser):
    """The fields of the one form on a page whose action the page itself names."""

    def __init__(self, response):
        super().__init__()
        self.fields, self.names = [], set()
        self.feed(response.content.decode())

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "input" and "name" in given:
            self.names.add(given["name"])
            if given.get("type") == "hidden":
                self.fields.append((given["name"], given.get("value", "")))

    def filled(self, **values):
        """What a browser would send: every hidden field, and what was typed."""
        sent = {}
        for name, value in self.fields:
            sent.setdefault(name, []).append(value)
        return {**sent, **values}


class Desk:
    """A staff member at work in the admin, signed in through its own login page."""

    def __init__(self, user, password):
        self.user = user
        self.client = Client(enforce_csrf_checks=True, REMOTE_ADDR=DESK_IP, headers={"User-Agent": FIREFOX})
        page = self.get("/admin/login/")
        sent = Form(page).filled(username=user.get_username(), password=password, next="/admin/")
        assert self.client.post("/admin/login/", sent).status_code == 302

    def get(self, path=LIST, **query):
        return self.client.get(path, query)

    def detail(self, session):
        return self.get(f"{LIST}{session.pk}/change/")

    def choose(self, action, *sessions, path=LIST, **more):
        """Select rows of the list and press "Go"."""
        sent = {"action": action, "_selected_action": [str(session.pk) for session in sessions]}
        token = Form(self.client.get(path)).filled().get("csrfmiddlewaretoken")
        if token is None:  # a list without actions has no form; the client asks nevertheless
            token = self.client.cookies["csrftoken"].value
        return self.client.post(path, {**sent, "csrfmiddlewaretoken": token, "index": "0", **more})

    def confirm(self, question, reason="", path=LIST):
        """Send the confirmation page's own form."""
        assert question.status_code == 200, question
        return self.client.post(path, Form(question).filled(reason=reason), follow=True)

    def kick(self, *sessions, reason="", action="kick"):
        return self.confirm(self.choose(action, *sessions), reason)

    @property
    def session(self):
        return DeviceSession.objects.get(user=self.user, ended_at=None)


@pytest.fixture
def desk(password):
    def sit_down(user, *permissions):
        found = Permission.objects.filter(codename__in=permissions, content_type__app_label="authx")
        assert found.count() == len(permissions)
        user.user_permissions.add(*found)
        return Desk(user, password)

    return sit_down


@pytest.fixture
def boss(desk, admin):
    """The superuser at her desk."""
    return desk(admin)


def sign_in(user, *, ip="198.51.100.7", agent=FIREFOX, **device):
    """A device session of ``user``, opened from somewhere."""
    request = RequestFactory().post("/", REMOTE_ADDR=ip, headers={"User-Agent": agent})
    return open_session(user, request, Device(**device))


def change(session, **columns):
    DeviceSession.objects.filter(pk=session.pk).update(**columns)


def rows(response):
    """The list as a person reads it: a dict of column and text per row."""
    assert response.status_code == 200, response
    page = response.content.decode()
    table = re.search(r'<table id="result_list">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    found = []
    for row in re.findall(r"<tr.*?</tr>", table[1], re.DOTALL) if table else []:
        cells = dict(re.findall(r'class="field-(\w+)[^"]*">(.*?)</t[hd]>', row, re.DOTALL))
        found.append({COLUMNS.get(name, name): shown_in(cell) for name, cell in cells.items()})
    return found


#: What the columns are called here.
COLUMNS = {"person": "user", "state": "status"}


def shown_in(cell):
    """What a cell says in its first line: beneath it stands what is less important."""
    cell = re.sub(r"<small.*?</small>|<svg.*?</svg>", "", cell, flags=re.DOTALL)
    return text_of(cell) or "-"


def text_of(markup):
    return html.unescape(re.sub(r"<[^>]+>", "", markup)).strip()


def devices(response):
    return [row["device"] for row in rows(response)]


def actions(response):
    """What the list offers to do with the selected rows."""
    assert response.status_code == 200, response
    found = re.search(r'<select name="action".*?</select>', response.content.decode(), re.DOTALL)
    return re.findall(r'<option value="(\w+)"', found[0]) if found else []


def said(response):
    return [str(message) for message in response.context["messages"]]


def is_login(response):
    return response.status_code == 302 and response.url.startswith("/admin/login/")


def status_of(credentials):
    """``live``, or the reason that its access token is now refused with."""
    try:
        recognize(credentials.access_token)
    except SessionEnded as error:
        return error.reason
    return "live"


def ending(credentials):
    return SessionEvent.objects.get(session=credentials.session, kind="ended")


# The list


def test_the_list_says_who_is_signed_in_where_since_when_and_how_it_ended(boss, ada):
    phone = sign_in(ada, name="Ada's phone", ip="198.51.100.7")
    at = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    change(phone.session, created_at=at, last_seen_at=at + timedelta(hours=2))
    row = next(row for row in rows(boss.get()) if row["user"] == "ada")
    assert row == {
        "user": "ada",
        "device": "Ada's phone",
        "status": "Live",
        "place": "198.51.100.7",
        "created_at": "Jan. 2, 2026, 3:04 a.m.",
        "last_seen_at": "Jan. 2, 2026, 5:04 a.m.",
        "act": "Kick out…",
    }
    end_session(phone.session, EndReason.PASSWORD_CHANGED)
    row = next(row for row in rows(boss.get()) if row["user"] == "ada")
    assert (row["status"], row["act"]) == ("Password changed", "-")


def test_a_device_without_a_name_is_shown_by_what_its_browser_is(boss, ada):
    sign_in(ada)
    assert devices(boss.get(q="ada")) == ["Firefox on Linux"]


def test_a_session_that_ran_out_is_shown_as_expired_before_anybody_ended_it(boss, ada):
    idle, old = sign_in(ada, name="idle"), sign_in(ada, name="old")
    past = timezone.now() - timedelta(minutes=1)
    change(idle.session, idle_expires_at=past)
    change(old.session, idle_expires_at=past, expires_at=past)
    found = {row["device"]: row["status"] for row in rows(boss.get(q="ada"))}
    assert found == {"idle": "Away too long", "old": "Expired"}


def test_the_newest_login_stands_first(boss, ada):
    for number in range(3):
        made = sign_in(ada, name=f"device {number}")
        change(made.session, created_at=timezone.now() - timedelta(hours=9 - number))
    assert devices(boss.get(q="ada")) == ["device 2", "device 1", "device 0"]


def queries_of(ask):
    """How many queries it takes once all that is looked up but once has been."""
    ask()
    with CaptureQueriesContext(connection) as captured:
        assert ask().status_code == 200
    return len(captured)


def test_a_longer_list_costs_no_more_queries(boss, make_user):
    sign_in(make_user("first"))
    short = queries_of(boss.get)
    for number in range(30):
        sign_in(make_user(f"user{number}"), name=f"device {number}")
    end_session(DeviceSession.objects.get(device_name="device 7"), EndReason.KICKED, by=boss.user)
    assert len(rows(boss.get())) == 32
    assert queries_of(boss.get) == short


def test_a_longer_confirmation_costs_no_more_queries(boss, make_user):
    def queries(*sessions):
        return queries_of(lambda: boss.choose("kick_everywhere", *sessions))

    sessions = [sign_in(make_user(f"user{number}")).session for number in range(20)]
    assert queries(sessions[0]) == queries(*sessions)


# Filters and search


@pytest.fixture
def crowd(ada, bob):
    """One of each: live, kicked, logged out, idle too long, and past its absolute end."""
    made = {
        "live": sign_in(ada, name="live", type="web"),
        "kicked": sign_in(ada, name="kicked", type="ios"),
        "logout": sign_in(bob, name="logout", type="android"),
        "idle": sign_in(bob, name="idle", type="ios"),
        "old": sign_in(bob, name="old", type="web"),
    }
    end_session(made["kicked"].session, EndReason.KICKED)
    end_session(made["logout"].session, EndReason.LOGOUT)
    past = timezone.now() - timedelta(days=1)
    change(made["idle"].session, idle_expires_at=past)
    change(made["old"].session, idle_expires_at=past, expires_at=past)
    return made


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"status": "live"}, {"live"}),
        ({"status": "ended"}, {"kicked", "logout"}),
        ({"status": "expired"}, {"idle", "old"}),
        ({"device_type": "ios"}, {"kicked", "idle"}),
        ({"end_reason__exact": "kicked"}, {"kicked"}),
        ({"end_reason__exact": "logout"}, {"logout"}),
        ({"status": "ended", "device_type": "ios"}, {"kicked"}),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)
def test_a_filter_leaves_what_it_names(boss, crowd, query, expected):
    found = set(devices(boss.get(**query)))
    assert found & set(crowd) == expected


def test_the_filters_stand_beside_the_list(boss, crowd):
    page = boss.get().content.decode()
    for link in ("?status=live", "?status=expired", "?device_type=ios", "?end_reason__exact=kicked"):
        assert f'href="{link}"' in page


@pytest.mark.parametrize(
    "query",
    [
        "status=nonsense",
        "status=%00",
        "device_type=nonsense",
        "device_type=%00",
        "device_type=" + "x" * 5000,
        "end_reason__exact=nonsense",
        "end_reason__exact=%00",
        "end_reason__exact=%F0%9F%92%A9",
        "created_at__gte=yesterday",
        "created_at__gte=9999-99-99",
        "id=nonsense",
        "id=%00",
        "ip=nonsense",
        "ip=%00",
        "ip__contains=%00",
        "user__id__exact=nonsense",
        "user__id__exact=99999999999999999999999999",
        "generation=nonsense",
        "generation=99999999999999999999999999",
        "amr=nonsense",
        "no_such_field=1",
        "device_name__regex=(",
        "o=nonsense",
        "o=99.-98.%00",
        "p=nonsense",
        "p=-1",
        "p=99999999999999999999999",
        "all=",
        "e=1",
        "_popup=1",
        "_to_field=salt",
    ],
)
def test_a_mangled_filter_is_not_an_error_of_ours(boss, crowd, query):
    answer = boss.client.get(f"{LIST}?{query}", follow=True)
    assert answer.status_code in {200, 400}


@pytest.mark.parametrize(
    "query",
    ["fingerprint__startswith=a", "salt=a", "adopted_from__startswith=a", "user__password__startswith=a"],
)
def test_what_is_not_shown_cannot_be_guessed_by_filtering_for_it(boss, crowd, query):
    assert boss.client.get(f"{LIST}?{query}").status_code == 400


def test_search_finds_by_name_device_address_and_session_id(boss, ada, bob):
    phone = sign_in(ada, name="Pocket", ip="2001:db8::17", agent="curl/8.5.0")
    sign_in(bob, name="Desktop", ip="192.0.2.4")
    sid = str(phone.session.pk)
    whole = [
        "ada",
        "ADA",
        "pocket",
        "POCK",
        "2001:db8::17",
        "2001:0DB8:0::0017",
        sid,
        sid.upper(),
        f" {sid} ",
    ]
    for term in [*whole, sid.replace("-", ""), "ada pocket", "curl"]:
        assert devices(boss.get(q=term)) == ["Pocket"], term
    assert devices(boss.get(q="192.0.2.4")) == ["Desktop"]
    assert devices(boss.get(q="bob pocket")) == []
    assert devices(boss.get(q="0190a5e0-0000-7000-8000-000000000000")) == []


@pytest.mark.parametrize(
    "term",
    [
        "\x00",
        "ada\x00",
        "'",
        '"',
        '"unbalanced',
        "'; DROP TABLE authx_devicesession; --",
        "%",
        "_",
        "\\",
        "%_\\%",
        "fe80::1%eth0",
        "fe80::1%",
        "::ffff:192.0.2.4",
        "::",
        "192.0.2.4/24",
        "192.0.2.256",
        "192.0.2",
        "1",
        "0190a5e0-0000",
        "{0190a5e0-0000-7000-8000-000000000000}",
        "urn:uuid:0190a5e0-0000-7000-8000-000000000000",
        "\ufeff",
        "\u202e",
        "💩",
        "ﷺ" * 300,
        "x" * 5000,
        "9" * 5000,
        "a b " * 100,
        MARKUP,
    ],
    ids=lambda term: ascii(term)[:24],
)
def test_no_search_term_breaks_the_list(boss, crowd, term):
    answer = boss.client.get(LIST, {"q": term}, follow=True)
    assert answer.status_code == 200
    assert "<script>alert" not in answer.content.decode()


def test_a_mapped_address_is_found_as_the_one_it_is(boss, ada):
    sign_in(ada, name="mapped", ip="192.0.2.4")
    assert devices(boss.get(q="::ffff:192.0.2.4")) == ["mapped"]


# The detail


def test_the_detail_shows_the_session_and_everything_that_happened_to_it(boss, ada):
    phone = sign_in(ada, name="Pocket", id="pocket-1", ip="198.51.100.7")
    boss.kick(phone.session, reason="lost on the train")
    page = boss.detail(phone.session)
    assert page.status_code == 200
    text = page.content.decode()
    for shown in ("Pocket", "pocket-1", "198.51.100.7", FIREFOX, str(phone.session.pk)):
        assert html.escape(shown) in text
    events = re.search(r'id="events-heading".*?<tbody>(.*?)</tbody>', text, re.DOTALL)[1]
    opened, ended = (
        [text_of(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr.*?</tr>", events, re.DOTALL)
    )
    assert opened[1:] == ["Signed in", "-", "ada", "198.51.100.7", FIREFOX, "-"]
    assert ended[1:] == ["Ended", "kicked", "admin", DESK_IP, FIREFOX, "lost on the train"]


def test_the_detail_shows_no_secret(boss, ada):
    phone = sign_in(ada)
    row = phone.session
    text = boss.detail(row).content.decode()
    salt = bytes(row.salt)
    for secret in (salt.hex(), repr(salt), row.fingerprint, phone.access_token, phone.refresh_token):
        assert secret not in text
    assert not re.search(r"salt|fingerprint|adopted", text)


def test_nothing_on_the_detail_can_be_changed(boss, ada):
    phone = sign_in(ada, name="Pocket")
    page = boss.detail(phone.session)
    assert not re.search(
        r'name="(_save|device_name|user|ended_at|_continue|_addanother)"', page.content.decode()
    )
    assert "deletelink" not in page.content.decode()
    token = Form(page).filled()["csrfmiddlewaretoken"]
    sent = {"device_name": "mine", "_save": "Save", "csrfmiddlewaretoken": token}
    assert boss.client.post(f"{LIST}{phone.session.pk}/change/", sent).status_code == 403
    assert DeviceSession.objects.get(pk=phone.session.pk).device_name == "Pocket"


def test_nobody_adds_or_deletes_not_even_the_superuser(boss, ada):
    phone = sign_in(ada)
    assert boss.get(f"{LIST}add/").status_code == 403
    assert boss.get(f"{LIST}{phone.session.pk}/delete/").status_code == 403
    assert actions(boss.get()) == ["kick", "kick_everywhere"]
    boss.choose("delete_selected", phone.session, post="yes")
    assert status_of(phone) == "live"


@pytest.mark.parametrize(
    "sid", ["nonsense", "0190a5e0-0000-7000-8000-000000000000", "_00", "%00", "x" * 2000]
)
def test_a_detail_that_does_not_exist_leads_back_to_the_index(boss, sid):
    answer = boss.get(f"{LIST}{sid}/change/")
    assert answer.status_code in {302, 404}


def test_the_history_shows_who_kicked(boss, ada):
    phone = sign_in(ada)
    boss.kick(phone.session, reason="lost on the train")
    page = boss.get(f"{LIST}{phone.session.pk}/history/")
    assert page.status_code == 200
    assert "lost on the train" in page.content.decode()


# Permissions


def test_staff_without_a_permission_sees_nothing(desk, staff, ada):
    phone, visitor = sign_in(ada), desk(staff)
    assert "devicesession" not in visitor.get("/admin/").content.decode()
    assert visitor.get().status_code == 403
    assert visitor.detail(phone.session).status_code == 403
    assert visitor.choose("kick", phone.session, post="yes").status_code == 403
    assert visitor.choose("kick_everywhere", phone.session, post="yes").status_code == 403
    assert status_of(phone) == "live"


def test_who_may_only_look_is_offered_no_action_and_has_none(desk, staff, ada):
    phone, viewer = sign_in(ada, name="Pocket"), desk(staff, "view_devicesession")
    assert "Pocket" in devices(viewer.get())
    assert viewer.detail(phone.session).status_code == 200
    assert actions(viewer.get()) == []
    for action in ("kick", "kick_everywhere"):
        viewer.choose(action, phone.session, post="yes", reason="")
    assert status_of(phone) == "live"


def test_who_may_kick_also_sees_and_kicks_but_not_everywhere(desk, staff, ada):
    phone, laptop = sign_in(ada, name="Pocket"), sign_in(ada, name="Lap")
    kicker = desk(staff, "kick_devicesession")
    assert {"Pocket", "Lap"} <= set(devices(kicker.get()))
    assert kicker.detail(phone.session).status_code == 200
    assert actions(kicker.get()) == ["kick"]
    kicker.choose("kick_everywhere", phone.session, post="yes", reason="")
    assert (status_of(phone), status_of(laptop)) == ("live", "live")
    kicker.kick(phone.session)
    assert (status_of(phone), status_of(laptop)) == ("kicked", "live")


def test_kicking_everywhere_is_a_permission_of_its_own(desk, staff, ada):
    phone, laptop = sign_in(ada, name="Pocket"), sign_in(ada, name="Lap")
    kicker = desk(staff, "kick_everywhere_devicesession")
    assert {"Pocket", "Lap"} <= set(devices(kicker.get()))
    assert actions(kicker.get()) == ["kick_everywhere"]
    kicker.choose("kick", phone.session, post="yes", reason="")
    assert (status_of(phone), status_of(laptop)) == ("live", "live")
    kicker.kick(phone.session, action="kick_everywhere")
    assert (status_of(phone), status_of(laptop)) == ("kicked", "kicked")


@pytest.mark.parametrize("codename", ["add", "change", "delete"])
def test_the_permissions_that_django_makes_allow_nothing(desk, staff, ada, codename):
    phone, visitor = sign_in(ada), desk(staff, f"{codename}_devicesession")
    visitor.choose("kick", phone.session, post="yes", reason="")
    assert status_of(phone) == "live"
    for path in (f"{LIST}add/", f"{LIST}{phone.session.pk}/delete/"):
        assert visitor.get(path).status_code == 403
    assert (
        visitor.client.post(f"{LIST}{phone.session.pk}/change/", {"device_name": "mine"}).status_code == 403
    )


def test_a_visitor_who_is_no_staff_is_sent_to_the_login(ada):
    phone, client = sign_in(ada), Client()
    assert is_login(client.get(LIST))
    client.force_login(ada)
    assert is_login(client.get(LIST))
    assert is_login(
        client.post(LIST, {"action": "kick", "_selected_action": [phone.session.pk], "post": "yes"})
    )
    assert status_of(phone) == "live"


# Kicking out


@pytest.mark.parametrize("action", ["kick", "kick_everywhere"])
def test_a_page_asks_first_and_until_then_nothing_has_ended(boss, ada, action):
    phone = sign_in(ada, ip="198.51.100.7")
    question = boss.choose(action, phone.session)
    text = question.content.decode()
    assert question.status_code == 200
    assert "Are you sure" in text
    assert "198.51.100.7" in text
    assert "reason" in Form(question).names
    assert status_of(phone) == "live"
    assert not LogEntry.objects.exists()
    assert not SessionEvent.objects.filter(kind="ended").exists()


def test_kicking_ends_the_selected_sessions_and_no_other(boss, ada, bob):
    phone, laptop, other = sign_in(ada), sign_in(ada), sign_in(bob)
    third = sign_in(ada)
    answer = boss.kick(phone.session, other.session)
    assert said(answer) == ["2 sessions were ended."]
    found = [status_of(credentials) for credentials in (phone, other, laptop, third)]
    assert found == ["kicked", "kicked", "live", "live"]


def test_kicking_everywhere_ends_all_sessions_of_the_selected_users(boss, ada, bob):
    phone, laptop, other = sign_in(ada), sign_in(ada), sign_in(bob)
    question = boss.choose("kick_everywhere", phone.session)
    assert "this user" in question.content.decode()
    answer = boss.confirm(question)
    assert said(answer) == ["2 sessions were ended."]
    assert [status_of(credentials) for credentials in (phone, laptop, other)] == ["kicked", "kicked", "live"]


def test_kicking_everywhere_spares_no_login_under_way(boss, ada, bob):
    """One that began before the kick, and is committed after it."""
    phone, other = sign_in(ada), sign_in(bob)
    question = boss.choose("kick_everywhere", phone.session)
    late = sign_in(ada)
    row = DeviceSession.objects.filter(pk=late.session.pk)
    row.update(idle_expires_at=late.session.created_at)  # no door sees it yet
    assert said(boss.confirm(question)) == ["1 session was ended."]
    row.update(idle_expires_at=late.session.idle_expires_at)
    with pytest.raises(SessionEnded):
        recognize(late.access_token)
    assert recognize(other.access_token) == other.session


def test_kicking_everywhere_from_a_session_that_has_ended_ends_the_others_of_its_user(boss, ada, bob):
    phone, laptop, other = sign_in(ada), sign_in(ada), sign_in(bob)
    end_session(phone.session, EndReason.LOGOUT)
    boss.kick(phone.session, action="kick_everywhere")
    assert [status_of(credentials) for credentials in (phone, laptop, other)] == ["logout", "kicked", "live"]


@pytest.mark.parametrize("action", ["kick", "kick_everywhere"])
def test_a_kick_writes_down_who_from_where_and_why(boss, ada, action):
    phone = sign_in(ada)
    boss.kick(phone.session, reason="lost on the train", action=action)
    event = ending(phone)
    assert (event.outcome, event.actor, event.actor_label) == ("kicked", boss.user, "admin")
    assert (event.ip, event.user_agent, event.note) == (DESK_IP, FIREFOX, "lost on the train")
    row = DeviceSession.objects.get(pk=phone.session.pk)
    assert (row.end_reason, row.ended_by, row.ended_at) == ("kicked", boss.user, event.at)
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (boss.user, str(phone.session.pk))
    assert entry.content_type.model == "devicesession"
    assert "lost on the train" in entry.get_change_message()


def test_each_session_kicked_has_an_event_and_a_log_entry_of_its_own(boss, ada):
    made = [sign_in(ada) for _ in range(3)]
    boss.kick(*[credentials.session for credentials in made])
    kicked = sorted(str(credentials.session.pk) for credentials in made)
    assert sorted(LogEntry.objects.values_list("object_id", flat=True)) == kicked
    events = SessionEvent.objects.filter(kind="ended", outcome="kicked")
    assert sorted(map(str, events.values_list("session_id", flat=True))) == kicked


def test_a_reason_is_optional(boss, ada):
    phone = sign_in(ada)
    boss.kick(phone.session)
    assert (status_of(phone), ending(phone).note) == ("kicked", "")


@pytest.mark.parametrize("reason", ["x" * 201, "nul\x00"])
def test_a_reason_that_cannot_be_kept_is_asked_for_again(boss, ada, reason):
    phone = sign_in(ada)
    question = boss.choose("kick", phone.session)
    again = boss.confirm(question, reason)
    assert again.status_code == 200
    assert "errorlist" in again.content.decode()
    assert status_of(phone) == "live"
    boss.confirm(again, "shorter")
    assert ending(phone).note == "shorter"


def test_the_longest_reason_is_kept_whole(boss, ada):
    phone, reason = sign_in(ada), "ß💩" * 100
    boss.kick(phone.session, reason=reason)
    assert ending(phone).note == reason


def test_no_row_selected_ends_nothing_and_says_so(boss, ada):
    phone = sign_in(ada)
    answer = boss.choose("kick", post="yes", reason="")
    assert answer.status_code == 302
    assert said(boss.get()) == [
        "Items must be selected in order to perform actions on them. No items have been changed."
    ]
    assert status_of(phone) == "live"


def test_a_session_that_has_ended_is_not_ended_again(boss, ada):
    phone = sign_in(ada)
    end_session(phone.session, EndReason.LOGOUT)
    question = boss.choose("kick", phone.session)
    assert "None of them is signed in any more." in question.content.decode()
    assert said(boss.confirm(question)) == ["0 sessions were ended."]
    assert (status_of(phone), ending(phone).outcome) == ("logout", "logout")
    assert not LogEntry.objects.exists()


def test_a_session_that_ended_while_the_page_was_asking_keeps_its_reason(boss, ada):
    phone, laptop = sign_in(ada), sign_in(ada)
    question = boss.choose("kick", phone.session, laptop.session)
    end_session(phone.session, EndReason.LOGOUT)
    assert said(boss.confirm(question)) == ["1 session was ended."]
    assert (status_of(phone), status_of(laptop)) == ("logout", "kicked")


@pytest.mark.parametrize(
    "selected", ["nonsense", "\x00", "' OR 1=1 --", "0190a5e0-0000-7000-8000-000000000000"]
)
def test_a_mangled_selection_ends_nothing(boss, ada, selected):
    phone = sign_in(ada)
    answer = boss.choose("kick", _selected_action=[selected], post="yes", reason="")
    assert answer.status_code < 500
    assert status_of(phone) == "live"


def test_a_kick_without_a_csrf_token_is_refused(boss, ada):
    phone = sign_in(ada)
    sent = {"action": "kick", "_selected_action": [str(phone.session.pk)], "post": "yes", "reason": ""}
    assert boss.client.post(LIST, sent).status_code == 403
    assert status_of(phone) == "live"


def test_all_pages_of_a_list_are_kicked_at_once(boss, ada, bob):
    made = [sign_in(ada) for _ in range(60)]
    other = sign_in(bob)
    path = f"{LIST}?q=ada"
    question = boss.choose("kick", made[0].session, path=path, select_across="1")
    assert "these 60 device sessions" in question.content.decode()
    assert said(boss.confirm(question, "all of them", path=path)) == ["60 sessions were ended."]
    assert {status_of(credentials) for credentials in made} == {"kicked"}
    assert status_of(other) == "live"
    assert status_of_row(boss.session) == "live"
    assert LogEntry.objects.count() == 60


def status_of_row(session):
    return session.ended_reason() or "live"


def test_a_long_confirmation_lists_the_first_hundred_and_ends_all(boss, ada):
    made = [sign_in(ada) for _ in range(103)]
    question = boss.choose("kick_everywhere", made[0].session)
    text = question.content.decode()
    assert "Shown are the 100 that were used last, of 103." in text
    assert text.count('<th scope="row" class="authx-address"><bdi>ada</bdi></th>') == 100
    ended = boss.client.post(LIST, Form(question).filled(reason="", number="103"), follow=True)
    assert said(ended) == ["103 sessions were ended."]
    assert {status_of(credentials) for credentials in made} == {"kicked"}


# Whom it may hit


def test_kicking_an_admin_ends_that_admin_login_too(boss, desk, make_user):
    other = desk(make_user("other", is_staff=True, is_superuser=True))
    assert other.get().status_code == 200
    boss.kick(other.session)
    answer = other.get("/admin/")
    assert is_login(answer)
    assert other.client.get(answer.url).status_code == 200
    assert is_login(other.get())
    assert boss.get().status_code == 200


def test_what_was_begun_by_an_admin_who_is_kicked_ends_nothing(boss, desk, make_user, ada):
    phone = sign_in(ada)
    other = desk(make_user("other", is_staff=True, is_superuser=True))
    question = other.choose("kick", phone.session)
    boss.kick(other.session)
    assert is_login(other.client.post(LIST, Form(question).filled(reason="revenge")))
    assert status_of(phone) == "live"


def test_kicking_oneself_leads_to_the_login(boss):
    question = boss.choose("kick", boss.session)
    answer = boss.client.post(LIST, Form(question).filled(reason="done for today", include_own="on"))
    assert answer.status_code == 302
    assert is_login(boss.get())
    event = SessionEvent.objects.get(kind="ended")
    assert (event.outcome, event.actor, event.note) == ("kicked", boss.user, "done for today")
    assert LogEntry.objects.get().user == boss.user


@pytest.mark.parametrize("action", ["kick", "kick_everywhere"])
def test_a_login_too_long_ago_is_asked_to_confirm_before_it_kicks(boss, ada, settings, action, password):
    settings.AUTHX_STAFF_MAX_AUTH_AGE = timedelta(minutes=10)
    phone = sign_in(ada)
    question = boss.choose(action, phone.session)
    change(boss.session, auth_time=timezone.now() - timedelta(minutes=11))
    refused = boss.client.post(LIST, Form(question).filled(reason=""))
    assert refused["Location"] == f"/account/confirm/?next={LIST}"
    asked = boss.client.get(refused["Location"])
    assert said(asked) == ["You signed in too long ago to do this. Confirm that it is you, then try again."]
    assert "Are you sure" not in boss.choose(action, phone.session).content.decode()
    assert boss.get().status_code == 200
    assert status_of(phone) == "live"
    confirmed = boss.client.post("/account/confirm/", Form(asked).filled(password=password))
    assert confirmed["Location"] == LIST
    boss.kick(phone.session, action=action)
    assert status_of(phone) == "kicked"


def test_staff_are_led_back_to_the_list_as_they_had_filtered_it(boss, ada, settings):
    settings.AUTHX_STAFF_MAX_AUTH_AGE = timedelta(minutes=10)
    phone = sign_in(ada)
    change(boss.session, auth_time=timezone.now() - timedelta(minutes=11))
    chosen = {"action": "kick", "_selected_action": [str(phone.session.pk)]}
    sent = Form(boss.get()).filled(**chosen, index="0")
    refused = boss.client.post(LIST, sent, headers={"referer": f"http://testserver{LIST}?status=live"})
    assert parse_qs(urlsplit(refused["Location"]).query) == {"next": [f"{LIST}?status=live"]}


def test_without_our_pages_staff_are_told_to_sign_in_again(boss, ada, settings):
    settings.AUTHX_STAFF_MAX_AUTH_AGE = timedelta(minutes=10)
    settings.ROOT_URLCONF = "tests.without_pages_urls"
    phone = sign_in(ada)
    change(boss.session, auth_time=timezone.now() - timedelta(minutes=11))
    assert boss.choose("kick", phone.session)["Location"] == LIST
    assert said(boss.get()) == ["You signed in too long ago to do this: sign out, sign in and try again."]
    assert status_of(phone) == "live"


def test_the_old_one_shows_where_it_went_on(boss, ada):
    phone = sign_in(ada)
    assert "continued as" in boss.detail(phone.session).content.decode().lower()
    new = continue_session(phone.session, NOBODY, methods=["pwd"], came_back=True)
    page = boss.detail(phone.session).content.decode()
    assert f'<a href="{LIST}{new.session.pk}/change/">{new.session.pk}</a>' in page


@pytest.mark.parametrize("action", ["kick", "kick_everywhere"])
def test_a_session_chosen_before_its_step_up_ends_in_the_one_that_continues_it(boss, ada, action):
    phone = sign_in(ada)
    question = boss.choose(action, phone.session)
    new = continue_session(phone.session, NOBODY, methods=["pwd"], came_back=True)
    assert said(boss.confirm(question)) == ["1 session was ended."]
    assert status_of(new) == "kicked"
    assert status_of(phone) == "superseded"


def test_a_deleted_account_leaves_its_sessions_to_read(boss, ada):
    phone, key = sign_in(ada, name="Pocket"), ada.pk
    ada.delete()
    row = rows(boss.get(q=str(phone.session.pk)))[0]
    assert (row["user"], row["status"]) == ("-", "User deleted")
    page = boss.detail(phone.session)
    assert page.status_code == 200
    subject = re.search(
        r'class="[^"]*field-subject.*?readonly">(.*?)</div>', page.content.decode(), re.DOTALL
    )
    assert text_of(subject[1]) == str(key)
    for action in ("kick", "kick_everywhere"):
        assert said(boss.kick(phone.session, action=action)) == ["0 sessions were ended."]


def test_a_live_session_without_a_user_can_be_kicked(boss, ada):
    phone = sign_in(ada, name="Pocket")
    change(phone.session, user=None)
    for action in ("kick", "kick_everywhere"):
        question = boss.choose(action, phone.session)
        assert "None" not in text_of(question.content.decode())
    assert said(boss.confirm(question)) == ["1 session was ended."]


# What others wrote


def test_what_a_stranger_named_is_shown_as_text(boss, make_user):
    hostile = make_user(MARKUP)
    made = sign_in(hostile, name=MARKUP, id=MARKUP, agent=f"Mozilla/5.0 {MARKUP}")
    change(made.session, device_label=MARKUP, device_type="<b>type</b>")
    pages = [
        boss.get(),
        boss.get(device_type="<b>type</b>"),
        boss.get(q=MARKUP),
        boss.detail(made.session),
        question := boss.choose("kick", made.session),
        boss.choose("kick_everywhere", made.session),
        boss.confirm(question, MARKUP),
        boss.detail(made.session),
        boss.get(f"{LIST}{made.session.pk}/history/"),
        boss.get("/admin/"),
    ]
    for page in pages:
        text = page.content.decode()
        assert page.status_code == 200
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "<b>type" not in text
        assert "&lt;script&gt;alert(1)" in text or "\\u003Cscript" in text


def test_staff_see_that_answers_kept_getting_lost(boss, ada):
    phone = sign_in(ada, id="the phone").session
    end_session(phone, "reused")
    change(phone, answers_lost=True)
    (row,) = rows(boss.get(q="ada"))
    assert row["status"] == "Copied token"
    assert "answers kept getting lost" in boss.get(q="ada").content.decode()
    assert "answers kept getting lost" in boss.detail(phone).content.decode()


def test_staff_see_both_places_that_a_copied_session_is_used_from(boss, ada):
    opened = sign_in(ada, ip="203.0.113.7", agent="Fox/1")
    now = opened.session.rotated_at + timedelta(minutes=1)
    for token, ip, agent in (
        (opened.refresh_token, "203.0.113.8", "Fox/2"),
        (another_branch(opened), "2001:db8::66", "Fox/3"),
    ):
        request = RequestFactory().post("/", REMOTE_ADDR=ip, headers={"User-Agent": agent})
        refresh_session(token, request, now=now)
    page = boss.detail(opened.session).content.decode()
    for there in (
        "Used from two places",
        "T3x",
        '2001:db8::66</bdi><br><bdi dir="ltr">203.0.113.8',
        'Fox/3</bdi><br><bdi dir="ltr">Fox/2',
    ):
        assert there in page


@pytest.mark.parametrize("agent", ["", "\x00\x01\x1b[2J", "x" * 9000, "\u202egnp.exe", "%s %(x)s {0}", "ﷺ💩"])
def test_no_user_agent_breaks_a_page(boss, ada, agent):
    made = sign_in(ada, agent=agent.encode().decode("latin-1"), name="odd")
    assert "odd" in devices(boss.get())
    page = boss.detail(made.session)
    assert page.status_code == 200
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", page.content.decode())
