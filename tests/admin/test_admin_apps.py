"""authx.admin: the sessions of apps and services, shown as theirs, and kicked like any other."""

import pytest

from authx.models import Consent, SessionEvent
from authx.sessions import open_session
from tests.admin.test_admin import Desk, devices
from tests.apps import API, connect, consent, make_client, reason_of, serve

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(admin, password):
    return Desk(admin, password)


@pytest.fixture
def app():
    return make_client("app-1", "Reader <b>")


@pytest.fixture
def login(ada):
    return open_session(ada).session


@pytest.fixture
def reader(app, login):
    return connect(app, login)


@pytest.fixture
def service(app):
    return serve(app)


def test_the_list_says_which_are_of_clients(boss, reader, service):
    assert devices(boss.get(held_by="apps")) == ["Reader <b> app-1"]
    assert devices(boss.get(held_by="services")) == ["Reader <b> app-1"]
    assert "Reader" not in "".join(devices(boss.get(held_by="logins")))
    assert len(devices(boss.get())) == 4
    assert len(devices(boss.get(held_by="nonsense"))) == 4
    assert (
        '<bdi>Reader &lt;b&gt;</bdi> <code dir="ltr">app-1</code>'
        in boss.get(held_by="apps").content.decode()
    )


def test_a_client_is_found_by_its_id(boss, reader, service):
    assert devices(boss.get(q="app-1")) == ["Reader <b> app-1"] * 2
    assert devices(boss.get(q="reader")) == ["Reader <b> app-1"] * 2


def test_the_detail_says_whose_it_is_and_what_it_may(boss, login, reader, service):
    page = boss.detail(reader).content.decode()
    for shown in ("Reader &lt;b&gt; <code>app-1</code>", "orders:read", API):
        assert shown in page
    assert "<td><bdi>app-1</bdi></td>" in page  # who opened it
    assert boss.detail(service).status_code == 200
    assert "orders:read" not in boss.detail(login).content.decode()


def test_they_are_kicked_like_any_other(boss, ada, app, login, reader, service):
    consent(app, ada)
    boss.kick(reader, reason="reads too much")
    boss.kick(service)
    assert [reason_of(one) for one in (login, reader, service)] == ["", "kicked", "kicked"]
    event = SessionEvent.objects.get(session=service, kind="ended")
    assert (event.actor, event.outcome) == (boss.user, "kicked")
    assert Consent.objects.exists()


def test_kicking_a_user_everywhere_ends_their_apps(boss, bob, app, login, reader, service):
    bobs = connect(app, open_session(bob).session)
    boss.kick(login, action="kick_everywhere")
    assert [reason_of(one) for one in (login, reader)] == ["kicked"] * 2
    assert [reason_of(one) for one in (bobs, service)] == [""] * 2


def test_kicking_an_app_everywhere_signs_its_user_out(boss, login, reader):
    boss.kick(reader, action="kick_everywhere")
    assert [reason_of(one) for one in (login, reader)] == ["kicked"] * 2


def test_kicking_a_service_everywhere_ends_its_session_alone(boss, login, reader, service):
    boss.kick(service, action="kick_everywhere")
    assert [reason_of(one) for one in (login, reader, service)] == ["", "", "kicked"]


@pytest.mark.user_model("auth.User")
def test_a_password_that_staff_set_ends_a_users_apps(boss, ada, login, reader):
    path = f"/admin/auth/user/{ada.pk}/password/"
    sent = {"password1": "another-good-one", "password2": "another-good-one", "usable_password": "true"}
    sent["csrfmiddlewaretoken"] = boss.client.get(path).context["csrf_token"]
    assert boss.client.post(path, sent).status_code == 302
    assert [reason_of(one) for one in (login, reader)] == ["password_changed"] * 2
