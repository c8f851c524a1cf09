"""authx.sessions.new_devices: which login comes from a new device, and who may say whose it was."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from authx import signals
from authx.core.actor import Actor
from authx.core.auth_time import AUTH_TIME_UNKNOWN
from authx.models import DeviceSession, ServiceClient, SessionEvent, uuid7
from authx.sessions import Device, end_session, open_session
from authx.sessions.client_sessions import open_service_session
from authx.sessions.continuing import continue_after_password_change, continue_session
from authx.sessions.new_devices import SETTLED_AFTER, confirm, disown, may_confirm
from tests.clients import open_granted_session
from tests.racing import race
from tests.rows import row

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PHONE, LAPTOP, STRANGER = Device(id="phone"), Device(id="laptop"), Device(id="stranger")


def is_unconfirmed(opened):
    found = row(opened.session).is_unconfirmed
    assert opened.session.is_unconfirmed == found  # what the login's caller holds is what is stored
    return found


def announced(django_capture_on_commit_callbacks, *logins):
    heard = []

    def hear(sender, signal, session, is_new, **rest):
        heard.append(is_new)

    signals.device_session_opened.connect(hear)
    try:
        for login in logins:
            with django_capture_on_commit_callbacks(execute=True):
                login()
    finally:
        signals.device_session_opened.disconnect(hear)
    return heard


def kinds(session):
    return list(SessionEvent.objects.filter(session=session.pk).order_by("pk").values_list("kind", flat=True))


# Which device is new


def test_the_first_session_of_an_account_is_nobodys_question(ada):
    assert not is_unconfirmed(open_session(ada, device=PHONE))


def test_so_is_the_first_without_a_device_id(ada):
    assert not is_unconfirmed(open_session(ada))


def test_another_device_is_new_and_its_session_unconfirmed(ada):
    open_session(ada, device=PHONE, now=START)
    assert is_unconfirmed(open_session(ada, device=LAPTOP, now=START + HOUR))


def test_the_signal_says_so(ada, django_capture_on_commit_callbacks):
    def login(device):
        return lambda: open_session(ada, device=device)

    logins = [login(device) for device in (PHONE, PHONE, LAPTOP, LAPTOP, Device(), Device())]
    told = announced(django_capture_on_commit_callbacks, *logins)
    assert told == [False, False, True, False, True, True]


def test_a_device_stays_known_after_its_session_has_ended(ada):
    opened = open_session(ada, device=PHONE, now=START)
    end_session(opened.session, "logout")
    open_session(ada, device=LAPTOP, now=START + HOUR)
    assert not is_unconfirmed(open_session(ada, device=PHONE, now=START + 2 * HOUR))


def test_another_users_sessions_on_the_device_say_nothing(ada, bob):
    open_session(ada, device=PHONE)
    open_session(bob, device=LAPTOP)
    assert is_unconfirmed(open_session(bob, device=PHONE))
    assert not is_unconfirmed(open_session(ada, device=PHONE))


@pytest.mark.parametrize("device_id", ["phone1", "ph%ne", "ph_ne", "phone'; --"])
def test_an_id_that_only_resembles_is_another(ada, device_id):
    open_session(ada, device=PHONE)
    assert is_unconfirmed(open_session(ada, device=Device(id=device_id)))


def test_what_is_adopted_is_no_login(ada, django_capture_on_commit_callbacks):
    open_session(ada, device=PHONE)
    how = {"amr": (), "auth_time": AUTH_TIME_UNKNOWN, "adopted_from": "a" * 64}
    told = announced(django_capture_on_commit_callbacks, lambda: open_session(ada, device=LAPTOP, **how))
    assert told == [False]
    assert not DeviceSession.objects.get(device_id="laptop").is_unconfirmed
    assert not is_unconfirmed(open_session(ada, device=LAPTOP))


def test_a_clients_session_is_no_device_and_makes_none_known(ada, django_capture_on_commit_callbacks):
    client = ServiceClient(client_id="app-1", name="Reader")
    login = open_session(ada, device=PHONE).session
    granted = {"scope": "", "audience": [], "refreshable": True}
    told = announced(
        django_capture_on_commit_callbacks,
        lambda: open_granted_session(client, login, **granted),
        lambda: open_service_session(client),
    )
    assert told == [False, False]
    assert not DeviceSession.objects.exclude(client_id="").filter(is_unconfirmed=True).exists()


def test_a_client_before_the_first_login_leaves_it_the_first(ada, bob):
    client = ServiceClient(client_id="app-1", name="Reader")
    login = open_session(ada, device=PHONE).session
    open_granted_session(client, login, scope="", audience=[], refreshable=True)
    DeviceSession.objects.filter(pk=login.pk).delete()
    assert not is_unconfirmed(open_session(ada, device=LAPTOP))


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_each_is_new(ada):
    open_session(ada, device=PHONE)
    first, second = race(
        lambda: open_session(ada, device=LAPTOP).session, lambda: open_session(ada, device=STRANGER).session
    )
    assert [row(first).is_unconfirmed, row(second).is_unconfirmed] == [True, True]


@pytest.mark.parametrize("is_confirmed", [False, True], ids=["taken-back", "confirmed"])
def test_what_another_says_of_the_device_meanwhile_counts(ada, is_confirmed):
    """What is read before the transaction is looked at again in it."""
    open_session(ada, device=PHONE)
    earlier = open_session(ada, device=LAPTOP).session
    DeviceSession.objects.filter(pk=earlier.pk).update(is_unconfirmed=is_confirmed)
    meanwhile = [lambda: DeviceSession.objects.filter(pk=earlier.pk).update(is_unconfirmed=not is_confirmed)]

    def watch(execute, sql, params, many, context):
        if sql.startswith("INSERT") and "authx_devicesession" in sql and meanwhile:
            meanwhile.pop()()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        opened = open_session(ada, device=LAPTOP)
    assert not meanwhile
    assert is_unconfirmed(opened) is not is_confirmed


def test_an_undone_login_leaves_nothing_known(ada):
    open_session(ada, device=PHONE)
    with transaction.atomic():
        open_session(ada, device=LAPTOP)
        transaction.set_rollback(True)
    assert is_unconfirmed(open_session(ada, device=LAPTOP))


# Who signs in twice is as unknown as before


def test_a_second_login_of_a_new_device_is_not_new_and_unconfirmed_all_the_same(
    ada, django_capture_on_commit_callbacks
):
    open_session(ada, device=PHONE)
    again = []
    told = announced(
        django_capture_on_commit_callbacks,
        lambda: open_session(ada, device=STRANGER),
        lambda: again.append(open_session(ada, device=STRANGER)),
    )
    assert (told, is_unconfirmed(again[0])) == ([True, False], True)


def test_once_confirmed_a_device_stays_confirmed(ada):
    open_session(ada, device=PHONE)
    confirm(open_session(ada, device=LAPTOP).session)
    assert not is_unconfirmed(open_session(ada, device=LAPTOP))


@pytest.mark.parametrize(
    ("age", "reason", "asked"),
    [
        (SETTLED_AFTER - HOUR, "logout", True),
        (SETTLED_AFTER, "logout", False),
        (SETTLED_AFTER, None, False),
        (SETTLED_AFTER, "ended_by_user", True),
        (SETTLED_AFTER, "kicked", True),
        (SETTLED_AFTER, "reused", True),
        (SETTLED_AFTER, "password_changed", True),
        (SETTLED_AFTER, "credentials_changed", True),
        (SETTLED_AFTER, "user_disabled", True),
        (SETTLED_AFTER, "replaced", False),
        (SETTLED_AFTER, "expired", False),
    ],
)
def test_a_week_later_it_is_the_users_unless_somebody_objected(ada, age, reason, asked):
    """A user with one device changes it, and is asked about the next one by the new one all the same."""
    open_session(ada, device=PHONE, now=START - HOUR)
    opened = open_session(ada, device=LAPTOP, now=START)
    if reason is not None:
        end_session(opened.session, reason, now=START + HOUR)
    assert is_unconfirmed(open_session(ada, device=LAPTOP, now=START + age)) is asked


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("reason", "is_new"),
    [("ended_by_user", True), ("password_changed", True), ("logout", False), ("replaced", False)],
)
def test_whoever_was_signed_out_for_the_user_is_announced_when_they_come_back(ada, reason, is_new):
    """A stranger keeps the browser, and may get the next password as well."""
    heard = []

    def hear(is_new, **rest):
        heard.append(is_new)

    open_session(ada, device=PHONE, now=START - HOUR)
    stranger = open_session(ada, device=STRANGER, now=START).session
    end_session(stranger, reason, now=START + HOUR)
    signals.device_session_opened.connect(hear)
    try:
        for hours in (2, 3):
            open_session(ada, device=STRANGER, now=START + hours * HOUR)
    finally:
        signals.device_session_opened.disconnect(hear)
    assert heard == [is_new, False]


def test_a_known_device_that_is_signed_out_from_another_is_no_news(ada, django_capture_on_commit_callbacks):
    phone = open_session(ada, device=PHONE).session
    end_session(phone, "ended_by_user")
    told = announced(django_capture_on_commit_callbacks, lambda: open_session(ada, device=PHONE))
    assert told == [False]


def again(session, at):
    return open_session(session.user, device=LAPTOP, now=at).session


def stepped_up(session, at):
    return continue_session(row(session), Actor(), methods=("pwd",), came_back=True, now=at).session


@pytest.mark.parametrize("follow", [again, stepped_up])
def test_an_objection_is_to_the_logins_before_it_as_well(ada, follow):
    """Nor does it help to have signed in twice, or to have proved the password once more."""
    open_session(ada, device=PHONE, now=START - HOUR)
    first = open_session(ada, device=LAPTOP, now=START).session
    assert end_session(follow(first, START + HOUR), "ended_by_user", now=START + 2 * HOUR)
    assert is_unconfirmed(open_session(ada, device=LAPTOP, now=START + SETTLED_AFTER + HOUR))


@pytest.mark.databases("sqlite")  # which counts its own steps
def test_what_was_objected_to_a_thousand_logins_later_is_found_at_once(ada):
    """An app signs in again and again, until somebody has signed it out."""
    session = open_session(ada, device=LAPTOP, now=START).session
    columns = {field.attname: getattr(session, field.attname) for field in session._meta.concrete_fields}
    DeviceSession.objects.bulk_create(
        DeviceSession(
            **columns
            | {"id": uuid7(), "is_unconfirmed": True, "created_at": at, "ended_at": at, "end_reason": reason}
        )
        for at, reason in [
            *((START + number * timedelta(seconds=1), "logout") for number in range(2000)),
            (START + 2 * HOUR, "kicked"),
        ]
    )
    DeviceSession.objects.filter(pk=session.pk).update(
        is_unconfirmed=True, ended_at=START, end_reason="logout"
    )
    steps = []
    connection.connection.set_progress_handler(lambda: steps.append(1), 1000)
    try:
        opened = open_session(ada, device=LAPTOP, now=START + 2 * SETTLED_AFTER)
    finally:
        connection.connection.set_progress_handler(None, 1000)
    assert is_unconfirmed(opened)
    assert len(steps) < 2000


def test_an_objection_is_none_to_the_logins_after_it(ada):
    open_session(ada, device=PHONE, now=START - HOUR)
    first = open_session(ada, device=LAPTOP, now=START).session
    end_session(first, "ended_by_user", now=START + HOUR)
    end_session(again(first, START + 2 * HOUR), "logout", now=START + 3 * HOUR)
    assert not is_unconfirmed(open_session(ada, device=LAPTOP, now=START + SETTLED_AFTER + 2 * HOUR))


@pytest.mark.parametrize("unconfirmed", [False, True])
def test_a_step_up_keeps_what_is_known(ada, unconfirmed):
    open_session(ada, device=PHONE)
    login = open_session(ada, device=LAPTOP if unconfirmed else PHONE).session
    session = row(login)
    continued = continue_session(session, Actor(ada), methods=("pwd",), came_back=True).session
    assert row(continued).is_unconfirmed is unconfirmed
    again = continue_session(row(continued), Actor(ada), methods=("otp",), came_back=True).session
    assert row(again).is_unconfirmed is unconfirmed


def test_so_does_its_own_password_change(ada):
    open_session(ada, device=PHONE)
    login = open_session(ada, device=LAPTOP).session
    end_session(login, "password_changed")
    continued = continue_after_password_change(row(login), Actor(ada), came_back=True)
    assert row(continued.session).is_unconfirmed


def test_a_continued_session_is_replaced_by_the_next_login_of_its_device(ada):
    first = row(open_session(ada, device=PHONE).session)
    second = continue_session(first, Actor(ada), methods=("pwd",), came_back=True).session
    third = open_session(ada, device=PHONE).session
    assert (row(second).end_reason, row(third).end_reason) == ("replaced", "")


# Who may say so


@pytest.fixture
def phone(ada):
    return open_session(ada, device=PHONE).session


@pytest.fixture
def laptop(ada, phone):
    return open_session(ada, device=LAPTOP).session


def test_one_that_is_known_may(phone, laptop):
    assert may_confirm(phone, laptop)


def test_none_may_about_itself_nor_one_that_is_in_question_itself_nor_nobody(ada, phone, laptop):
    stranger = open_session(ada, device=STRANGER).session
    assert not may_confirm(laptop, laptop)
    assert not may_confirm(phone, phone)
    assert not may_confirm(laptop, stranger)
    assert not may_confirm(None, laptop)


def test_a_later_login_may_on_a_browser_that_is_known_by_its_own_cookie_alone(ada, phone, laptop):
    """A body may name any device: of a stranger's two logins the second would say yes to the first."""
    again = open_session(ada, device=PHONE).session
    assert not again.is_unconfirmed
    assert not may_confirm(again, laptop)
    assert not may_confirm(again, laptop, device_id=STRANGER.id)
    assert may_confirm(again, laptop, device_id=PHONE.id)


def test_a_login_from_before_may_after_any_number_of_step_ups(ada, phone, laptop):
    """An app whose id no cookie of its browser knows is asked for a proof before it answers."""
    found = row(phone)
    for _ in range(3):
        found = continue_session(found, Actor(ada), methods=("pwd",), came_back=True).session
    assert found.created_at > laptop.created_at
    assert may_confirm(found, laptop)


def test_a_later_login_may_not_after_a_step_up_either(ada, phone, laptop):
    again = row(open_session(ada, device=PHONE).session)
    continued = continue_session(again, Actor(ada), methods=("pwd",), came_back=True).session
    assert not continued.is_unconfirmed
    assert not may_confirm(continued, laptop)


def test_nor_one_that_changed_its_password_and_names_itself_as_its_successor(phone, laptop):
    DeviceSession.objects.filter(pk=phone.pk).update(
        successor=phone.pk, created_at=row(laptop).created_at + HOUR
    )
    assert not may_confirm(row(phone), laptop)


def test_confirming_is_recorded_once(ada, laptop):
    assert confirm(laptop, Actor(ada, "192.0.2.1"))
    assert not confirm(laptop, Actor(ada))
    assert not row(laptop).is_unconfirmed
    assert kinds(laptop) == ["opened", "confirmed"]
    event = SessionEvent.objects.get(kind="confirmed")
    assert (event.actor, event.ip) == (ada, "192.0.2.1")


def test_whoever_confirms_one_that_is_continued_confirms_what_continues_it(ada, laptop):
    first = continue_session(row(laptop), Actor(ada), methods=("pwd",), came_back=True).session
    second = continue_session(row(first), Actor(ada), methods=("otp",), came_back=True).session
    assert confirm(laptop)
    assert not row(second).is_unconfirmed
    assert kinds(second)[-1] == "confirmed"


@pytest.mark.parametrize("act", [confirm, disown])
def test_what_is_over_is_left_alone(laptop, act):
    end_session(laptop, "logout")
    assert act(laptop) is False
    assert row(laptop).end_reason == "logout"
    assert kinds(laptop) == ["opened", "ended"]


def test_what_its_user_disowns_ends_and_says_so(ada, phone, laptop):
    assert disown(laptop, Actor(ada))
    assert row(laptop).end_reason == "ended_by_user"
    assert kinds(laptop) == ["opened", "ended", "disowned"]
    assert row(phone).ended_at is None


def test_disowning_one_that_is_continued_ends_what_continues_it(ada, laptop):
    continued = continue_session(row(laptop), Actor(ada), methods=("pwd",), came_back=True).session
    assert disown(laptop)
    assert row(continued).end_reason == "ended_by_user"
