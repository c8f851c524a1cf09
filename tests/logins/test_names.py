"""authx.logins.names: which names an attempt tries, and whom each of them finds."""

import sys

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import MultipleObjectsReturned, ValidationError
from django.views.debug import ExceptionReporter

from authx.logins.names import find_users, is_guess, names_in

pytestmark = pytest.mark.user_model("auth.User")  # whose columns they name

DJANGOS = "django.contrib.auth.backends.ModelBackend"
OURS = "authx.backends.LoginLimitBackend"
CANARY = "correct-horse-battery-staple"


# What is a guess


@pytest.mark.parametrize(
    "credentials",
    [
        {"password": "x"},
        {"password": ""},
        {"password": "x", "username": "ada"},
        {"password": None, "username": "ada", "pin": "1234"},
        *({"username": "ada", key: "x"} for key in ("token", "otp_token", "API_KEY", "secret", "Passwd")),
        *({"username": "ada", key: "x"} for key in ("signature", "pin", "code", "OTP", "api")),
        {"email": "ada@example.com", "code": 0},
        {"phone": 5, "code": "1"},
    ],
    ids=str,
)
def test_a_password_is_a_guess_and_so_is_an_accounts_other_secret(credentials):
    assert is_guess(credentials)


@pytest.mark.parametrize(
    "credentials",
    [
        {},
        {"username": "ada"},
        {"username": "ada", "company": "acme"},
        {"username": "ada", "password": None},
        {"username": "ada", "pin": None},
        {"token": "x" * 40},
        {"username": "", "token": "x"},
        {"username": None, "token": "x"},
        {"company": "acme", "code": "x"},
    ],
    ids=str,
)
def test_anything_else_is_none(credentials):
    assert not is_guess(credentials)


# Which names are tried


@pytest.mark.parametrize(
    ("credentials", "names"),
    [
        ({"username": "ada", "password": "x"}, {"username": "ada"}),
        ({"email": "a@b.c", "username": "ada"}, {"username": "ada", "email": "a@b.c"}),
        ({"login": "ada", "phone": 491701}, {"login": "ada", "phone": "491701"}),
        ({"username": None, "email": "a@b.c"}, {"email": "a@b.c"}),
        ({"username": "", "email": "a@b.c"}, {"email": "a@b.c"}),
        ({"username": 0}, {"username": "0"}),
        ({"username": "ada", "company": "acme"}, {"username": "ada"}),
    ],
    ids=str,
)
def test_the_usual_keywords_are_names_whatever_stands_beside_them(credentials, names):
    assert names_in(credentials) == names


def test_also_where_people_sign_in_by_address(monkeypatch):
    monkeypatch.setattr(get_user_model(), "USERNAME_FIELD", "email")
    assert names_in({"username": "ada", "id": 7}) == {"username": "ada"}


@pytest.mark.parametrize(
    ("credentials", "names"),
    [
        ({"id": 7, "password": "x"}, {"id": "7"}),
        ({"company": "acme", "id": 7}, {"id": "7"}),
        ({"first_name": "Ada"}, {"": "first_name:Ada"}),  # not unique
        ({"groups": 7}, {"": "groups:7"}),  # a relation
        ({"logentry": 7}, {"": "logentry:7"}),  # another model's
    ],
    ids=str,
)
def test_without_them_unique_columns_are(credentials, names):
    assert names_in(credentials) == names


@pytest.mark.parametrize(
    "credentials",
    [
        {"company": "acme", "employee": 7},
        {"employee": 7, "company": "acme"},
        {"employee": 7, "company": "acme", "password": "x", "Pin": "1", "api_key": "y"},
        {"employee": 7, "company": "acme", "branch": "", "head": None, "tags": ["a"], "rate": 1.5},
        {"employee": 7, "company": "acme", "username": ""},
    ],
    ids=str,
)
def test_and_without_those_everything_together_but_secrets(credentials):
    assert names_in(credentials) == {"": "company:acme employee:7"}


@pytest.mark.parametrize(
    ("credentials", "names"),
    [
        ({"username": "", "password": "x"}, {"username": ""}),
        ({"username": "", "email": ""}, {"email": ""}),
        ({"company": "", "username": ""}, {"username": ""}),
        ({"company": ""}, {}),
        ({"id": ""}, {}),
        ({"username": None}, {}),
        ({"password": "x"}, {}),
        ({}, {}),
    ],
    ids=str,
)
def test_an_empty_field_is_one_empty_name_and_no_field_is_none(credentials, names):
    assert names_in(credentials) == names


def test_names_longer_than_any_form_lets_through_are_one():
    longest = "x" * 1016
    assert names_in({"username": longest}) == {"username": longest}
    longer = [names_in({"username": name}) for name in (f"{longest}y", f"y{longest}", "z" * 100_000)]
    assert longer[0] == longer[1] == longer[2]
    assert len(longer[0]["username"]) < 100
    together = [names_in({"company": name * 600, "employee": name * 600}) for name in "xy"]
    assert together[0] == together[1] == {"": longer[0]["username"]}


class Unreadable:
    """A name that fails when it is read."""

    def __str__(self):
        raise RuntimeError("no name")


@pytest.mark.parametrize("read", [is_guess, names_in])
def test_no_error_report_shows_the_secrets_beside_a_name_that_cannot_be_read(read):
    try:
        read({"username": Unreadable(), "pin": CANARY})
    except RuntimeError:
        report = ExceptionReporter(None, *sys.exc_info()).get_traceback_html()
    assert "authx/logins/names.py" in report
    assert CANARY not in report


# Whom they find


def found(**names):
    return find_users(names)


@pytest.mark.parametrize("keyword", ["username", "login"])
def test_a_name_finds_its_user(keyword, ada, bob):
    assert found(**{keyword: "ada"}) == [ada]
    assert found(**{keyword: "nobody"}) == [None]


def test_each_name_finds_its_own(ada, bob):
    assert found(username="bob", email=ada.email, phone="5", id=str(ada.pk)) == [bob, ada, None, ada]
    assert find_users({}) == []


def test_an_address_finds_its_user_whatever_the_case(ada, bob):
    assert found(email=ada.email.upper()) == [ada]
    assert found(email="nobody@example.com") == [None]


def test_an_address_of_several_users_finds_none_of_them(ada, make_user):
    make_user("eve", email=ada.email.title())
    assert found(email=ada.email) == [None]


@pytest.mark.parametrize("keyword", ["username", "email", "login", "id", "phone", ""])
@pytest.mark.parametrize("name", ["", "\0", "ada\0", "\ud800", "\ud800\uffff", "9" * 400], ids=ascii)
def test_what_no_database_stores_finds_nobody_and_raises_nothing(keyword, name, ada):
    get_user_model().objects.filter(pk=ada.pk).update(email="")
    assert find_users({keyword: name}) == [None]


def test_several_values_together_are_no_address(ada):
    assert find_users({"": ada.email}) == [None]


def test_a_column_that_is_not_unique_names_nobody(ada):
    get_user_model().objects.filter(pk=ada.pk).update(first_name="Ada")
    assert found(first_name="Ada") == [None]
    assert found(id="not-a-number") == [None]
    assert found(id=str(ada.pk + 1000)) == [None]


def test_an_address_is_a_name_where_a_backend_of_others_may_take_it_for_one(ada, settings):
    for backends, finds in [
        ([DJANGOS], None),
        ([OURS, DJANGOS], None),
        ([OURS, "somebody.elses.Backend"], ada),
        (["authxtra.Backend", DJANGOS], ada),
    ]:
        settings.AUTHENTICATION_BACKENDS = backends
        assert found(username=ada.email.upper()) == [finds], backends
        assert found(login=ada.email) == [finds], backends


def test_a_name_that_is_somebody_elses_address_is_first_of_all_a_name(ada, make_user, settings):
    settings.AUTHENTICATION_BACKENDS = ["somebody.elses.Backend"]
    eve = make_user(ada.email, email="eve@example.com")
    assert found(username=ada.email) == [eve]


def test_what_is_no_address_is_not_looked_for_among_them(ada, settings):
    settings.AUTHENTICATION_BACKENDS = ["somebody.elses.Backend"]
    get_user_model().objects.filter(pk=ada.pk).update(email="no-address")
    assert found(username="no-address") == [None]
    assert found(email="no-address") == [ada]


def test_where_people_sign_in_by_address_it_is_found_as_django_finds_it(ada, monkeypatch, settings):
    settings.AUTHENTICATION_BACKENDS = ["somebody.elses.Backend"]
    monkeypatch.setattr(get_user_model(), "USERNAME_FIELD", "email")
    # A database may compare without regard to case.
    other_case = list(get_user_model().objects.filter(email=ada.email.upper())) or [None]
    for keyword in ("email", "username", "login"):
        assert found(**{keyword: ada.email}) == [ada]
        assert found(**{keyword: ada.email.upper()}) == other_case


def test_where_mail_goes_to_another_address_one_signs_in_with_the_first(
    ada, make_user, monkeypatch, settings
):
    make_user("eve", last_name="Ada@example.com")
    carol = make_user("carol", last_name="Carol@mail.example")
    monkeypatch.setattr(get_user_model(), "USERNAME_FIELD", "email")
    monkeypatch.setattr(get_user_model(), "EMAIL_FIELD", "last_name")  # stands for a column of addresses
    assert found(email="ada@example.com") == [ada]
    settings.AUTHENTICATION_BACKENDS = ["somebody.elses.Backend"]
    assert found(email="ada@example.com", username="CAROL@mail.example") == [ada, carol]


def test_a_user_model_without_addresses_has_none_to_find(ada, monkeypatch, settings):
    settings.AUTHENTICATION_BACKENDS = ["somebody.elses.Backend"]
    monkeypatch.setattr(get_user_model(), "EMAIL_FIELD", "")
    assert found(email=ada.email) == [None]
    assert found(username=ada.email) == [None]
    assert found(username="ada") == [ada]


class OddManager:
    """A site's own, whose look-up fails."""

    def __init__(self, error):
        self.error = error

    def get_by_natural_key(self, name):
        raise self.error

    def get(self, **query):
        raise self.error


class Plain:
    """A site's own manager, which knows no natural keys."""

    def get(self, **query):
        return get_user_model()._base_manager.get(**query)


def test_where_there_are_no_natural_keys_the_column_is_asked(ada, monkeypatch):
    monkeypatch.setitem(vars(get_user_model()._meta), "default_manager", Plain())
    assert found(username="ada") == [ada]
    assert found(username="nobody") == [None]


@pytest.mark.parametrize("keyword", ["username", "id"])
@pytest.mark.parametrize(
    "error",
    [get_user_model().DoesNotExist, MultipleObjectsReturned, ValidationError, ValueError, OverflowError],
)
def test_a_look_up_that_finds_none_or_several_finds_nobody(error, keyword, monkeypatch, db):
    monkeypatch.setitem(vars(get_user_model()._meta), "default_manager", OddManager(error("no")))
    assert find_users({keyword: "7"}) == [None]


@pytest.mark.parametrize("keyword", ["username", "id"])
def test_another_error_is_no_answer(keyword, monkeypatch, db):
    monkeypatch.setitem(vars(get_user_model()._meta), "default_manager", OddManager(RuntimeError("down")))
    with pytest.raises(RuntimeError, match="down"):
        find_users({keyword: "7"})
