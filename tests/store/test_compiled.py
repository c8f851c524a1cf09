"""authx.store.compiled: what it reads and writes is what the queryset would."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import models
from django.db.models.functions import Length

from authx.issuer.client_lookup import find_client
from authx.models import ServiceClient
from authx.sessions.clients_together import read_together
from authx.store.compiled import Compiled, CompiledUpdate, Given, Parameter, names_of
from tests.granted import make_client

pytestmark = pytest.mark.django_db

FULL = {
    "jwks": {"keys": [{"kty": "EC", "percent": "100 %s %% %"}]},
    "origins": ["https://spa.example"],
    "idle_lifetime": timedelta(days=2, microseconds=3),
    "disabled_at": datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC),
    "trusted": True,
    "audience": "https://ünï.example/%s",
}
EMPTY = {"jwks": None, "redirect_uris": None, "grant_types": None, "resources": None, "scope": ""}


@pytest.mark.parametrize("columns", [FULL, EMPTY], ids=["full", "empty"])
def test_a_client_is_read_as_a_queryset_reads_it(columns):
    make_client("one", **columns)
    expected = ServiceClient.objects.get(client_id="one")
    for found in [find_client("one"), read_together("one").by_id("one")] * 4:
        assert [getattr(found, name) for name in names_of(ServiceClient)] == [
            getattr(expected, name) for name in names_of(ServiceClient)
        ]
        assert (found._state.db, found._state.adding) == ("default", False)


def test_who_is_asked_about_is_read_together_and_nobody_else():
    for name in ("asks", "called", "other", "stranger"):
        make_client(name, audience=f"https://{name}.example/")
    found = read_together("asks", ["https://called.example/", "https://nobody.example/"], "other")
    assert {one.client_id for one in found.clients} == {"asks", "called", "other"}
    assert found.session is None
    assert found.answers(["https://nobody.example/"], "other")
    assert not found.answers(["https://stranger.example/"])
    assert not found.answers([], "stranger")


def test_constants_keep_their_places_among_what_is_given():
    make_client("one", name="abc", scope="")
    make_client("two", name="abcd", scope="")

    def build(alias):
        rows = ServiceClient.objects.using(alias).annotate(length=Length("name")).order_by("client_id")
        wanted = rows.filter(client_id=Given("client_id"), scope="", length=3, auth_method="client_secret")
        return wanted.values_list("client_id", "length")

    statement = Compiled(build)
    assert statement.first({"client_id": "one"}) == ["one", 3]
    assert statement.first({"client_id": "two"}) is None
    assert statement.all({"client_id": "one"}) == [["one", 3]]


def test_an_update_changes_what_it_is_given_and_counts_it():
    for name in ("one", "two", "three"):
        make_client(name, scope="x" if name == "three" else "")

    def build(alias):
        rows = ServiceClient.objects.using(alias).filter(scope=Given("scope"), disabled_at=None)
        return rows, {"trusted": Parameter("trusted", models.BooleanField()), "audience": "same"}

    update = CompiledUpdate(build)
    assert update.run({"scope": "", "trusted": True}) == 2
    assert update.run({"scope": "y", "trusted": True}) == 0
    assert update.run({"scope": "x", "trusted": False}) == 1
    assert set(ServiceClient.objects.values_list("client_id", "trusted", "audience")) == {
        ("one", True, "same"),
        ("two", True, "same"),
        ("three", False, "same"),
    }
