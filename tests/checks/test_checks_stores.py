"""authx.checks.stores: a Redis that would let somebody in by mistake is refused before it can."""

from datetime import timedelta

import pytest
from django.core.checks import run_checks

from authx.checks.stores import check_store
from tests.faults import RedisServer
from tests.gate.test_stores import redis_cache


def use(settings, cache, alias="sessions"):
    settings.CACHES = {**settings.CACHES, "sessions": cache}
    settings.AUTHX_REVOCATION_STORE, settings.AUTHX_REDIS_ALIAS = "redis", alias


def ids(found):
    return [message.id for message in found]


def test_the_default_needs_no_redis(settings):
    assert check_store() == []


def test_a_good_alias_is_fine(db, settings):
    use(settings, redis_cache())
    assert check_store() == []
    assert not [message for message in run_checks() if (message.id or "").startswith("authx.E01")]


@pytest.mark.parametrize(
    "backend",
    [
        "django.core.cache.backends.locmem.LocMemCache",
        "django.core.cache.backends.dummy.DummyCache",
        "django.core.cache.backends.redis.RedisCache",
    ],
)
def test_a_cache_that_is_not_django_redis_is_refused(settings, backend):
    use(settings, {"BACKEND": backend, "LOCATION": "redis://127.0.0.1:6379/0"})
    (message,) = check_store()
    assert message.id == "authx.E012"
    assert backend in message.msg
    assert "django_redis.cache.RedisCache" in message.hint


def test_an_alias_that_is_not_there_is_refused(settings):
    use(settings, redis_cache(), alias="sesions")
    (message,) = check_store()
    assert message.id == "authx.E012"
    assert "'sesions'" in message.msg
    assert "AUTHX_REDIS_ALIAS" in message.hint


def test_a_backend_that_cannot_be_imported_is_refused(settings):
    use(settings, {"BACKEND": "no_such_module.Cache"})
    assert ids(check_store()) == ["authx.E012"]


def test_an_alias_that_ignores_exceptions_is_refused(settings):
    use(settings, {**redis_cache(), "OPTIONS": {"IGNORE_EXCEPTIONS": True}})
    (message,) = check_store()
    assert message.id == "authx.E013"
    assert "IGNORE_EXCEPTIONS" in message.hint


def test_so_is_a_site_that_ignores_them_everywhere(settings):
    settings.DJANGO_REDIS_IGNORE_EXCEPTIONS = True
    use(settings, redis_cache())
    assert ids(check_store()) == ["authx.E013"]
    use(settings, {**redis_cache(), "OPTIONS": {"IGNORE_EXCEPTIONS": False}})
    assert check_store() == []


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("noeviction", []), ("allkeys-lru", ["authx.E014"]), ("volatile-ttl", ["authx.E014"])],
)
def test_a_redis_that_evicts_is_refused(settings, policy, expected):
    with RedisServer() as server:
        server.ask("CONFIG", "SET", "maxmemory-policy", policy)
        use(settings, {**redis_cache(), "LOCATION": f"redis://127.0.0.1:{server.port}/0"})
        found = check_store()
        assert ids(found) == expected
        assert all("noeviction" in message.hint and policy in message.msg for message in found)


def test_a_redis_that_is_down_is_not_held_against_it(settings):
    use(settings, {**redis_cache(), "LOCATION": "redis://127.0.0.1:1/0"})
    assert check_store() == []


def test_a_lag_on_a_store_of_ones_own_is_said_to_do_nothing(settings):
    settings.AUTHX_REVOCATION_STORE = "tests.gate.test_stores.Everybody"
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=1)
    assert ids(check_store()) == ["authx.W010"]


def test_a_wrong_setting_is_said_once(db, settings):
    settings.AUTHX_REVOCATION_STORE = "Redis"
    assert check_store() == []
    assert "authx.E001" in ids(run_checks())
