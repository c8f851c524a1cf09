"""authx.sessions.user_changes: what happens to a user's sessions when the user changes."""

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.admin.models import LogEntry
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.hashers import acheck_password, check_password, make_password
from django.contrib.sessions.models import Session
from django.db import connection, models, transaction
from django.db.models.signals import post_save
from django.test.utils import isolate_apps
from django.utils import timezone

from authx.core.actor import NOBODY
from authx.errors import SessionEnded
from authx.models import DeviceSession, SessionEvent
from authx.sessions import end_session, open_session, recognize, refresh_session
from authx.sessions.continuing import continue_session
from tests.rows import row

STRONGER = [
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.MD5PasswordHasher",
]


def fetched(user):
    """The user as another request would load it."""
    return get_user_model()._default_manager.get(pk=user.pk)


def assert_goes_on(credentials):
    assert row(credentials).ended_at is None
    assert recognize(credentials.access_token).pk == credentials.session.pk
    assert refresh_session(credentials.refresh_token).session.pk == credentials.session.pk


def assert_ended(credentials, reason):
    """At once, by signal: the row says so before anybody asks."""
    ended = row(credentials)
    assert (ended.end_reason, ended.ended_at is None) == (reason, False)
    for use in (
        lambda: recognize(credentials.access_token),
        lambda: refresh_session(credentials.refresh_token),
    ):
        with pytest.raises(SessionEnded) as refused:
            use()
        assert refused.value.reason == reason
    events = SessionEvent.objects.filter(session=ended.pk, kind="ended")
    assert list(events.values_list("outcome", flat=True)) == [reason]


# A new password


def test_a_new_password_ends_every_session_of_the_user(ada, opened):
    elsewhere = open_session(ada)
    ada.set_password("another")
    ada.save()
    assert_ended(opened, "password_changed")
    assert_ended(elsewhere, "password_changed")


def test_and_nobody_elses(ada, bob, opened):
    bob.set_password("another")
    bob.save()
    assert_goes_on(opened)


def test_it_is_enough_to_save_the_one_field(ada, opened):
    ada.set_password("another")
    ada.save(update_fields=["password"])
    assert_ended(opened, "password_changed")


def test_whoever_loaded_the_user_may_save_it(ada, opened):
    user = fetched(ada)
    user.set_password("another")
    user.save()
    assert_ended(opened, "password_changed")


def test_an_unusable_password_is_a_new_one(ada, opened):
    ada.set_unusable_password()
    ada.save()
    assert_ended(opened, "password_changed")


def test_the_same_password_set_again_is_a_new_one_too(ada, opened, password):
    ada.set_password(password)
    ada.save()
    assert_ended(opened, "password_changed")


@pytest.mark.parametrize("fields", [None, ["password"]], ids=["all fields", "the one field"])
@pytest.mark.parametrize("loaded", [False, True], ids=["saved before", "just loaded"])
def test_a_new_hash_assigned_as_it_is_ends_them(ada, fields, loaded):
    ada.set_password("one")
    ada.save()
    opened = open_session(ada)
    user = fetched(ada) if loaded else ada
    user.password = make_password("another")
    user.save(update_fields=fields)
    assert_ended(opened, "password_changed")


def test_a_password_set_and_not_saved_ends_nobody(ada, opened):
    ada.set_password("another")
    ada.save(update_fields=["email"])
    assert_goes_on(opened)


def test_a_session_opened_with_the_new_password_stays(ada, opened):
    ada.set_password("another")
    ada.save()
    later = open_session(ada)
    ada.save()
    assert_goes_on(later)


@pytest.mark.parametrize("steps", [1, 2])
def test_what_continues_a_session_while_its_end_is_written_is_ended_too(transactional_db, ada, opened, steps):
    """A thief who knows the old password must not stay a step ahead of the new one."""
    line = [opened]

    def step_up_meanwhile(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        asks_which = sql.startswith("SELECT") and "fingerprint" in sql and "generation" not in sql
        if asks_which and len(line) <= steps:
            line.append(continue_session(line[-1].session, NOBODY, methods=["pwd"], came_back=True))
        return result

    with connection.execute_wrapper(step_up_meanwhile):
        ada.set_password("another")
        ada.save()
    assert [row(each).end_reason for each in line] == [*["superseded"] * steps, "password_changed"]


def test_a_password_changed_by_sql_is_noticed_by_the_next_save_of_anything(ada, opened):
    get_user_model()._default_manager.filter(pk=ada.pk).update(password=make_password("another"))
    fetched(ada).save()
    assert_ended(opened, "password_changed")


# Other fields


def test_saving_another_field_ends_nobody(ada, opened):
    ada.email = "ada@elsewhere.example"
    ada.save()
    assert_goes_on(opened)


def test_saving_a_user_that_was_loaded_in_part_ends_nobody(ada, opened):
    user = get_user_model()._default_manager.only("email").get(pk=ada.pk)
    user.email = "ada@elsewhere.example"
    user.save()
    assert_goes_on(opened)


def test_saving_fields_that_do_not_matter_asks_nothing_about_sessions(ada, opened, django_assert_num_queries):
    with django_assert_num_queries(1):
        ada.save(update_fields=["last_login"])


def test_a_new_user_has_no_sessions_to_ask_about(make_user, django_assert_num_queries):
    with django_assert_num_queries(1):
        make_user("new")


def test_deleting_what_is_no_user_stays_one_statement(ada, django_assert_num_queries):
    """Listening to every model's deletions would make Django load each row before it."""
    for number in "123":
        LogEntry.objects.create(user=ada, object_id=number, action_flag=1)
    with django_assert_num_queries(1):
        assert LogEntry.objects.all().delete()[0] == 3


def test_saving_what_is_no_user_stays_one_statement(db, django_assert_num_queries):
    with django_assert_num_queries(1):
        Session(session_key="k", expire_date=timezone.now()).save(force_insert=True)


# Disabled, deleted


@pytest.mark.parametrize("fields", [None, ["is_active"]], ids=["all fields", "the one field"])
def test_disabling_a_user_ends_their_sessions(ada, bob, opened, fields):
    others = open_session(bob)
    ada.is_active = False
    ada.save(update_fields=fields)
    assert_ended(opened, "user_disabled")
    assert_goes_on(others)


def test_enabling_them_again_brings_no_session_back(ada, opened):
    ada.is_active = False
    ada.save()
    ada.is_active = True
    ada.save()
    assert_ended(opened, "user_disabled")


def test_a_session_that_had_ended_keeps_its_reason(ada, opened):
    end_session(opened.session, "logout")
    ada.is_active = False
    ada.set_password("another")
    ada.save()
    ada.delete()
    assert_ended(opened, "logout")


def test_deleting_a_user_ends_their_sessions_and_keeps_whose_they_were(ada, opened):
    subject = str(ada.pk)
    ada.delete()
    assert_ended(opened, "user_deleted")
    assert (row(opened).user, row(opened).subject) == (None, subject)


def test_deleting_users_in_bulk_does_the_same(ada, bob, opened):
    others = open_session(bob)
    get_user_model()._default_manager.all().delete()
    assert_ended(opened, "user_deleted")
    assert_ended(others, "user_deleted")


def test_deleting_an_administrator_keeps_what_they_ended(ada, admin, opened):
    end_session(opened.session, "kicked", by=admin)
    admin.delete()
    assert (row(opened).end_reason, row(opened).ended_by) == ("kicked", None)
    event = SessionEvent.objects.get(session=opened.session.pk, kind="ended")
    assert (event.outcome, event.actor) == ("kicked", None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", ["disable", "password", "delete"])
def test_a_change_that_is_rolled_back_ends_nobody(ada, opened, change):
    with transaction.atomic():
        user = fetched(ada)
        if change == "delete":
            user.delete()
        else:
            user.is_active = change != "disable"
            user.set_password("another")
            user.save()
        assert row(opened).ended_at is not None
        transaction.set_rollback(True)
    assert_goes_on(opened)


# Proxies


class Person(get_user_model()):
    """The site's own view of its users."""

    class Meta:
        proxy = True
        app_label = "tests"


@pytest.mark.parametrize(
    ("change", "reason"),
    [("password", "password_changed"), ("disable", "user_disabled"), ("delete", "user_deleted")],
)
def test_a_user_changed_through_a_proxy_is_the_same_user(ada, opened, change, reason):
    person = Person._default_manager.get(pk=ada.pk)
    if change == "delete":
        person.delete()
    else:
        person.is_active = change != "disable"
        person.set_password("another")
        person.save()
    assert_ended(opened, reason)


def test_a_model_may_be_made_while_the_user_model_is_not_installed(settings):
    """As Django's own tests do, and a project that is being moved to another one."""
    settings.AUTH_USER_MODEL = "nowhere.User"
    with isolate_apps("tests"):

        class Person(models.Model):
            class Meta:
                app_label = "tests"

    assert not post_save.has_listeners(Person)


# A better hash of the same password


@pytest.fixture
def stronger(settings, opened):
    """The site has moved to a stronger hasher since ada logged in."""
    settings.PASSWORD_HASHERS = STRONGER
    return opened


@pytest.mark.parametrize("way", ["check_password", "acheck_password", "authenticate"])
def test_a_hash_upgraded_at_login_ends_nobody_and_its_fingerprint_is_kept(ada, stronger, password, way):
    before = row(stronger).fingerprint
    user = fetched(ada)
    if way == "check_password":
        assert user.check_password(password)
    elif way == "acheck_password":
        assert async_to_sync(user.acheck_password)(password)
    else:
        assert authenticate(username=user.get_username(), password=password) == user
    assert fetched(ada).password.startswith("pbkdf2_sha256$")
    assert_goes_on(stronger)
    assert row(stronger).fingerprint != before


def by_set_password(user, raw):
    user.set_password(raw)
    user.save()


def hidden_from_password_changed(user, raw):
    user.set_password(raw)
    user._password = None
    user.save()


def with_other_fields(user, raw):
    user.set_password(raw)
    user.save(update_fields=["password", "email"])


def by_hash(user, raw):
    user.password = make_password(raw)
    user.save()


SETTERS = [by_set_password, hidden_from_password_changed, with_other_fields, by_hash]


@pytest.mark.parametrize("setter", SETTERS, ids=lambda setter: setter.__name__)
def test_a_site_may_save_the_upgraded_hash_in_its_own_way(ada, stronger, password, setter):
    elsewhere = open_session(ada)
    user = fetched(ada)
    assert check_password(password, user.password, lambda raw: setter(user, raw))
    assert fetched(ada).password.startswith("pbkdf2_sha256$")
    assert_goes_on(stronger)
    assert_goes_on(elsewhere)


@pytest.mark.parametrize("setter", SETTERS[:3], ids=lambda setter: setter.__name__)
def test_and_in_async_code(ada, stronger, password, setter):
    user = fetched(ada)

    async def save(raw):
        await sync_to_async(setter)(user, raw)

    assert async_to_sync(acheck_password)(password, user.password, save)
    assert fetched(ada).password.startswith("pbkdf2_sha256$")
    assert_goes_on(stronger)


@pytest.mark.parametrize("setter", SETTERS, ids=lambda setter: setter.__name__)
def test_another_password_saved_in_the_same_ways_is_a_change(ada, stronger, setter):
    setter(fetched(ada), "another")
    assert_ended(stronger, "password_changed")


@pytest.mark.parametrize(
    "setter", [by_set_password, with_other_fields, by_hash], ids=lambda setter: setter.__name__
)
def test_so_it_is_in_async_code(ada, stronger, setter):
    """Where only Django's own sign of an upgrade, a hidden password, is taken without a proof."""
    async_to_sync(sync_to_async(setter))(fetched(ada), "another")
    assert_ended(stronger, "password_changed")


def test_a_password_that_was_checked_before_is_still_a_change(ada, opened, password):
    """As every form does that asks for the old one."""
    user = fetched(ada)
    assert user.check_password(password)
    by_set_password(user, "another")
    assert_ended(opened, "password_changed")


def test_a_change_of_the_password_reads_no_user_for_that(ada, opened, django_assert_num_queries):
    user = fetched(ada)
    user.set_password("another")
    DeviceSession.objects.update(ended_at=timezone.now(), end_reason="logout")
    with django_assert_num_queries(2):  # the user; their live sessions, of which there are none
        user.save()


def test_every_session_of_the_user_is_kept(ada, stronger, password):
    elsewhere = open_session(ada)
    assert fetched(ada).check_password(password)
    assert_goes_on(stronger)
    assert_goes_on(elsewhere)


def test_an_upgrade_on_the_instance_that_was_saved_before_ends_nobody(ada, stronger, password):
    ada.save()
    assert ada.check_password(password)
    assert ada.password.startswith("pbkdf2_sha256$")
    assert_goes_on(stronger)


def test_a_wrong_password_upgrades_nothing_and_ends_nobody(ada, stronger):
    before = row(stronger).fingerprint
    assert not fetched(ada).check_password("wrong")
    assert row(stronger).fingerprint == before
    assert_goes_on(stronger)


def test_a_new_password_after_an_upgrade_ends_them_all_the_same(ada, stronger, password):
    user = fetched(ada)
    user.check_password(password)
    user.set_password("another")
    user.save(update_fields=["password"])
    assert_ended(stronger, "password_changed")


def test_a_new_hash_assigned_after_an_upgrade_ends_them_too(ada, stronger, password):
    user = fetched(ada)
    user.check_password(password)
    user.password = make_password("another")
    user.save(update_fields=["password"])
    assert_ended(stronger, "password_changed")


def test_a_new_password_is_not_taken_for_an_upgrade_because_the_old_hash_was_weak(ada, stronger):
    user = fetched(ada)
    user.set_password("another")
    user.save(update_fields=["password"])
    assert_ended(stronger, "password_changed")


def test_nor_is_a_new_hash_assigned_to_a_user_just_loaded(ada, stronger):
    user = fetched(ada)
    user.password = make_password("another")
    user.save(update_fields=["password"])
    assert_ended(stronger, "password_changed")


def test_a_password_given_to_who_had_none_ends_what_was_opened_without_one(ada, settings):
    ada.set_unusable_password()
    ada.save()
    opened = open_session(ada, amr=())
    ada.password = make_password("a first one")
    ada.save(update_fields=["password"])
    assert_ended(opened, "password_changed")


def test_an_upgrade_does_not_revive_a_session_of_an_older_password(ada, opened, settings, password):
    """The password was changed by SQL; logging in with the new one must not bless the old session."""
    get_user_model()._default_manager.filter(pk=ada.pk).update(password=make_password("new one"))
    settings.PASSWORD_HASHERS = STRONGER
    assert fetched(ada).check_password("new one")
    assert_ended(opened, "password_changed")


# Under a rotated SECRET_KEY


def test_saving_a_user_under_a_rotated_key_ends_nobody(ada, opened, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the-new-secret-key-of-the-site-long-and-random-enough"
    fetched(ada).save()
    assert_goes_on(opened)


def test_a_hash_upgraded_under_a_rotated_key_ends_nobody(ada, opened, settings, password):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the-new-secret-key-of-the-site-long-and-random-enough"
    settings.PASSWORD_HASHERS = STRONGER
    assert fetched(ada).check_password(password)
    assert_goes_on(opened)
