"""authx.core.authorization: what is shown to the user, what goes back, and what never redirects."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authx.core.authorization import judge_authorization, requested_client_id
from authx.core.oauth_client import AUTHORIZATION_CODE, ClientFacts
from authx.errors import AuthorizationRefused, OAuthError, RedirectRefused

CLIENT = ClientFacts(
    client_id="app-1",
    auth_method="none",
    redirect_uris=("https://app.example/callback", "http://127.0.0.1/done"),
    grant_types=(AUTHORIZATION_CODE,),
    scope=("orders:read", "orders:write", "old"),
    resources=("https://api.example", "https://files.example", "https://gone.example"),
)
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
GOOD = {
    "response_type": ["code"],
    "client_id": ["app-1"],
    "redirect_uri": ["https://app.example/callback"],
    "code_challenge": [CHALLENGE],
    "code_challenge_method": ["S256"],
    "state": ["xyz &=%"],
}
KNOWN = {
    "known_scopes": {"orders:read", "orders:write", "admin"},
    "known_resources": {"https://api.example", "https://files.example", "https://other.example"},
}


def judge(parameters=GOOD, client=CLIENT, /, **changes):
    changed = {**parameters, **{name: [value] for name, value in changes.items()}}
    return judge_authorization(changed, client, **KNOWN)


def without(*names):
    return {name: values for name, values in GOOD.items() if name not in names}


def refused(*args, **changes):
    with pytest.raises(AuthorizationRefused) as refusal:
        judge(*args, **changes)
    assert refusal.value.redirect_uri == GOOD["redirect_uri"][0]
    return refusal.value


def page(*args, **changes):
    with pytest.raises(RedirectRefused) as refusal:
        judge(*args, **changes)
    assert not hasattr(refusal.value, "redirect_uri")
    assert refusal.value.rule == "A1"
    return refusal.value


# What is good


def test_a_request_gets_what_its_client_is_registered_for_and_the_site_knows():
    request = judge()
    assert request.client is CLIENT
    assert request.redirect_uri == "https://app.example/callback"
    assert request.scope == ("orders:read", "orders:write")
    assert request.resources == ("https://api.example", "https://files.example")
    assert request.challenge == CHALLENGE
    assert request.state == "xyz &=%"
    assert (request.nonce, request.prompt, request.max_age) == (None, frozenset(), None)


def test_a_request_may_ask_for_less():
    request = judge(scope="orders:read", resource="https://files.example", nonce="n-1", max_age="300")
    assert (request.scope, request.resources) == (("orders:read",), ("https://files.example",))
    assert (request.nonce, request.max_age) == ("n-1", 300)
    both = judge(
        {**GOOD, "resource": ["https://files.example", "", "https://api.example", "https://files.example"]}
    )
    assert both.resources == ("https://files.example", "https://api.example")


def test_the_port_of_a_loopback_address_is_kept():
    assert judge(redirect_uri="http://127.0.0.1:4711/done").redirect_uri == "http://127.0.0.1:4711/done"


def test_a_parameter_without_a_value_is_absent():
    empty = dict.fromkeys(
        ("scope", "state", "nonce", "prompt", "max_age", "resource", "request", "request_uri"), ""
    )
    request = judge(**empty, response_mode="")
    assert (request.state, request.scope) == (None, ("orders:read", "orders:write"))


def test_what_is_unknown_is_ignored():
    assert judge(approval="force", claims="{}", dpop="x") == judge()
    assert judge(response_mode="query") == judge()


def test_a_client_without_scopes_gets_a_request_without_scopes():
    assert judge(GOOD, replace(CLIENT, scope=())).scope == ()


@pytest.mark.parametrize("method", ["none", "client_secret", "private_key_jwt"])
def test_pkce_is_for_every_client(method):
    client = replace(CLIENT, auth_method=method)
    assert judge(GOOD, client).challenge == CHALLENGE
    assert refused(without("code_challenge", "code_challenge_method"), client).error == "invalid_request"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("none", {"none"}),
        ("login", {"login"}),
        ("consent login", {"login", "consent"}),
        ("select_account", set()),
        ("create login", {"login"}),
        ("login  consent ", {"login", "consent"}),
        ("LOGIN", set()),
    ],
)
def test_prompts_that_are_known_are_kept(prompt, expected):
    assert judge(prompt=prompt).prompt == expected


# What never redirects


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": ""},
        {"client_id": "app-2"},
        {"client_id": "APP-1"},
        {"client_id": "a" * 65},
        {"client_id": "app-1\0"},
        {"client_id": "app-1\n"},
        {"client_id": "äpp-1"},
        {"client_id": "\ud800"},
        {"redirect_uri": ""},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": "https://app.example/callback/"},
        {"redirect_uri": "https://app.example/callback\0"},
        {"redirect_uri": "https://app.example/callback?" + "a" * 5000},
    ],
    ids=lambda changes: ascii(changes)[:60],
)
def test_a_client_or_redirect_uri_in_doubt_is_told_to_the_user(changes):
    error = page(**changes)
    assert error.description.isascii()


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_missing_or_repeated_it_is_in_doubt(name):
    assert "missing" in page(without(name)).description
    assert "more than once" in page({**GOOD, name: GOOD[name] * 2}).description


def test_an_unknown_client_and_a_disabled_one_are_told_to_the_user():
    assert page(GOOD, None).error == "invalid_client"
    assert "disabled" in page(GOOD, replace(CLIENT, enabled=False)).description


def test_doubt_comes_before_all_other_faults():
    assert page({"client_id": ["app-1"], "response_type": ["token"], "state": ["x", "y"]})
    assert page(GOOD, None, response_type="token")


def test_the_client_is_found_by_an_id_that_it_can_have():
    assert requested_client_id(GOOD) == "app-1"
    with pytest.raises(RedirectRefused):
        requested_client_id({})


# What goes back


CASES = [
    ({"response_type": "token"}, "unsupported_response_type", "A2"),
    ({"response_type": "code id_token"}, "unsupported_response_type", "A2"),
    ({"response_type": "CODE"}, "unsupported_response_type", "A2"),
    ({"response_type": ""}, "invalid_request", "A2"),
    ({"response_mode": "fragment"}, "invalid_request", "A3"),
    ({"response_mode": "form_post"}, "invalid_request", "A3"),
    ({"request": "eyJ"}, "request_not_supported", "A3"),
    ({"request_uri": "https://evil.example/r"}, "request_uri_not_supported", "A3"),
    ({"code_challenge": ""}, "invalid_request", "A2"),
    ({"code_challenge": "a" * 43}, "invalid_request", "A2"),
    ({"code_challenge": CHALLENGE + "="}, "invalid_request", "A2"),
    ({"code_challenge_method": ""}, "invalid_request", "A2"),
    ({"code_challenge_method": "plain"}, "invalid_request", "A2"),
    ({"code_challenge_method": "s256"}, "invalid_request", "A2"),
    ({"scope": "admin"}, "invalid_scope", ""),
    ({"scope": "old"}, "invalid_scope", ""),
    ({"scope": "orders:read openid"}, "invalid_scope", ""),
    ({"scope": " "}, "invalid_scope", ""),
    ({"scope": "orders:read\torders:write"}, "invalid_scope", ""),
    ({"resource": "https://other.example"}, "invalid_target", ""),
    ({"resource": "https://gone.example"}, "invalid_target", ""),
    ({"resource": "https://api.example/#"}, "invalid_target", ""),
    ({"resource": "\0"}, "invalid_target", ""),
    ({"prompt": "none login"}, "invalid_request", ""),
    ({"prompt": "none unheard_of"}, "invalid_request", ""),
    ({"max_age": "-1"}, "invalid_request", ""),
    ({"max_age": "1.5"}, "invalid_request", ""),
    ({"max_age": "\u0661"}, "invalid_request", ""),
    ({"max_age": "9" * 10}, "invalid_request", ""),
    ({"nonce": "n" * 256}, "invalid_request", ""),
    ({"nonce": "\0"}, "invalid_request", "A3"),
    ({"anything": "\0"}, "invalid_request", "A3"),
    ({"anything": "a" * 4097}, "invalid_request", "A3"),
]


@pytest.mark.parametrize(("changes", "error", "rule"), CASES, ids=lambda value: ascii(value)[:50])
def test_any_other_fault_is_told_to_the_client(changes, error, rule):
    refusal = refused(**changes)
    assert (refusal.error, refusal.rule, refusal.state) == (error, rule, "xyz &=%")
    assert refusal.description


@pytest.mark.parametrize(
    "name", [name for name in GOOD if name not in ("client_id", "redirect_uri")] + ["scope", "x"]
)
def test_no_parameter_is_there_twice(name):
    refusal = refused({**GOOD, name: ["a", "a"]})
    assert (refusal.error, refusal.rule) == ("invalid_request", "A3")
    assert name in refusal.description or name == "x"


@pytest.mark.parametrize("state", [["a", "b"], ["\0"], ["s" * 4097], ["\udc80"]])
def test_a_state_that_cannot_be_sent_back_is_not(state):
    assert refused({**GOOD, "state": state}).state is None


def test_plain_is_refused_with_the_option_to_set():
    for refusal in (refused(without("code_challenge_method")), refused(code_challenge_method="plain")):
        assert "code_challenge_method" in refusal.description
        assert "S256" in refusal.description
    assert "PKCE" in refused(without("code_challenge", "code_challenge_method")).description


def test_a_client_without_the_grant_type_may_not_ask():
    assert refused(GOOD, replace(CLIENT, grant_types=())).error == "unauthorized_client"


def test_a_client_without_resources_has_nothing_to_ask_for():
    assert refused(GOOD, replace(CLIENT, resources=("https://gone.example",))).error == "invalid_target"


@given(
    st.dictionaries(
        st.sampled_from([*GOOD, "scope", "resource", "nonce", "prompt", "max_age"]) | st.text(max_size=5),
        st.lists(st.text(max_size=12), max_size=2),
    )
)
def test_whatever_is_sent_is_judged_or_refused_in_words_that_may_be_sent(parameters):
    try:
        judge_authorization({**GOOD, **parameters}, CLIENT, **KNOWN)
    except OAuthError as error:
        text = f"{error.error}: {error.error_description}"
    else:
        text = "nothing: refused"
    assert text.isascii()
    assert text.isprintable()
    assert not {'"', "\\"} & set(text)
    assert all(text.partition(": ")[::2])
