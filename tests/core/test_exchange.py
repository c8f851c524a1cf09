"""authx.core.exchange: rights only shrink, and every refusal names its rule."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authx.core.access_token import read_signed, write_access_token
from authx.core.claims import AccessClaims
from authx.core.exchange import exchanged_claims, explain, judge_exchange
from authx.core.exchange_request import ExchangeRequest, read_exchange
from authx.core.keys import Key, KeySet
from authx.core.oauth_client import (
    ACCESS_TOKEN_TYPE,
    CLIENT_CREDENTIALS,
    JWT_TYPE,
    TOKEN_EXCHANGE,
    ClientFacts,
)
from authx.errors import OAuthError
from tests.granted import ID_TOKEN_TYPE, REFRESH_TOKEN_TYPE

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
T = int(NOW.timestamp())
LIFETIME = timedelta(minutes=5)
SITE = "https://site.example"
KEY = Key.derive("a secret of the site, long and random")


def service(name, *may_call, **facts):
    return ClientFacts(
        client_id=f"service-{name}",
        grant_types=(CLIENT_CREDENTIALS, TOKEN_EXCHANGE),
        scope=("read", "write", "print"),
        audience=name,
        may_call=tuple(f"service-{other}" for other in may_call),
        **facts,
    )


A, B, C = service("a", "b", "c"), service("b", "c"), service("c")
#: The one that the site's own tokens are for, beside the site.
FRONT = replace(service("front", "a", "b"), audience=SITE)
TARGETS = {"a": A, "b": B, "c": C}
LOGIN = AccessClaims(
    iss="https://id.example",
    sub="7",
    aud=(SITE,),
    exp=T + 900,
    iat=T - 60,
    jti="jti-1",
    client_id="web",
    sid="sid-1",
    gen=3,
    auth_time=T - 3600,
    amr=("pwd",),
    did="phone",
    dtp="mobile",
    era=4,
    opaque=True,
    db="second",
    extra={"roles": ["admin"], "tenant": 4},
)
FOR_A = replace(
    LOGIN, aud=("a",), client_id="app-1", gty="authorization_code", scope="read write", gen=None, extra={}
)
APP = ClientFacts(client_id="app-1", auth_method="none")
TO_B = ExchangeRequest(subject_token="x", audiences=("b",))


def judge(request=TO_B, requester=A, subject=FOR_A, targets=TARGETS, *, issued_to=APP, now=NOW):
    return judge_exchange(
        request,
        requester,
        subject,
        targets,
        subject_client=issued_to,
        site_audience=(SITE, "site"),
        lifetime=LIFETIME,
        now=now,
    )


def refused(*args, **facts):
    with pytest.raises(OAuthError) as refusal:
        judge(*args, **facts)
    error = refusal.value
    assert error.error_description.startswith(f"{error.rule}: ")
    assert len(error.description) > 15
    return error.rule, error.error


def exchange(subject, requester, *names, issued_to, scope=None, now=NOW):
    request = ExchangeRequest(subject_token="x", audiences=names, scope=scope)
    grant = judge(request, requester, subject, issued_to=issued_to, now=now)
    return exchanged_claims(subject, grant, jti="jti-2", now=now)


# What is granted


def test_a_service_gets_a_token_for_the_one_that_it_may_call():
    grant = judge()
    assert grant.client_id == "service-a"
    assert grant.audience == ("b",)
    assert grant.scope == ("read", "write")
    assert grant.act == {"sub": "client:service-a"}
    assert grant.expires_at == NOW + LIFETIME


def test_the_users_session_is_kept_and_nothing_else():
    claims = exchange(FOR_A, A, "b", issued_to=APP)
    kept = ("iss", "sub", "sid", "auth_time", "amr", "era", "opaque", "db")
    assert all(getattr(claims, name) == getattr(FOR_A, name) for name in kept)
    assert (claims.client_id, claims.aud, claims.scope) == ("service-a", ("b",), "read write")
    assert (claims.gen, claims.did, claims.dtp, claims.roles, dict(claims.extra)) == (
        None,
        None,
        None,
        (),
        {},
    )
    assert (claims.iat, claims.nbf, claims.exp, claims.jti) == (T, T, T + 300, "jti-2")


def test_an_exchanged_token_is_read_as_it_was_written():
    twice = exchange(exchange(FOR_A, A, "b", issued_to=APP), B, "c", issued_to=A)
    read, _ = read_signed(write_access_token(twice, KEY), KeySet([KEY]))
    assert read == twice
    assert read.actors == ("client:service-b", "client:service-a")
    assert read.act == {"sub": "client:service-b", "act": {"sub": "client:service-a"}}


def test_the_sites_own_login_counts_as_all_that_the_client_may():
    claims = exchange(LOGIN, FRONT, "a", issued_to=None)
    assert claims.scope == "read write print"
    assert claims.roles == ()
    assert dict(claims.extra) == {}


@pytest.mark.parametrize(
    ("scope", "expected"), [("write", ("write",)), (["read"], ("read",)), ("read other", ("read",))]
)
def test_a_scope_that_the_site_sets_limits_its_own_login_too(scope, expected):
    field = {"scope": scope} if isinstance(scope, str) else {"extra": {"scope": scope}}
    assert (
        judge(replace(TO_B, audiences=("a",)), FRONT, replace(LOGIN, **field), issued_to=None).scope
        == expected
    )


@pytest.mark.parametrize("scope", [None, 7, [], [7], {}, "x"])
def test_a_claim_of_another_form_is_no_scope_and_not_every_scope(scope):
    subject = replace(LOGIN, extra={"scope": scope})
    assert refused(replace(TO_B, audiences=("a",)), FRONT, subject, issued_to=None) == ("E7", "invalid_scope")


def test_several_targets_are_one_audience():
    request = ExchangeRequest(subject_token="x", audiences=("b", "c"), resources=("https://d.example", "b"))
    target = replace(service("d"), audience="https://d.example")
    requester = service("a", "b", "c", "d")
    assert judge(request, requester, targets={**TARGETS, "https://d.example": target}).audience == (
        "b", "c", "https://d.example"
    )  # fmt: skip


@pytest.mark.parametrize(("left", "expected"), [(1, 1), (299, 299), (300, 300), (301, 300)])
def test_it_ends_with_the_subject_token_at_the_latest(left, expected):
    claims = exchange(replace(FOR_A, exp=T + left), A, "b", issued_to=APP)
    assert (claims.exp, claims.expires_in) == (T + expected, expected)


def test_a_clock_between_two_seconds_makes_no_token_longer():
    now = NOW + timedelta(milliseconds=999)
    claims = exchange(replace(FOR_A, exp=T + 1), A, "b", issued_to=APP, now=now)
    assert (claims.iat, claims.exp) == (T, T + 1)
    assert exchange(FOR_A, A, "b", issued_to=APP, now=now).exp <= T + 300


# What is refused


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"enabled": False}, "invalid_client"),
        ({"auth_method": "none"}, "unauthorized_client"),
        ({"grant_types": (CLIENT_CREDENTIALS,)}, "unauthorized_client"),
    ],
)
def test_e1_the_requester_can_prove_itself_and_may_exchange(changes, error):
    assert refused(TO_B, replace(A, **changes)) == ("E1", error)


@pytest.mark.parametrize("exp", [T, T - 1, 0])
def test_e3_an_expired_subject_has_no_leeway(exp):
    assert refused(subject=replace(FOR_A, exp=exp)) == ("E3", "invalid_request")


@pytest.mark.parametrize("issued_to", [None, replace(APP, enabled=False), replace(APP, client_id="app-2")])
def test_e4_the_subjects_client_is_enabled(issued_to):
    assert refused(issued_to=issued_to) == ("E4", "invalid_request")


@pytest.mark.parametrize("aud", [("b",), (SITE,), ("A",), ("a ",), ("service-a",), ("ab", "aa")])
def test_e5_the_subject_is_for_the_requester(aud):
    assert refused(subject=replace(FOR_A, aud=aud)) == ("E5", "invalid_request")


def test_e5_a_requester_without_an_audience_is_addressed_by_nothing():
    assert refused(TO_B, replace(A, audience=""), replace(FOR_A, aud=("",))) == ("E5", "invalid_request")


def test_e5_a_clients_own_token_for_another_is_no_subject_of_its():
    own = replace(FOR_A, sub=A.subject, client_id=A.client_id, aud=("b",))
    assert refused(subject=own, issued_to=A) == ("E5", "invalid_request")


@pytest.mark.parametrize(
    "request_",
    [
        ExchangeRequest(subject_token="x"),
        ExchangeRequest(subject_token="x", audiences=("d",)),
        ExchangeRequest(subject_token="x", audiences=("b", "d")),
        ExchangeRequest(subject_token="x", audiences=("d", "b")),
        ExchangeRequest(subject_token="x", audiences=("b",), resources=("https://d.example",)),
        ExchangeRequest(subject_token="x", audiences=("a",)),
        ExchangeRequest(subject_token="x", audiences=(SITE,)),
        ExchangeRequest(subject_token="x", audiences=("b", "site")),
        ExchangeRequest(subject_token="x", resources=(SITE,)),
        ExchangeRequest(subject_token="x", audiences=("service-b",)),
        ExchangeRequest(subject_token="x", audiences=("B",)),
    ],
    ids=str,
)
def test_e6_every_target_is_one_that_it_may_call(request_):
    targets = {**TARGETS, SITE: FRONT, "service-b": B}
    requester = replace(A, may_call=(*A.may_call, FRONT.client_id))
    assert refused(request_, requester, targets=targets) == ("E6", "invalid_target")


def test_e6_every_target_is_enabled():
    both = ExchangeRequest(subject_token="x", audiences=("c", "b"))
    assert refused(both, targets={**TARGETS, "b": replace(B, enabled=False)}) == ("E6", "invalid_target")


def test_e6_a_service_that_there_is_is_refused_in_the_words_of_one_that_there_is_not():
    with pytest.raises(OAuthError) as known:
        judge(requester=replace(A, may_call=()))
    with pytest.raises(OAuthError) as unknown:
        judge(targets={})
    assert known.value.description == unknown.value.description


@pytest.mark.parametrize(
    ("asked", "held", "own"),
    [
        (("admin",), "read admin", ("read",)),
        (("admin",), "read", ("read", "admin")),
        (("read", "admin"), "read", ("read", "admin")),
        (("READ",), "read", ("read",)),
        (None, "read", ("write",)),
        (None, "", ("read",)),
        (None, None, ("read",)),
        (("read",), None, ("read",)),
        (None, "read", ()),
        (None, "offline_access", ("offline_access",)),
    ],
)
def test_e7_no_scope_comes_from_nowhere(asked, held, own):
    request = replace(TO_B, scope=asked)
    assert refused(request, replace(A, scope=own), replace(FOR_A, scope=held)) == ("E7", "invalid_scope")


def test_e7_a_token_of_another_client_without_a_scope_is_good_for_nothing():
    # A login's token without a scope is good for everything.
    assert refused(subject=replace(FOR_A, scope=None)) == ("E7", "invalid_scope")
    assert judge(subject=replace(FOR_A, scope=None, gty=None), issued_to=None).scope == A.scope


def test_e10_four_act_at_most():
    chain = [service(str(number), str(number + 1)) for number in range(6)]
    targets = {client.audience: client for client in chain}
    claims, issued_to = replace(FOR_A, aud=("0",)), APP
    for requester in chain[:4]:
        request = ExchangeRequest(subject_token="x", audiences=(str(len(claims.actors) + 1),))
        grant = judge(request, requester, claims, targets, issued_to=issued_to)
        claims, issued_to = exchanged_claims(claims, grant, jti="j", now=NOW), requester
        read, _ = read_signed(write_access_token(claims, KEY), KeySet([KEY]))
        assert read == claims
    assert claims.actors == tuple(client.subject for client in reversed(chain[:4]))
    fifth = ExchangeRequest(subject_token="x", audiences=("5",))
    assert refused(fifth, chain[4], claims, targets, issued_to=issued_to) == ("E10", "invalid_request")


@pytest.mark.parametrize(
    "party",
    [
        {"sub": "client:service-a"},
        {"client_id": "service-a"},
        {"sub": "client:service-a", "iss": "https://id.example", "client_id": "service-a"},
    ],
)
def test_e11_the_party_that_may_act_does_and_no_other_after_it(party):
    subject = replace(FOR_A, extra={"may_act": party})
    claims = exchange(subject, A, "b", issued_to=APP)
    assert claims.extra == {"may_act": party}
    to_c = ExchangeRequest(subject_token="x", audiences=("c",))
    assert refused(to_c, B, claims, issued_to=A) == ("E11", "invalid_request")


@pytest.mark.parametrize(
    "party",
    [
        None, "", "client:service-a", ["client:service-a"], {}, True,
        {"sub": "client:service-b"}, {"sub": "service-a"}, {"sub": ["client:service-a"]}, {"sub": None},
        {"iss": "https://id.example"},
        {"sub": "client:service-a", "iss": "https://other.example"},
        {"sub": "client:service-a", "client_id": "service-b"},
        {"sub": "client:service-a", "email": "a@example.com"},
    ],
    ids=str,
)  # fmt: skip
def test_e11_any_other_party_does_not(party):
    assert refused(subject=replace(FOR_A, extra={"may_act": party})) == ("E11", "invalid_request")


def test_e14_a_bound_subject_is_not_exchanged():
    assert refused(subject=replace(FOR_A, extra={"cnf": {"jkt": "x"}})) == ("E14", "invalid_request")


def test_e16_rights_only_shrink_on_the_way():
    first = exchange(FOR_A, A, "b", issued_to=APP, scope=("read",))
    second = exchange(first, B, "c", issued_to=A, now=NOW + timedelta(minutes=2))
    assert second.scope == "read"
    assert second.exp == first.exp
    to_c = ExchangeRequest(subject_token="x", audiences=("c",), scope=("write",))
    assert refused(to_c, B, first, issued_to=A) == ("E7", "invalid_scope")


SCOPES = st.lists(st.sampled_from(["read", "write", "print", "admin"]), unique=True).map(tuple)


@given(SCOPES, SCOPES, st.none() | SCOPES.filter(bool), st.booleans())
def test_no_scope_is_more_than_both_have(held, own, asked, is_login):
    subject = replace(FOR_A, scope=" ".join(held) or None, gty=None if is_login else "authorization_code")
    both = set(own) if is_login and not held else set(held) & set(own)
    try:
        grant = judge(
            replace(TO_B, scope=asked), replace(A, scope=own), subject, issued_to=None if is_login else APP
        )
    except OAuthError as error:
        refusal = error.rule, error.error, not both or not set(asked or ()) <= both
    else:
        refusal = None
        assert set(grant.scope) == (both if asked is None else set(asked))
        assert set(grant.scope) <= both
    assert refusal in (None, ("E7", "invalid_scope", True))


@pytest.mark.parametrize("client_id", ["a", "app-1", "wea", "wec", "web2", "zz"])
def test_a_clients_token_without_a_scope_is_good_for_nothing(client_id):
    unlimited = replace(FOR_A, client_id=client_id, scope=None)
    assert refused(subject=unlimited, issued_to=replace(APP, client_id=client_id))[0] == "E7"
    for other in (None, replace(APP, client_id="a0"), replace(APP, client_id="zzz")):
        assert refused(subject=unlimited, issued_to=other)[0] == "E4"


@pytest.mark.parametrize("name", ["d", "https://d.example:8443/x_y", "d" * 128])
def test_a_refusal_repeats_a_plain_name(name):
    with pytest.raises(OAuthError) as refusal:
        judge(replace(TO_B, audiences=(name,)))
    assert refusal.value.description == f"this client may not call {name}"


@pytest.mark.parametrize("name", ["", "<script>", "d" * 129, "é", 'a"b', "a b", "a\u0661"])
def test_a_refusal_repeats_no_other_name(name):
    with pytest.raises(OAuthError) as refusal:
        judge(replace(TO_B, audiences=(name,)))
    assert refusal.value.description == "this client may not call what it names"


# Why A may not call B


def test_nothing_is_explained_where_nothing_refuses():
    assert explain(A, B, site_audience=(SITE,)) == []


@pytest.mark.parametrize(
    ("requester", "target", "rules"),
    [
        (replace(A, enabled=False), B, ["E1"]),
        (replace(A, auth_method="none"), B, ["E1"]),
        (replace(A, grant_types=()), B, ["E1"]),
        (replace(A, audience=""), B, ["E5"]),
        (replace(A, may_call=()), B, ["E6"]),
        (A, replace(B, enabled=False), ["E6"]),
        (A, replace(B, audience=""), ["E6"]),
        (A, replace(B, audience=SITE), ["E6"]),
        (replace(A, scope=()), B, ["E7"]),
        (B, A, ["E6"]),
        (
            replace(A, enabled=False, may_call=(), scope=()),
            replace(B, enabled=False),
            ["E1", "E7", "E6", "E6"],
        ),
    ],
)
def test_every_rule_that_refuses_is_explained_and_does_refuse(requester, target, rules):
    broken = explain(requester, target, site_audience=(SITE,))
    assert [rule.rule for rule in broken] == rules
    assert all(rule.text.isascii() for rule in broken)
    request = ExchangeRequest(subject_token="x", audiences=(target.audience,) if target.audience else ("b",))
    subject = replace(FOR_A, aud=(requester.audience or "a",))
    assert refused(request, requester, subject, {target.audience: target})[0] == rules[0]


def test_an_explanation_says_why_in_plain_words():
    public = replace(A, enabled=False, auth_method="none", grant_types=(), audience="", scope=(), may_call=())
    site = replace(B, audience=SITE, enabled=False)
    texts = [rule.text for rule in explain(public, site, site_audience=(SITE,))]
    assert texts == [
        "the client is disabled",
        "the client is public, and an exchange needs one that can prove who it is",
        "the client is not registered for the grant type token-exchange",
        "the client has no audience of its own, so no subject token is for it",
        "the client is registered for no scope",
        f"this client may not call {SITE}",
        f"{SITE} is the site itself, for which no token is exchanged",
        "the service service-b is disabled",
    ]
    nameless = explain(A, replace(B, audience=""), site_audience=(SITE,))
    assert [rule.text for rule in nameless] == [
        "the service service-b has no audience, so no token can be for it"
    ]


# The request


FORM = {
    "grant_type": [TOKEN_EXCHANGE],
    "subject_token": ["eyJ.x.y"],
    "subject_token_type": [ACCESS_TOKEN_TYPE],
    "audience": ["b"],
}


def unread(**changes):
    with pytest.raises(OAuthError) as refusal:
        read_exchange({**FORM, **changes})
    return refusal.value.rule, refusal.value.error


def test_a_request_is_read():
    assert read_exchange(FORM) == ExchangeRequest(subject_token="eyJ.x.y", audiences=("b",))
    full = {
        **FORM,
        "subject_token_type": [JWT_TYPE],
        "requested_token_type": [JWT_TYPE],
        "audience": ["b", "c", "b", ""],
        "resource": ["https://d.example"],
        "scope": ["read  write"],
        "actor_token": [""],
        "unknown": ["x"],
    }
    assert read_exchange(full) == ExchangeRequest(
        subject_token="eyJ.x.y",
        requested_token_type=JWT_TYPE,
        audiences=("b", "c"),
        resources=("https://d.example",),
        scope=("read", "write"),
    )
    assert read_exchange({**FORM, "scope": [""]}).scope is None
    assert "eyJ" not in repr(read_exchange(FORM))


@pytest.mark.parametrize("name", ["subject_token", "subject_token_type"])
@pytest.mark.parametrize("values", [[], [""], ["x", "x"], ["x", ""]])
def test_e2_the_subject_is_there_once(name, values):
    assert unread(**{name: values}) == ("E2", "invalid_request")


@pytest.mark.parametrize("value", ["\0", "a\0b", "a" * 8193, "\ud800"])
def test_e2_it_is_text_of_a_tokens_length(value):
    assert unread(subject_token=[value]) == ("E2", "invalid_request")


@pytest.mark.parametrize("name", ["scope", "requested_token_type", "client_id", "anything", "\0"])
def test_e2_nothing_but_targets_is_there_twice(name):
    assert unread(**{name: ["x", "x"]}) == ("E2", "invalid_request")


@pytest.mark.parametrize(
    "kind", [ID_TOKEN_TYPE, REFRESH_TOKEN_TYPE, "access_token", ACCESS_TOKEN_TYPE.upper()]
)
def test_e3_the_subject_is_an_access_token(kind):
    assert unread(subject_token_type=[kind]) == ("E3", "invalid_request")


@pytest.mark.parametrize("name", ["audience", "resource"])
@pytest.mark.parametrize("value", ["\0", "a" * 2001, "a\nb"])
def test_e6_a_target_has_a_name(name, value):
    assert unread(**{name: ["https://b.example", value]}) == ("E6", "invalid_target")


def test_e6_there_are_not_hundreds_of_targets():
    assert unread(audience=[str(number) for number in range(11)]) == ("E6", "invalid_target")


def test_e7_a_scope_is_scope_tokens():
    assert unread(scope=['re"ad']) == ("E7", "invalid_scope")


@pytest.mark.parametrize("name", ["actor_token", "actor_token_type", "requested_subject"])
def test_e12_nobody_else_acts_and_nobody_else_is_acted_for(name):
    assert unread(**{name: ["x"]}) == ("E12", "invalid_request")


@pytest.mark.parametrize("kind", [ID_TOKEN_TYPE, REFRESH_TOKEN_TYPE, "x"])
def test_e13_it_gives_access_tokens_alone(kind):
    assert unread(requested_token_type=[kind]) == ("E13", "invalid_request")


def test_e13_offline_access_is_refused():
    assert unread(scope=["read offline_access"]) == ("E13", "invalid_request")


def test_a_resource_is_a_uri_where_an_audience_need_not_be():
    assert unread(resource=["b"]) == ("E6", "invalid_target")
