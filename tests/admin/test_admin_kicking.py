"""authx.admin.kicking: whom a kick of many spares, superusers and whoever kicks."""

from types import SimpleNamespace

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model

from authx.models import DeviceSession
from authx.sessions import open_session
from authx.sessions.kick_permissions import may_kick, may_kick_superusers, of_superusers
from tests.admin.test_admin import LIST, Form, boss, desk, said, sign_in, status_of  # noqa: F401

ACTIONS = ["kick", "kick_everywhere"]
PERMISSIONS = [f"{action}_devicesession" for action in ACTIONS]
BY_ACTION = pytest.mark.parametrize("action", ACTIONS)


@pytest.fixture
def kicker(desk, staff):  # noqa: F811
    return desk(staff, *PERMISSIONS)


@pytest.fixture
def stronger(desk, staff):  # noqa: F811
    return desk(staff, *PERMISSIONS, "kick_superuser_devicesession")


def own_sid(seat):
    return DeviceSession.objects.get(user=seat.user, device_label="Firefox on Linux", ended_at=None)


def is_live(row):
    row.refresh_from_db()
    return row.ended_reason() is None


# --- twice


@BY_ACTION
def test_a_second_click_ends_and_records_nothing(kicker, ada, action):
    phone = sign_in(ada)
    question = kicker.choose(action, phone.session)
    assert said(kicker.confirm(question)) == ["1 session was ended."]
    assert said(kicker.confirm(question)) == ["0 sessions were ended."]
    assert (LogEntry.objects.count(), phone.session.events.filter(kind="ended").count()) == (1, 1)


# --- superusers


@BY_ACTION
def test_a_superusers_session_takes_a_permission_of_its_own(kicker, admin, action):
    phone = sign_in(admin)
    question = kicker.choose(action, phone.session)
    assert "1 session of a superuser is left out" in question.content.decode()
    assert said(kicker.confirm(question)) == [
        "0 sessions were ended.",
        "1 session of a superuser was left out: you may not kick superusers out.",
    ]
    assert status_of(phone) == "live"
    assert not LogEntry.objects.exists()


@BY_ACTION
def test_without_asking_first_it_is_the_same(kicker, admin, action):
    phone = sign_in(admin)
    kicker.choose(action, phone.session, post="yes", reason="", include_own="on")
    assert status_of(phone) == "live"


@BY_ACTION
def test_who_has_it_kicks_superusers(stronger, admin, action):
    phone = sign_in(admin)
    question = stronger.choose(action, phone.session)
    assert "left out" not in question.content.decode()
    assert said(stronger.confirm(question)) == ["1 session was ended."]
    assert status_of(phone) == "kicked"


@BY_ACTION
def test_a_superuser_kicks_superusers(boss, make_user, action):  # noqa: F811
    phone = sign_in(make_user("other", is_superuser=True))
    assert said(boss.kick(phone.session, action=action)) == ["1 session was ended."]
    assert status_of(phone) == "kicked"


@pytest.mark.parametrize("held", PERMISSIONS)
def test_the_permission_alone_kicks_nobody(desk, staff, admin, ada, held):  # noqa: F811
    seat, phones = (
        desk(staff, "kick_superuser_devicesession", "view_devicesession"),
        (sign_in(admin), sign_in(ada)),
    )
    for action in ACTIONS:
        seat.choose(action, *[phone.session for phone in phones], post="yes", reason="")
    assert [status_of(phone) for phone in phones] == ["live", "live"]


@BY_ACTION
def test_superusers_among_others_are_left_out_and_the_others_are_not(kicker, admin, make_user, ada, action):
    made = [sign_in(user) for user in (ada, admin, make_user("other", is_superuser=True), ada)]
    question = kicker.choose(action, *[each.session for each in made])
    text = question.content.decode()
    assert "2 sessions of superusers are left out" in text
    assert '<th scope="row">admin</th>' not in text
    assert "<li>admin</li>" not in text
    assert said(kicker.confirm(question)) == [
        "2 sessions were ended.",
        "2 sessions of superusers were left out: you may not kick superusers out.",
    ]
    assert [status_of(each) for each in made] == ["kicked", "live", "live", "kicked"]
    assert LogEntry.objects.count() == 2


@BY_ACTION
def test_all_pages_of_a_list_spare_superusers_and_oneself(kicker, admin, ada, action):
    made = [sign_in(ada) for _ in range(55)]
    phone, mine = sign_in(admin), sign_in(kicker.user, name="mine")
    question = kicker.choose(action, phone.session, mine.session, select_across="1")
    kicker.confirm(question, "all of them")
    assert {status_of(each) for each in made} == {"kicked"}
    assert (status_of(phone), status_of(mine)) == ("live", "live")
    assert kicker.get().status_code == 200


@BY_ACTION
def test_who_became_a_superuser_while_the_page_was_asking_is_one(kicker, ada, action):
    phone = sign_in(ada)
    question = kicker.choose(action, phone.session)
    type(ada).objects.filter(pk=ada.pk).update(is_superuser=True)
    kicker.confirm(question)
    assert status_of(phone) == "live"


@BY_ACTION
def test_a_session_without_a_user_is_no_superusers(kicker, admin, action):
    phone = sign_in(admin)
    DeviceSession.objects.filter(pk=phone.session.pk).update(user=None)
    assert said(kicker.kick(phone.session, action=action)) == ["1 session was ended."]
    assert not is_live(phone.session)


def test_kicking_everywhere_from_a_superusers_ended_session_spares_the_others(kicker, admin):
    over, phone = sign_in(admin), sign_in(admin)
    kicker.choose("kick_everywhere", over.session)
    DeviceSession.objects.filter(pk=over.session.pk).update(ended_at=over.session.created_at)
    kicker.kick(over.session, action="kick_everywhere")
    assert status_of(phone) == "live"


# --- oneself


@BY_ACTION
def test_ones_own_sessions_are_left_out_unless_a_box_is_ticked(kicker, ada, action):
    phone, mine = sign_in(ada), sign_in(kicker.user, name="mine")
    question = kicker.choose(action, phone.session, mine.session)
    text, own = question.content.decode(), {"kick": 1, "kick_everywhere": 2}[action]
    assert "include_own" in Form(question).names
    assert "Include my own sessions" in text
    assert "unless you tick the box" in text
    assert '<th scope="row">staff</th>' not in text
    answer = kicker.confirm(question)
    assert said(answer)[0] == "1 session was ended."
    assert said(answer)[1].startswith(f"{own} session")
    assert "of your own" in said(answer)[1]
    assert (status_of(phone), status_of(mine)) == ("kicked", "live")
    assert kicker.get().status_code == 200


@BY_ACTION
def test_with_the_box_ticked_they_go_too(kicker, ada, action):
    phone, mine = sign_in(ada), sign_in(kicker.user, name="mine")
    question = kicker.choose(action, phone.session, mine.session)
    kicker.client.post(LIST, Form(question).filled(reason="", include_own="on"))
    assert (status_of(phone), status_of(mine)) == ("kicked", "kicked")


@BY_ACTION
def test_a_box_that_was_ticked_stays_ticked_where_the_reason_is_asked_for_again(kicker, action):
    mine = sign_in(kicker.user, name="mine")
    question = kicker.choose(action, mine.session)
    again = kicker.client.post(LIST, Form(question).filled(reason="x" * 201, include_own="on"))
    text = again.content.decode()
    assert 'name="include_own"' in text
    assert "checked" in text
    assert '<th scope="row">staff</th>' in text
    assert status_of(mine) == "live"


@BY_ACTION
def test_without_a_session_of_ones_own_there_is_no_box(kicker, ada, action):
    question = kicker.choose(action, sign_in(ada).session)
    assert "include_own" not in Form(question).names
    assert "your own" not in question.content.decode()


@BY_ACTION
def test_a_superuser_is_spared_by_their_own_kick_too(boss, ada, action):  # noqa: F811
    phone, mine = sign_in(ada), sign_in(boss.user, name="mine")
    boss.kick(phone.session, mine.session, action=action)
    assert (status_of(phone), status_of(mine)) == ("kicked", "live")


# --- user models that know no superusers, or know them otherwise


class Plain:
    """A user of a model without PermissionsMixin."""

    def has_perm(self, name):
        return name == "authx.kick_devicesession"


def test_a_user_model_may_have_no_superusers():
    assert may_kick(Plain(), Plain())
    assert not may_kick_superusers(Plain())


def test_superusers_may_be_told_by_a_property(ada, admin, monkeypatch):
    """As in Django's own example of a user model without PermissionsMixin."""
    sessions = [open_session(user).session for user in (ada, admin)]
    found = DeviceSession.objects.order_by("-created_at")
    assert list(found.filter(of_superusers(found))) == [sessions[1]]
    kept = get_user_model()._base_manager
    has_no_column = SimpleNamespace(concrete_fields=[])
    model = SimpleNamespace(_meta=has_no_column, _base_manager=kept, is_superuser=property(bool))
    monkeypatch.setattr("authx.sessions.kick_permissions.get_user_model", lambda: model)
    assert list(found.filter(of_superusers(found))) == [sessions[1]]
    assert list(found.exclude(of_superusers(found))) == [sessions[0]]
    del model.is_superuser
    assert not found.filter(of_superusers(found)).exists()
    assert found.exclude(of_superusers(found)).count() == 2
