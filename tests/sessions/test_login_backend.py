"""authx.sessions.login_backend: the backend that let a user in goes on deciding about them."""

import pytest
from django.contrib.auth import authenticate, get_user_model

from authx.core.actor import NOBODY
from authx.errors import LoginRefused, SessionEnded, StoreUnavailable
from authx.issuer.introspection import introspect
from authx.models import DeviceSession, SessionEvent
from authx.sessions import end_session, open_session, recognize, refresh_session
from authx.sessions.continuing import continue_session
from authx.sessions.lookup import find_by_sid
from tests.across.test_costs import kinds, statements
from tests.site import accepting

MODEL = "django.contrib.auth.backends.ModelBackend"
ALL_USERS = "django.contrib.auth.backends.AllowAllUsersModelBackend"
SITE = "tests.site.accepting"


@pytest.fixture
def use(settings):
    """Configure a backend of the site's beside Django's."""

    def configure(path):
        settings.AUTHENTICATION_BACKENDS = [MODEL, path or MODEL]
        return path

    return configure


def bulk_update(user, **change):
    get_user_model()._base_manager.filter(pk=user.pk).update(**change)


def ban(user):
    """As the site does it: without touching ``is_active``, and without a signal."""
    bulk_update(user, email="ada@banned.example")


def assert_live(opened):
    assert recognize(opened.access_token).pk == opened.session.pk
    assert refresh_session(opened.refresh_token).session.pk == opened.session.pk


def assert_disabled(opened):
    for use in (
        lambda: recognize(opened.access_token),
        lambda: refresh_session(opened.refresh_token),
    ):
        with pytest.raises(SessionEnded) as refused:
            use()
        assert refused.value.reason == "user_disabled"


# Which backend


def test_the_session_keeps_the_backend_that_authenticate_noted(ada, password):
    user = authenticate(username=ada.get_username(), password=password)
    assert open_session(user).session.backend == MODEL


def test_a_backend_that_is_given_counts_before_the_users(ada, use):
    path = use(f"{SITE}.Neither")
    ada.backend = MODEL
    assert open_session(ada, backend=path).session.backend == path


@pytest.mark.parametrize("noted", [None, 7, "ldap"], ids=repr)
def test_what_is_no_backend_of_the_site_is_not_taken_for_one(ada, noted):
    """A user model may have a column of this name."""
    ada.backend = noted
    opened = open_session(ada)
    assert opened.session.backend == ""
    assert_live(opened)


def test_a_session_opened_without_a_backend_goes_by_is_active(ada):
    opened = open_session(ada)
    assert_live(opened)
    bulk_update(ada, is_active=False)
    assert_disabled(opened)


def test_a_session_that_continues_another_keeps_its_backend(ada, use):
    before = open_session(ada, backend=use(f"{SITE}.Banning")).session
    after = continue_session(before, NOBODY, methods=("pwd",), came_back=True).session
    assert DeviceSession.objects.get(pk=after.pk).backend == before.backend


# A ban


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["Banning", "Finding", "Demanding", "made"])
def test_a_ban_by_the_sites_own_backend_ends_the_session_at_its_next_read(ada, use, name):
    opened = open_session(ada, backend=use(f"{SITE}.{name}"))
    assert_live(opened)
    ban(ada)
    assert_disabled(opened)
    row = DeviceSession.objects.get()
    assert (row.end_reason, row.ended_at is None) == ("user_disabled", False)
    assert SessionEvent.objects.filter(kind="ended").count() == 1
    bulk_update(ada, email="ada@example.com")
    assert_disabled(opened)


def test_introspection_says_so_too(ada, use):
    opened = open_session(ada, backend=use(f"{SITE}.Banning"))
    assert introspect(opened.access_token) is not None
    ban(ada)
    assert introspect(opened.access_token) is None


@pytest.mark.parametrize("name", ["Banning", "Finding", "Neither", "Bare", "Based"])
def test_is_active_goes_on_counting_where_a_backend_does_not_say_otherwise(ada, use, name):
    opened = open_session(ada, backend=use(f"{SITE}.{name}"))
    assert_live(opened)
    bulk_update(ada, is_active=False)
    assert_disabled(opened)


def test_a_ban_is_of_one_backend_alone(ada, use):
    banned = open_session(ada, backend=use(f"{SITE}.Banning"))
    other = open_session(ada, backend=MODEL)
    ban(ada)
    assert_disabled(banned)
    assert_live(other)


def test_a_backend_that_is_configured_no_more_lets_nobody_in(ada, use, settings):
    opened = open_session(ada, backend=use(f"{SITE}.Neither"))
    assert_live(opened)
    settings.AUTHENTICATION_BACKENDS = [MODEL]
    assert_disabled(opened)


# Inactive users whom a backend accepts


def test_a_backend_may_let_inactive_users_in_and_keep_them(ada, use):
    path = use(ALL_USERS)
    opened = open_session(ada, backend=path)
    bulk_update(ada, is_active=False)
    assert_live(opened)
    ada.refresh_from_db()
    ada.save()
    assert_live(opened)
    assert_live(open_session(ada, backend=path))
    with pytest.raises(LoginRefused):
        open_session(ada, backend=MODEL)


def test_saving_an_inactive_user_ends_the_other_sessions_at_once(ada, use):
    kept, ended = open_session(ada, backend=use(ALL_USERS)), open_session(ada, backend=MODEL)
    ada.is_active = False
    ada.save()
    found = dict(DeviceSession.objects.values_list("pk", "end_reason"))
    assert found == {kept.session.pk: "", ended.session.pk: "user_disabled"}


def test_saving_a_banned_user_ends_what_the_backend_refuses_at_once(ada, use):
    open_session(ada, backend=use(f"{SITE}.Banning"))
    ada.email = "ada@banned.example"
    ada.save()
    assert DeviceSession.objects.get().end_reason == "user_disabled"


def test_saving_a_user_where_their_backend_is_not_configured_ends_nobody(ada, use, settings):
    """A command may run with fewer backends than the site."""
    opened = open_session(ada, backend=use(f"{SITE}.Neither"))
    settings.AUTHENTICATION_BACKENDS = [MODEL]
    ada.save()
    use(f"{SITE}.Neither")
    assert_live(opened)


# Managers


@pytest.fixture
def manage(monkeypatch):
    """Give the user model another default manager."""

    def put(kind):
        manager = kind()
        manager.model = get_user_model()
        monkeypatch.setitem(vars(get_user_model()._meta), "default_manager", manager)

    return put


@pytest.mark.parametrize(
    "kind", [accepting.Hiding, accepting.HidingByQuerySet], ids=lambda kind: kind.__name__
)
def test_a_user_whom_the_default_manager_hides_is_refused(ada, manage, kind):
    opened = open_session(ada, backend=MODEL)
    manage(kind)
    assert_live(opened)
    ban(ada)
    assert_disabled(opened)


# A backend that fails


@pytest.mark.parametrize("name", ["Failing", "Missing"])
def test_a_backend_that_fails_ends_nobody_and_lets_nobody_in(ada, use, name, caplog):
    opened = open_session(ada, backend=MODEL)
    DeviceSession.objects.update(backend=use(f"{SITE}.{name}"))
    for ask in (recognize, introspect):
        with pytest.raises(StoreUnavailable):
            ask(opened.access_token)
    with pytest.raises(StoreUnavailable):
        refresh_session(opened.refresh_token)
    assert f"{SITE}.{name} cannot say" in caplog.text
    ada.save()
    DeviceSession.objects.update(backend=MODEL)
    assert_live(opened)


def test_an_ended_session_says_why_without_asking_the_backend(ada, use):
    opened = open_session(ada, backend=MODEL)
    DeviceSession.objects.update(backend=use(f"{SITE}.Failing"))
    end_session(opened.session, "logout")
    for ask in (lambda: recognize(opened.access_token), lambda: refresh_session(opened.refresh_token)):
        with pytest.raises(SessionEnded) as refused:
            ask()
        assert refused.value.reason == "logout"


# What it costs


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("", 0),
        (MODEL, 0),
        (ALL_USERS, 0),
        (f"{SITE}.Neither", 0),
        (f"{SITE}.Banning", 0),
        (f"{SITE}.Bare", 0),
        (f"{SITE}.Finding", 1),
    ],
)
def test_only_a_get_user_of_the_sites_own_costs_a_statement(transactional_db, ada, use, path, more):
    use(path)
    opened = open_session(ada, backend=path)
    for _ in range(6):  # PostgreSQL has prepared it by then
        _, asked = statements(lambda: find_by_sid(opened.session.pk))
        _, all_asked = statements(lambda: recognize(opened.access_token))
    assert kinds(asked) == ["SELECT"]
    assert len(all_asked) == 1 + more


@pytest.mark.parametrize(
    ("kind", "more"), [(accepting.Joining, 0), (accepting.Hiding, 1)], ids=["joining", "hiding"]
)
def test_a_default_manager_costs_one_only_if_it_may_hide(ada, manage, kind, more):
    opened = open_session(ada, backend=MODEL)
    manage(kind)
    _, asked = statements(lambda: recognize(opened.access_token))
    assert len(asked) == 1 + more
