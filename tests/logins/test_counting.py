"""authx.logins.limit: what a try is counted for, and how long the next one waits."""

from typing import ClassVar

import pytest
from django.core.cache.backends.locmem import LocMemCache
from django.http import HttpResponse

from authx.http.device_cookie import remember_login
from authx.logins.limit import count_login

NOON = 1_772_366_400.0
OURS, THEIRS = "203.0.113.7", "203.0.113.8"


@pytest.fixture
def rates(settings):
    """Set how many tries an account has, and how many an address."""

    def set_rates(account=None, address=None):
        settings.AUTHX_LOGIN_RATE, settings.AUTHX_ADDRESS_RATE = account, address

    return set_rates


@pytest.fixture
def attempt(rf):
    """Count a try, at noon and from one address if nothing else is said."""

    def count(*names, finds=(None,), at=NOON, address=OURS, request=None):
        request = request or rf.post("/", REMOTE_ADDR=address)
        return count_login(request, names=names, subjects=finds, now=at)

    return count


def outcomes(counted):
    return [(each.wait, each.limit) for each in counted]


# What it is counted for


def test_a_name_has_so_many_tries_in_all_its_spellings(rates, attempt):
    rates(account="2/min")
    assert outcomes(attempt(name) for name in ("ada", " ADA", "\u00c1da")) == [
        (0, ""),
        (0, ""),
        (60, "account"),
    ]
    assert outcomes([attempt("bob")]) == [(0, "")]


def test_a_name_that_is_given_twice_is_tried_once(rates, attempt):
    rates(account="2/min")
    assert outcomes(attempt("ada", "Ada", finds=["7", "7"]) for _try in range(3))[1:] == [
        (0, ""),
        (60, "account"),
    ]


def test_all_names_that_find_an_account_share_its_tries(rates, attempt):
    rates(account="2/min")
    for name in ("ada", "ada@example.com"):
        assert attempt(name, finds=["7"]).wait == 0
    assert attempt("another", finds=["7"]).limit == "account"
    assert attempt("bob", finds=["8"]).wait == 0


def test_every_account_that_is_found_has_been_tried(rates, attempt):
    rates(account="1/min")
    assert attempt("ada", "bob@example.com", finds=["7", "8"]).wait == 0
    assert attempt("ada2", finds=["7"]).wait == 60
    assert attempt("bob2", finds=["8"]).wait == 60
    assert attempt("ada", finds=[None]).wait == 60
    assert attempt("bob@example.com", finds=[None]).wait == 60


def test_a_name_and_a_subject_of_one_spelling_are_two(rates, attempt):
    rates(account="1/min")
    assert attempt("7", finds=["1"]).wait == 0
    assert attempt("x", finds=["7"]).wait == 0
    assert attempt("y").wait == 0


def test_an_address_has_so_many_tries_whomever_it_tries(rates, attempt):
    rates(address="2/min")
    assert outcomes(attempt(name) for name in "abc") == [(0, ""), (0, ""), (60, "address")]
    assert attempt("d", address=THEIRS).wait == 0


@pytest.mark.parametrize("request_", [None, "no address"])
def test_without_an_address_the_account_alone_counts(request_, rates, rf):
    rates(account="2/min", address="1/min")
    request = request_ and rf.post("/", REMOTE_ADDR="")
    found = [count_login(request, names=["ada"], subjects=["7"], now=NOON) for _try in range(3)]
    assert outcomes(found) == [(0, ""), (0, ""), (60, "account")]


def test_without_rates_nothing_waits_and_nothing_is_counted(rates, attempt):
    rates()
    assert outcomes(attempt("ada") for _try in range(30)) == 30 * [(0, "")]
    rates(account="1/min", address="1/min")
    assert attempt("ada").wait == 0


def test_credentials_without_a_name_of_a_caller_without_an_address_are_nobodys(rates):
    rates(account="1/min", address="1/min")
    found = [count_login(None, names=[], subjects=[], now=NOON) for _try in range(3)]
    assert outcomes(found) == 3 * [(0, "")]


# How long the next one waits


def test_the_longest_wait_is_the_one_that_is_named(rates, attempt):
    rates(account="1/min", address="1/hour")
    attempt("ada")
    assert outcomes([attempt("ada", at=NOON + 10)]) == [(3590, "address")]
    assert outcomes([attempt("ada", at=NOON + 10, address=THEIRS)]) == [(50, "account")]


def test_also_where_it_is_the_accounts(rates, attempt):
    rates(account="1/hour", address="1/min")
    attempt("ada")
    assert outcomes([attempt("ada", at=NOON + 10)]) == [(3590, "account")]
    assert outcomes([attempt("bob", at=NOON + 10)]) == [(50, "address")]


def test_a_try_that_has_to_wait_uses_up_nothing_else(rates, attempt):
    rates(account="1/min", address="1/min")
    attempt("ada")
    assert attempt("bob").limit == "address"
    assert attempt("bob", address=THEIRS).wait == 0


def test_a_try_that_is_given_back_uses_up_nothing(rates, attempt):
    rates(account="1/min", address="1/min")
    for _try in range(5):
        counted = attempt("ada", finds=["7"])
        assert counted.wait == 0
        counted.give_back()
    assert attempt("ada", finds=["7"]).wait == 0
    for again in (attempt("ada"), attempt("x", finds=["7"]), attempt("y")):
        assert again.wait == 60
        again.give_back()
    assert attempt("ada").wait == 60


def test_without_an_injected_clock_it_is_the_systems(rates, rf):
    rates(account="1/hour")
    first, second = (count_login(None, names=["ada"], subjects=[None]) for _try in range(2))
    assert first.wait == 0
    assert 3590 <= second.wait <= 3600


# The browser of its owner


@pytest.fixture
def known(rf):
    """A request from a browser that these users have signed in from, in this order."""

    def browser(*subjects):
        request, response = rf.get("/"), HttpResponse()
        for subject in subjects:
            remember_login(request, response, subject)
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in response.cookies.items())
        return lambda: rf.post("/", REMOTE_ADDR=OURS, headers={"Cookie": cookies})

    return browser


def test_it_has_tries_of_its_own_and_no_other_limit(rates, attempt, known):
    rates(account="1/min", address="1/min")
    browser = known("7")
    attempt("ada", finds=["7"])
    assert attempt("ada", finds=["7"]).wait == 60
    assert outcomes([attempt("ada", finds=["7"], request=browser())]) == [(0, "")]
    assert outcomes([attempt("ada", finds=["7"], request=browser(), at=NOON + 10)]) == [(50, "device")]


def test_its_tries_are_nobody_elses(rates, attempt, known):
    rates(account="1/min", address="1/min")
    attempt("ada", finds=["7"], request=known("7")())
    assert attempt("ada", finds=["7"], request=known("7")()).wait == 0
    assert attempt("ada", finds=["7"]).wait == 0


@pytest.mark.parametrize("finds", [["8"], [None], ["7", "8"], ["7", None], []], ids=str)
def test_it_is_a_strangers_for_any_other_user_and_for_two_at_once(finds, rates, attempt, known):
    rates(address="1/min")
    browser = known("7")
    assert attempt("ada", finds=finds, request=browser()).wait == 0
    assert attempt("ada", finds=finds, request=browser()).limit == "address"


def test_that_of_a_user_called_none_is_not_nobodys(rates, attempt, known):
    rates(address="1/min")
    browser = known("None")
    assert attempt("ada", finds=[None], request=browser()).wait == 0
    assert attempt("ada", finds=[None], request=browser()).limit == "address"


def test_two_names_of_one_user_are_one_user(rates, attempt, known):
    rates(address="1/min")
    browser = known("8", "7")
    for _try in range(3):
        assert attempt("ada", "ada@example.com", finds=["7", "7"], request=browser()).wait == 0


# Nobody learns who exists


class AskedCache(LocMemCache):
    """Keeps what it is asked."""

    asked: ClassVar[list] = []

    def make_and_validate_key(self, key, version=None):
        AskedCache.asked.append(key)
        return super().make_and_validate_key(key, version)


@pytest.mark.parametrize("names", [["ada"], ["ada", "ada@example.com"], ["a", "b", "c"]], ids=str)
def test_names_that_find_nobody_cost_as_much_as_names_of_one_user(names, rates, attempt, settings):
    rates(account="10/min")
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.AskedCache", "LOCATION": f"{len(names)}"}}
    asked = []
    for finds in (["7", *[None] * (len(names) - 1)], ["8"] * len(names), [None] * len(names)):
        AskedCache.asked = []
        attempt(*(f"{name}-{finds}" for name in names), finds=finds)
        asked.append(len(AskedCache.asked))
    assert asked[0] == asked[1] == asked[2] > 0


# Behind a proxy that nobody named


def test_where_all_clients_have_one_address_it_has_no_limit_and_the_log_says_so_once(rates, rf, caplog):
    rates(address="1/min")
    for proxy in ("10.0.0.1", "10.0.0.2", "10.0.0.1"):
        request = rf.post("/", REMOTE_ADDR=proxy, headers={"X-Forwarded-For": OURS})
        assert count_login(request, names=["ada"], subjects=[None], now=NOON).wait == 0
    (said,) = caplog.records
    assert (said.name, said.levelname) == ("authx", "WARNING")
    assert "10.0.0.1" in said.getMessage()
    assert "AUTHX_TRUSTED_PROXIES" in said.getMessage()


class Timeouts(LocMemCache):
    """Keeps for how long it is to keep things."""

    kept: ClassVar[dict] = {}

    def add(self, key, value, timeout=None, version=None):
        Timeouts.kept[key] = timeout
        return super().add(key, value, timeout, version)


def test_and_again_after_an_hour(rates, rf, settings):
    rates()
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.Timeouts", "LOCATION": "timeouts"}}
    request = rf.post("/", REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": OURS})
    count_login(request, names=["ada"], subjects=[None])
    assert list(Timeouts.kept.values()) == [3600]
