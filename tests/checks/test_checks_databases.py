"""authx.checks.databases: our tables refer to users, so both have to be in one database."""

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import Tags, run_checks

from authx.checks.databases import check_databases


class Router:
    """Routes apps by their label, or the model of the users, as Django's documentation has it."""

    chosen: dict[str, str] = {}

    def db_for_read(self, model, **hints):
        return self.chosen.get(model._meta.app_label)

    db_for_write = db_for_read


@pytest.fixture
def route(settings, monkeypatch):
    """Route apps to aliases from now on."""
    for alias in ("people", "other"):
        monkeypatch.setitem(settings.DATABASES, alias, settings.DATABASES["default"])

    def route(**chosen):
        monkeypatch.setattr(Router, "chosen", chosen)
        settings.DATABASE_ROUTERS = [f"{__name__}.Router"]

    return route


def users():
    return get_user_model()._meta.app_label


def found():
    return [message.id for message in run_checks(tags=[Tags.security]) if message.id == "authx.E031"]


def test_a_site_without_routers_has_one_database():
    assert found() == []


@pytest.mark.parametrize("alias", ["default", "people"])
def test_so_has_one_whose_router_sends_both_to_the_same(alias, route):
    route(**{"authx": alias, users(): alias})
    assert found() == []


def test_users_in_another_database_are_out_of_reach(route):
    route(**{users(): "people"})
    (message,) = check_databases()
    assert message.id == "authx.E031"
    assert "'people'" in message.msg
    assert "'default'" in message.msg
    assert "authx" in message.hint
    assert found() == ["authx.E031"]


def test_so_are_they_where_our_tables_are_elsewhere(route):
    route(authx="other")
    assert found() == ["authx.E031"]
