"""authx.core.claims: the form of every claim."""

import copy
import dataclasses
import pickle
from datetime import UTC, datetime

import pytest

from authx.core import claim_forms
from authx.core.claims import AccessClaims
from authx.errors import TokenMalformed

REQUIRED = {
    "iss": "https://id.example",
    "sub": "7",
    "aud": "api",
    "exp": 1_700_000_300,
    "iat": 1_700_000_000,
    "jti": "j-1",
    "client_id": "web",
    "sid": "s-1",
}
FULL = REQUIRED | {
    "aud": ["api", "reports"],
    "nbf": 1_700_000_000,
    "gen": 3,
    "auth_time": 1_699_999_000,
    "amr": ["pwd", "otp"],
    "did": "phone-1",
    "dtp": "mobile",
    "tenant": {"id": 4},
}

NOT_TEXT = [None, True, 0, 7, 1.5, [], ["7"], {}, {"sub": "7"}]
NOT_IDENTIFIERS = [
    *NOT_TEXT,
    "",
    "a" * 256,
    "a\0",
    "\0",
    "a\nb",
    "a\x7f",
    "a\x85",
    "\ud800",
    "a\udfff",
]
NOT_INSTANTS = [
    None,
    True,
    False,
    "",
    "1700000000",
    "1_700_000_000",
    "\u0661\u0662",
    1.0,
    1700000000.5,
    float("nan"),
    float("inf"),
    1e308,
    -1,
    -(10**18),
    2**53,
    10**4000,
    [],
    [1],
    {},
]


def test_the_required_claims_are_enough():
    claims = AccessClaims.from_payload(REQUIRED)
    assert claims.aud == ("api",)
    assert (claims.gen, claims.auth_time, claims.amr, claims.did, claims.dtp) == (
        None,
        None,
        (),
        None,
        None,
    )
    assert claims.extra == {}


def test_every_claim_survives_the_round_trip():
    claims = AccessClaims.from_payload(FULL)
    assert claims.aud == ("api", "reports")
    assert claims.amr == ("pwd", "otp")
    assert claims.extra == {"tenant": {"id": 4}}
    assert claims.as_payload() == FULL
    assert AccessClaims.from_payload(claims.as_payload()) == claims


def test_a_single_audience_is_written_as_text():
    assert AccessClaims.from_payload(REQUIRED | {"aud": ["api"]}).as_payload() == REQUIRED


def test_generation_zero_is_written_and_nothing_empty_is():
    claims = AccessClaims(**(REQUIRED | {"aud": ("api",)}), gen=0, did="", amr=())
    assert claims.as_payload() == REQUIRED | {"gen": 0}


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_claim_may_not_be_missing(name):
    payload = {other: value for other, value in FULL.items() if other != name}
    with pytest.raises(TokenMalformed, match=name):
        AccessClaims.from_payload(payload)


@pytest.mark.parametrize("name", ["iss", "sub", "jti", "client_id", "sid", "did", "dtp"])
@pytest.mark.parametrize("value", NOT_IDENTIFIERS, ids=ascii)
def test_an_identifier_is_short_text_without_controls(name, value):
    with pytest.raises(TokenMalformed, match=name):
        AccessClaims.from_payload(FULL | {name: value})


@pytest.mark.parametrize("value", ["x", "0", "a" * 255, "Ångström ☃", "\N{GRINNING FACE}" * 255])
def test_any_visible_text_may_be_an_identifier(value):
    assert AccessClaims.from_payload(FULL | {"sub": value}).sub == value


@pytest.mark.parametrize("name", ["exp", "iat", "gen", "auth_time", "nbf"])
@pytest.mark.parametrize("value", NOT_INSTANTS, ids=lambda value: ascii(value)[:20])
def test_a_time_is_an_integer_and_nothing_like_one(name, value):
    with pytest.raises(TokenMalformed, match=name):
        AccessClaims.from_payload(FULL | {name: value})


@pytest.mark.parametrize("name", ["exp", "iat", "gen", "auth_time", "nbf"])
@pytest.mark.parametrize("value", [0, 2**53 - 1])
def test_both_ends_of_the_range_are_in_it(name, value):
    assert AccessClaims.from_payload(FULL | {name: value})


@pytest.mark.parametrize(
    "value",
    [None, 1, True, {}, {"api": 1}, "", [], [""], ["api", None], ["api", 1], [["api"]], ["a\0"]],
)
def test_an_audience_is_text_or_a_list_of_text(value):
    with pytest.raises(TokenMalformed, match="aud"):
        AccessClaims.from_payload(FULL | {"aud": value})


@pytest.mark.parametrize("value", [None, 1, "pwd", {"pwd": 1}, [1], [None], ["pwd", ""], [["pwd"]]])
def test_the_methods_are_a_list_of_text(value):
    with pytest.raises(TokenMalformed, match="amr"):
        AccessClaims.from_payload(FULL | {"amr": value})


def test_what_is_unknown_is_kept_apart_and_unchanged():
    claims = AccessClaims.from_payload(REQUIRED | {"roles": ["a"], "x": None})
    assert claims.extra == {"roles": ["a"], "x": None}
    with pytest.raises(TypeError):
        claims.extra["roles"] = []


@pytest.mark.parametrize("name", sorted(FULL.keys() - {"tenant"}))
def test_extra_may_not_overwrite_a_claim_of_ours(name):
    claims = AccessClaims(**(REQUIRED | {"aud": ("api",)}), extra={name: FULL[name]})
    with pytest.raises(ValueError, match=f"'{name}'"):
        claims.as_payload()


def test_claims_are_named_frozen_hashable_and_told_apart():
    claims = AccessClaims.from_payload(FULL)
    assert not hasattr(claims, "__dict__")
    with pytest.raises(TypeError):
        AccessClaims("https://id.example", "7", ("api",), 1, 0, "j-1", "web", "s-1")
    assert hash(claims) == hash(AccessClaims.from_payload(FULL))
    assert claims != AccessClaims.from_payload(FULL | {"tenant": 5})
    with pytest.raises(dataclasses.FrozenInstanceError):
        claims.sub = "8"
    with pytest.raises(TypeError):
        AccessClaims.from_payload(REQUIRED).extra["admin"] = True
    with pytest.raises(TypeError):
        AccessClaims(**(REQUIRED | {"aud": ("api",)})).extra["admin"] = True


def test_expiry_is_an_aware_datetime():
    assert AccessClaims.from_payload(REQUIRED).expires_at == datetime(2023, 11, 14, 22, 18, 20, tzinfo=UTC)


@pytest.mark.parametrize(("name", "value"), [("sub", "canary\0"), ("aud", ["canary", 1]), ("exp", "canary")])
def test_a_refusal_names_the_claim_and_never_its_value(name, value):
    with pytest.raises(TokenMalformed) as refusal:
        AccessClaims.from_payload(REQUIRED | {name: value})
    assert "canary" not in repr(refusal.value)


# Delegated and exchanged tokens

ACT = {"sub": "client:b", "act": {"sub": "client:a", "iss": "https://id.example"}}
DELEGATED = REQUIRED | {"scope": "orders:read orders:write", "act": ACT}


def test_a_delegated_token_survives_the_round_trip():
    claims = AccessClaims.from_payload(DELEGATED)
    assert claims.scope == "orders:read orders:write"
    assert claims.scopes == ("orders:read", "orders:write")
    assert claims.act == ACT
    assert claims.actors == ("client:b", "client:a")
    assert claims.gen is None
    assert claims.extra == {}
    assert claims.as_payload() == DELEGATED
    assert AccessClaims.from_payload(claims.as_payload()) == claims
    assert claims != AccessClaims.from_payload(DELEGATED | {"act": {"sub": "client:b"}})
    assert hash(claims)
    with pytest.raises(TypeError):
        claims.act["sub"] = "client:c"


def test_a_token_of_the_sites_own_has_neither():
    claims = AccessClaims.from_payload(FULL)
    assert (claims.scope, claims.act, claims.scopes, claims.actors) == (None, None, (), ())
    assert not claims.has_scope


@pytest.mark.parametrize(
    "value", [None, 7, True, "", " ", [], {}, ["orders:read"], "a  b", " a", "a\tb", 'a"', "ä"], ids=ascii
)
def test_a_scope_of_another_form_is_the_sites_own_affair(value):
    claims = AccessClaims.from_payload(REQUIRED | {"scope": value})
    assert claims.scope is None
    assert claims.has_scope
    assert claims.extra == {"scope": value}
    assert claims.as_payload() == REQUIRED | {"scope": value}


@pytest.mark.parametrize(
    "value",
    [
        None, True, 7, "client:a", [], ["client:a"], {}, {"sub": 7}, {"sub": ""}, {"sub": None},
        {"sub": "a\0"}, {"act": {"sub": "client:a"}}, {"sub": "a", "act": None}, {"sub": "a", "act": "b"},
        {"sub": "a", "act": []}, {"sub": "a", "act": {}}, {"sub": "a", "act": {"sub": 7}},
        {"sub": "a", "act": {"sub": "b", "act": {"sub": "c", "act": {"sub": "d", "act": {"sub": "e"}}}}},
    ],
    ids=ascii,
)  # fmt: skip
def test_actors_are_objects_with_a_subject_and_four_at_most(value):
    with pytest.raises(TokenMalformed, match="the claim act"):
        AccessClaims.from_payload(REQUIRED | {"act": value})


def test_four_actors_are_read():
    act = {"sub": "a", "act": {"sub": "b", "act": {"sub": "c", "act": {"sub": "d"}}}}
    assert AccessClaims.from_payload(REQUIRED | {"act": act}).actors == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("name", "own", "value"), [("scope", "a", "b"), ("scope", "", "b"), ("act", ACT, {"sub": "x"})]
)
def test_extra_sets_these_claims_only_where_there_are_none(name, own, value):
    given = REQUIRED | {"aud": ("api",)}
    assert AccessClaims(**given, extra={name: value}).as_payload()[name] == value
    with pytest.raises(ValueError, match=f"'{name}'"):
        AccessClaims(**given, **{name: own}, extra={name: value}).as_payload()


def test_an_empty_scope_is_not_written():
    assert AccessClaims(**(REQUIRED | {"aud": ("api",)}), scope="").as_payload() == REQUIRED


def test_a_scope_that_is_read_as_ours_is_scope_tokens():
    assert claim_forms.scope("scope", "a b") == "a b"
    with pytest.raises(TokenMalformed, match="scope"):
        claim_forms.scope("scope", "a  b")


COPIES = [lambda claims: pickle.loads(pickle.dumps(claims)), copy.copy, copy.deepcopy]


@pytest.mark.parametrize("again", COPIES, ids=["pickle", "copy", "deepcopy"])
@pytest.mark.parametrize(
    "payload", [REQUIRED, FULL, FULL | {"act": {"sub": "client:a", "act": {"sub": "b"}}}]
)
def test_claims_can_be_carried_to_a_task_and_stay_what_they_are(payload, again):
    claims = AccessClaims.from_payload(payload, kid="k-1")
    found = again(claims)
    assert found == claims
    assert (found.kid, hash(found), found.as_payload()) == ("k-1", hash(claims), claims.as_payload())
    with pytest.raises(TypeError):
        found.extra["tenant"] = None
