"""authx.api.views.staff: everybody's sessions, and kicking them out."""

import uuid
from datetime import timedelta
from itertools import chain
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from authx.core.actor import NOBODY
from authx.models import DeviceSession, EndReason, SessionEvent
from authx.sessions import Device, end_session, open_session
from authx.sessions.continuing import continue_session
from tests.api.calls import assert_ended, assert_live, client_of

LIST = "/api/auth/staff/sessions/"

STAFF_KEYS = {
    "id",
    "current",
    "device",
    "ip",
    "country",
    "created_at",
    "last_seen_at",
    "auth_time",
    "expires_at",
    "user_id",
    "username",
    "ended_at",
    "end_reason",
}


def allow(user, *codenames):
    found = Permission.objects.filter(codename__in=codenames, content_type__app_label="authx")
    assert found.count() == len(codenames)
    user.user_permissions.set(found)
    return user


@pytest.fixture
def kicker(staff):
    """A member of staff with the permissions for one session and for all of a user."""
    return allow(staff, "kick_devicesession", "kick_everywhere_devicesession")


@pytest.fixture
def desk(kicker):
    """The session of the one who kicks."""
    return open_session(kicker)


@pytest.fixture
def client(desk):
    return client_of(desk)


@pytest.fixture
def tablet(ada):
    return open_session(ada, device=Device(type="android"))


def kick_session(session):
    return f"/api/auth/staff/sessions/{getattr(session, 'pk', session)}/kick/"


def kick_user(user):
    return f"/api/auth/staff/users/{getattr(user, 'pk', user)}/kick/"


# Who may


@pytest.fixture
def routes(phone, ada):
    return [("get", LIST), ("post", kick_session(phone.session)), ("post", kick_user(ada))]


def test_nobody_may(api, routes, phone):
    for method, path in routes:
        response = getattr(api, method)(path)
        assert response.status_code == 401
        assert response["WWW-Authenticate"] == 'Bearer realm="api"'
        assert response.json()["code"] == "not_authenticated"
    assert_live(phone)


def test_without_the_permission_nobody_may_not_even_staff_nor_ones_own(routes, phone, bobs, staff):
    for credentials in (phone, bobs, open_session(staff)):
        for method, path in routes:
            response = getattr(client_of(credentials), method)(path)
            assert response.status_code == 403
            assert response.json()["code"] == "permission_denied"
            assert "WWW-Authenticate" not in response
    assert_live(phone)


def test_a_refusal_does_not_tell_whether_there_is_such_a_session(bobs, phone, ada):
    client = client_of(bobs)
    paths = [kick_session(phone.session), kick_session(uuid.uuid4()), kick_user(ada), kick_user(10**6)]
    answers = [client.post(path) for path in paths]
    assert {(answer.status_code, answer.content) for answer in answers} == {(403, answers[0].content)}


@pytest.mark.parametrize(
    ("missing", "answers"),
    [("kick_devicesession", [403, 403, 200]), ("kick_everywhere_devicesession", [200, 200, 403])],
)
def test_another_permission_is_not_enough(staff, routes, missing, answers):
    others = Permission.objects.filter(content_type__app_label="authx")
    staff.user_permissions.set(others.exclude(codename=missing))
    client = client_of(open_session(staff))
    assert [getattr(client, method)(path).status_code for method, path in routes] == answers


def test_the_permissions_are_enough(client, routes):
    assert {getattr(client, method)(path).status_code for method, path in routes} == {200}


ONE, ALL, SUPERUSER = "kick_devicesession", "kick_everywhere_devicesession", "kick_superuser_devicesession"
# Who has which permissions may end: one session of (an ordinary user, a superuser, their own), all of them.
MAY = {
    (): ("", ""),
    (ONE,): ("ordinary own", ""),
    (ALL,): ("", "ordinary own"),
    (SUPERUSER,): ("", ""),
    (ONE, ALL): ("ordinary own", "ordinary own"),
    (ONE, SUPERUSER): ("ordinary superuser own", ""),
    (ALL, SUPERUSER): ("", "ordinary superuser own"),
}


@pytest.mark.parametrize("held", MAY, ids=lambda held: "+".join(held) or "none")
@pytest.mark.parametrize("whose", ["ordinary", "superuser", "own"])
@pytest.mark.parametrize("route", [0, 1], ids=["one", "everywhere"])
def test_who_may_end_whose(staff, ada, admin, held, whose, route):
    caller = open_session(allow(staff, *held))
    target = {"ordinary": ada, "superuser": admin, "own": staff}[whose]
    session = caller if whose == "own" else open_session(target)
    path = kick_user(target) if route else kick_session(session.session)
    answer = client_of(caller).post(path)
    if whose in MAY[held][route].split():
        assert (answer.status_code, answer.json()) == (200, {"ended": 1})
        assert_ended(session, "kicked")
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
        assert_live(session)


@pytest.mark.parametrize("whose", ["ordinary", "superuser", "own"])
@pytest.mark.parametrize("path_of", [kick_session, kick_user])
def test_a_superuser_may_end_everybodys(admin, make_user, ada, whose, path_of):
    caller = open_session(admin)
    other = make_user("other", is_superuser=True)
    target = {"ordinary": ada, "superuser": other, "own": admin}[whose]
    session = caller if whose == "own" else open_session(target)
    path = kick_user(target) if path_of is kick_user else kick_session(session.session)
    assert client_of(caller).post(path).json() == {"ended": 1}
    assert_ended(session, "kicked")


def test_a_superuser_is_one_as_soon_as_the_row_says_so(client, phone, ada):
    """Also a disabled one, or one without access to the admin; and no longer than that."""
    type(ada).objects.filter(pk=ada.pk).update(is_superuser=True, is_staff=False)
    for path in (kick_session(phone.session), kick_user(ada)):
        answer = client.post(path)
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
        assert "kick_superuser_devicesession" in answer.json()["detail"]
    assert_live(phone)
    type(ada).objects.filter(pk=ada.pk).update(is_superuser=False)
    assert client.post(kick_session(phone.session)).json() == {"ended": 1}


def test_a_session_whose_user_is_gone_is_no_superusers(client, admin):
    opened = open_session(admin)
    DeviceSession.objects.filter(pk=opened.session.pk).update(user=None)
    assert client.post(kick_session(opened.session)).json() == {"ended": 1}


def test_who_may_not_kick_a_superuser_may_still_see_the_session(client, admin):
    opened = open_session(admin)
    assert str(opened.session.pk) in ids(client.get(LIST))


def test_a_superuser_needs_no_permission_of_their_own(admin, routes):
    client = client_of(open_session(admin))
    assert {getattr(client, method)(path).status_code for method, path in routes} == {200}


def test_by_cookie_a_kick_needs_the_csrf_token(desk, phone):
    browser = APIClient(enforce_csrf_checks=True)
    browser.cookies["__Host-authx_access"] = desk.access_token
    assert browser.post(kick_session(phone.session)).status_code == 403
    assert_live(phone)
    browser.get("/api/auth/login/")
    token = browser.cookies["csrftoken"].value
    response = browser.post(kick_session(phone.session), headers={"X-CSRFToken": token})
    assert response.json() == {"ended": 1}


def test_a_kick_is_a_post(client, phone, ada):
    for path in (kick_session(phone.session), kick_user(ada)):
        for method in ("get", "delete", "put"):
            assert getattr(client, method)(path).status_code == 405
    assert_live(phone)


# Kicking


def test_one_session_is_kicked(client, phone, tablet):
    response = client.post(kick_session(phone.session))
    assert (response.status_code, response.json()) == (200, {"ended": 1})
    assert_ended(phone, "kicked")
    assert_live(tablet)


def test_the_old_id_kicks_what_continues_it(client, phone):
    new = phone
    for _step in range(3):
        new = continue_session(new.session, NOBODY, methods=["pwd"], came_back=True)
    assert client.post(kick_session(phone.session)).json() == {"ended": 1}
    assert_ended(new, "kicked")
    assert client.post(kick_session(phone.session)).json() == {"ended": 0}


def test_a_session_kicked_twice_ends_once(client, phone):
    assert client.post(kick_session(phone.session)).json() == {"ended": 1}
    assert client.post(kick_session(phone.session)).json() == {"ended": 0}
    assert SessionEvent.objects.filter(kind=SessionEvent.Kind.ENDED).count() == 1


def test_a_session_that_ended_keeps_its_first_reason(client, phone):
    end_session(phone.session, EndReason.LOGOUT)
    assert client.post(kick_session(phone.session)).json() == {"ended": 0}
    assert_ended(phone, "logout")


def test_a_session_that_expired_is_not_kicked(client, phone):
    past = timezone.now() - timedelta(seconds=1)
    DeviceSession.objects.filter(pk=phone.session.pk).update(idle_expires_at=past)
    assert client.post(kick_session(phone.session)).json() == {"ended": 0}
    assert_ended(phone, "idle")


def test_all_sessions_of_a_user_are_kicked_and_nobody_elses(client, desk, phone, tablet, bobs, ada):
    assert client.post(kick_user(ada)).json() == {"ended": 2}
    assert_ended(phone, "kicked")
    assert_ended(tablet, "kicked")
    assert_live(bobs)
    assert_live(desk)
    assert client.post(kick_user(ada)).json() == {"ended": 0}


def test_a_user_without_sessions_is_kicked_out_of_none(client, ada):
    assert client.post(kick_user(ada)).json() == {"ended": 0}


def test_one_may_kick_oneself(client, desk, kicker):
    assert client.post(kick_user(kicker)).json() == {"ended": 1}
    assert_ended(desk, "kicked")


def test_an_unknown_session_is_not_found(client):
    response = client.post(kick_session(uuid.uuid4()))
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize(
    "pk",
    [
        "999999",
        "0",
        "-1",
        "x",
        "1.5",
        "%20",
        "%00",
        "1%00",
        "9" * 30,
        "9" * 5000,
        "%F0%9F%92%A9",
        "%FF",
        "NaN",
    ],
    ids=lambda pk: pk[:12],
)
def test_what_is_no_user_is_not_found(pk, client):
    response = client.post(kick_user(pk))
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize("spell", ["0{}", "+{}", " {}", "{}\u00a0", "{}_0", "{}.0", "{}%0A"])
def test_a_key_has_one_spelling(spell, client, phone, ada, make_user):
    """Else ``1_0`` is user 10, and a text that a database only collates alike is somebody else."""
    make_user("ten", pk=int(f"{ada.pk}0")) if str(ada.pk).isdigit() else None
    response = client.post(kick_user(spell.format(ada.pk)))
    assert response.status_code == 404
    assert DeviceSession.objects.get(pk=phone.session.pk).ended_at is None


def test_the_audit_says_who_kicked_and_why_and_from_where(client, phone, kicker):
    client.post(kick_session(phone.session), {"reason": "lost in a taxi"}, REMOTE_ADDR="192.0.2.7")
    event = SessionEvent.objects.get(kind=SessionEvent.Kind.ENDED)
    assert (event.session_id, event.outcome) == (phone.session.pk, "kicked")
    assert (event.actor, event.actor_label) == (kicker, kicker.get_username())
    assert (event.note, event.ip) == ("lost in a taxi", "192.0.2.7")
    assert DeviceSession.objects.get(pk=phone.session.pk).ended_by == kicker


def test_the_audit_says_why_for_each_session_of_a_user(client, phone, tablet, ada):
    client.post(kick_user(ada), {"reason": "left the company"})
    notes = SessionEvent.objects.filter(kind=SessionEvent.Kind.ENDED).values_list("note", flat=True)
    assert list(notes) == ["left the company"] * 2


def test_a_reason_is_kept_as_one_safe_line(client, phone):
    client.post(kick_session(phone.session), {"reason": "a\u202eb\r\n2026-01-01 forged"})
    note = SessionEvent.objects.get(kind=SessionEvent.Kind.ENDED).note
    assert note == "ab 2026-01-01 forged"


def test_the_one_kicked_is_not_told_the_staffs_reason(client, phone):
    client.post(kick_session(phone.session), {"reason": "canary-note"})
    assert "canary-note" not in client_of(phone).get("/api/whoami/").content.decode()


@pytest.mark.parametrize("body", [None, {}, {"reason": ""}, {"reason": "r" * 255}], ids=lambda b: str(b)[:14])
def test_a_reason_may_be_left_out(body, client, phone):
    assert client.post(kick_session(phone.session), body, format="json").json() == {"ended": 1}


@pytest.mark.parametrize(
    "body",
    [{"reason": "r" * 256}, {"reason": []}, {"reason": {}}, {"reason": "a\x00"}, [], "x"],
    ids=lambda body: str(body)[:14],
)
def test_a_wrong_reason_is_a_400_and_kicks_nobody(body, client, phone, ada):
    for path in (kick_session(phone.session), kick_user(ada)):
        assert client.post(path, body, format="json").status_code == 400
    assert_live(phone)


# The age of the login


@pytest.fixture
def old_desk(desk, settings):
    """The one who kicks logged in ten minutes ago; five are allowed."""
    settings.AUTHX_STAFF_MAX_AUTH_AGE = timedelta(minutes=5)
    long_ago = timezone.now() - timedelta(minutes=10)
    DeviceSession.objects.filter(pk=desk.session.pk).update(auth_time=long_ago)
    return desk


def test_an_old_login_must_be_proved_again(old_desk, client, phone, password, routes):
    for method, path in routes:
        response = getattr(client, method)(path)
        assert response.status_code == 401
        assert response.json() == {
            "detail": "A more recent login is required.",
            "code": "insufficient_user_authentication",
        }
        challenge = 'Bearer realm="api", error="insufficient_user_authentication", max_age="300"'
        assert response["WWW-Authenticate"] == challenge  # RFC 9470 §3
    assert_live(phone)

    proved = client.post("/api/auth/reauthenticate/", {"password": password}).json()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {proved['access_token']}")
    assert client.post(kick_session(phone.session)).json() == {"ended": 1}


def test_the_permission_is_asked_before_the_age(old_desk, staff, phone):
    staff.user_permissions.clear()
    assert client_of(old_desk).post(kick_session(phone.session)).status_code == 403


def test_a_recent_login_need_not_be_proved_again(client, phone, settings):
    settings.AUTHX_STAFF_MAX_AUTH_AGE = timedelta(minutes=5)
    assert client.post(kick_session(phone.session)).json() == {"ended": 1}


# The list


def ids(response):
    assert response.status_code == 200, response.content
    return [each["id"] for each in response.json()]


def sids(*credentials):
    return [str(each.session.pk) for each in credentials]


def test_everybodys_live_sessions_are_listed_with_whose_they_are(client, desk, phone, bobs, ada):
    response = client.get(LIST)
    shown = {each["id"]: each for each in response.json()}
    assert set(shown) == set(sids(desk, phone, bobs))
    assert all(set(each) == STAFF_KEYS for each in shown.values())
    adas = shown[str(phone.session.pk)]
    assert (adas["user_id"], adas["username"]) == (str(ada.pk), ada.get_username())
    assert (adas["ended_at"], adas["end_reason"], adas["current"]) == (None, "", False)
    assert adas["device"]["name"] == "Ada's phone"
    assert shown[str(desk.session.pk)]["current"] is True


def test_no_secret_is_listed(client, phone):
    text = client.get(LIST).content.decode()
    row = phone.session
    for secret in (phone.access_token, phone.refresh_token, bytes(row.salt).hex(), row.fingerprint):
        assert secret not in text


def test_the_newest_login_is_listed_first(client, desk, phone, bobs):
    now = timezone.now()
    for age, credentials in enumerate([bobs, desk, phone]):
        created_at = now - timedelta(hours=age)
        DeviceSession.objects.filter(pk=credentials.session.pk).update(created_at=created_at)
    assert ids(client.get(LIST)) == sids(bobs, desk, phone)


def test_the_list_is_narrowed_to_a_user(client, phone, tablet, bobs, ada):
    assert set(ids(client.get(LIST, {"user": ada.pk}))) == set(sids(phone, tablet))
    assert ids(client.get(LIST, {"user": "999999"})) == []


def test_the_list_is_narrowed_to_a_device_type(client, phone, tablet, bobs):
    assert ids(client.get(LIST, {"device_type": "ios"})) == sids(phone)
    assert ids(client.get(LIST, {"device_type": "toaster"})) == []


def test_the_list_is_narrowed_to_a_status(client, desk, phone, tablet):
    end_session(phone.session, EndReason.KICKED)
    assert ids(client.get(LIST, {"status": "ended"})) == sids(phone)
    assert set(ids(client.get(LIST, {"status": "live"}))) == set(sids(desk, tablet))
    assert set(ids(client.get(LIST, {"status": "all"}))) == set(sids(desk, phone, tablet))
    assert client.get(LIST, {"status": "ended"}).json()[0]["end_reason"] == "kicked"


def test_what_has_expired_is_not_listed_as_live(client, desk, phone):
    past = timezone.now() - timedelta(seconds=1)
    DeviceSession.objects.filter(pk=phone.session.pk).update(expires_at=past)
    assert ids(client.get(LIST)) == sids(desk)


def test_the_filters_work_together(client, phone, tablet, bobs, ada):
    assert ids(client.get(LIST, {"user": ada.pk, "device_type": "android"})) == sids(tablet)


def test_a_deleted_users_sessions_are_still_listed_among_the_ended(client, phone, ada):
    key = str(ada.pk)
    ada.delete()
    (shown,) = client.get(LIST, {"status": "ended"}).json()
    assert (shown["user_id"], shown["username"]) == (key, None)
    assert shown["end_reason"] == "user_deleted"


@pytest.mark.parametrize(
    "value", ["\x00", "a\x00b", "\udcff".encode("utf-8", "surrogateescape"), "é" * 300, "'"]
)
@pytest.mark.parametrize("name", ["user", "device_type"])
def test_a_filter_that_nothing_can_match_lists_nothing(name, value, client, phone):
    assert ids(client.get(LIST, {name: value})) == []


def next_page(response):
    """The query of the next page, or None."""
    link = response.get("Link")
    if link is None:
        return None
    target, _, relation = link.partition("; ")
    assert relation == 'rel="next"'
    assert (target[0], target[-1]) == ("<", ">")
    return parse_qs(urlsplit(target[1:-1]).query, strict_parsing=True)


def test_a_page_names_the_next_one_until_there_is_none(client, desk, phone, tablet, bobs):
    pages, query = [], {"limit": "3"}
    while query is not None:
        response = client.get(LIST, query)
        pages.append(ids(response))
        query = next_page(response)
    assert [len(page) for page in pages] == [3, 1]
    assert sorted(chain(*pages)) == sorted(sids(desk, phone, tablet, bobs))


def test_the_next_page_keeps_the_filters(client, phone, tablet, ada):
    query = next_page(client.get(LIST, {"user": ada.pk, "limit": 1, "status": "all"}))
    assert query == {"user": [str(ada.pk)], "limit": ["1"], "offset": ["1"], "status": ["all"]}


def test_a_full_last_page_names_no_next_one(client, desk, phone):
    assert "Link" not in client.get(LIST, {"limit": 2})


def test_what_the_caller_sends_cannot_break_the_link_header(client, phone, ada):
    evil = '>; rel="evil"\r\nX-Evil: 1, é'
    response = client.get(LIST, {"limit": 1, "x": evil})
    assert "X-Evil" not in response
    assert next_page(response)["x"] == [evil]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({"limit": "0"}, 1),
        ({"limit": "-1"}, 3),
        ({"limit": "x"}, 3),
        ({"limit": ""}, 3),
        ({"limit": "٣"}, 3),
        ({"limit": "2.0"}, 3),
        ({"limit": "9" * 5000}, 3),
        ({"limit": "1000"}, 3),
        ({"offset": "-1"}, 3),
        ({"offset": "x"}, 3),
        ({"offset": "2"}, 1),
        ({"offset": "3"}, 0),
        ({"offset": "999999999"}, 0),
        ({"offset": "9" * 30}, 3),
        ({"status": "x"}, 3),
    ],
    ids=str,
)
def test_a_strange_number_is_kept_in_bounds(query, shown, client, desk, phone, bobs):
    assert len(ids(client.get(LIST, query))) == shown


def test_a_page_is_never_longer_than_a_hundred(client, desk, ada):
    rows = []
    for _ in range(105):
        row = DeviceSession.objects.get(pk=desk.session.pk)
        row.pk, row.user, row.subject = uuid.uuid4(), ada, str(ada.pk)
        rows.append(row)
    DeviceSession.objects.bulk_create(rows)
    response = client.get(LIST, {"limit": 1000})
    assert len(ids(response)) == 100
    assert next_page(response)["offset"] == ["100"]


@pytest.mark.django_db(transaction=True)
def test_the_list_costs_as_many_statements_for_many_as_for_one(desk, ada, bob, client):
    def statements():
        with CaptureQueriesContext(connection) as captured:
            client.get(LIST)
        return len(captured)

    client.get(LIST)
    few = statements()
    for user in (ada, bob, ada, bob):
        open_session(user)
    assert statements() == few
