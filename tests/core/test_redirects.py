"""authx.core.redirects and uris: where an answer may go, and how it gets there."""

import string
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from authx.core.redirects import (
    answer_uri,
    is_loopback_or_private,
    is_registered,
    redirect_problem,
    with_parameters,
)
from authx.core.resources import is_resource, narrow_resources
from authx.core.uris import read_uri
from authx.errors import OAuthError

WEB = "https://app.example/callback?tenant=4"
LOOPBACK = "http://127.0.0.1/done"
LOOPBACK_6 = "http://[::1]:7000/done?x=1"
PRIVATE = "com.example.app:/done"
REGISTERED = (WEB, LOOPBACK, LOOPBACK_6, PRIVATE)
paths = st.text(string.ascii_letters + string.digits + "-._~/", max_size=20)


# Matching


@pytest.mark.parametrize("uri", REGISTERED)
def test_a_registered_uri_is_accepted_as_it_is(uri):
    assert is_registered(uri, REGISTERED)
    assert not is_registered(uri, ())


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "https://app.example/callback",
        "https://app.example/callback?tenant=5",
        "https://app.example/callback?tenant=4&x=1",
        "https://app.example/callback/?tenant=4",
        "https://app.example/callback/../callback?tenant=4",
        "https://app.example/%63allback?tenant=4",
        "https://APP.example/callback?tenant=4",
        "HTTPS://app.example/callback?tenant=4",
        "https://app.example:443/callback?tenant=4",
        "https://app.example.evil.example/callback?tenant=4",
        "https://app.example@evil.example/callback?tenant=4",
        "http://app.example/callback?tenant=4",
        "https://app.example/callback?tenant=4#",
        " https://app.example/callback?tenant=4",
        "https://app.example/callback?tenant=4\n",
        "https://app.example/callback?tenant=4\0",
        "com.example.app:/done/",
        "com.example.app://done",
    ],
)
def test_nothing_like_it_is_accepted(uri):
    assert not is_registered(uri, REGISTERED)


@pytest.mark.parametrize("port", ["", ":1", ":80", ":8080", ":65535"])
def test_the_port_of_a_loopback_address_is_free(port):
    assert is_registered(f"http://127.0.0.1{port}/done", [LOOPBACK])
    assert is_registered(f"http://[::1]{port}/done?x=1", [LOOPBACK_6])


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:0/done",
        "http://127.0.0.1:65536/done",
        "http://127.0.0.1:/done",
        "http://127.0.0.1:8080",
        "http://127.0.0.1:8080/done/",
        "http://127.0.0.1:8080/done?x=1",
        "http://127.0.0.1:8080/done#x",
        "http://127.0.0.1:8080/Done",
        "http://127.0.0.1:8080\\@evil.example/done",
        "http://127.0.0.1:80@evil.example/done",
        "http://127.0.0.1.evil.example/done",
        "http://127.0.0.1:8080.evil.example/done",
        "http://127.0.0.1:+80/done",
        "http://127.0.0.1:\u0661/done",
        "http://127.0.0.1:80/done\n",
        "http://user@127.0.0.1:80/done",
        "https://127.0.0.1:8080/done",
        "http://127.0.0.2:8080/done",
        "http://2130706433/done",
        "http://localhost:8080/done",
        "http://[::1]:8080/done",
        "http://[0:0:0:0:0:0:0:1]:8080/done",
    ],
)
def test_nothing_but_the_port_is(uri):
    assert not is_registered(uri, [LOOPBACK])


@pytest.mark.parametrize(
    "registered", ["https://127.0.0.1/done", "https://app.example/done", "http://localhost/done"]
)
def test_no_other_port_is_free(registered):
    scheme, rest = registered.split("://")
    host = rest.removesuffix("/done")
    assert not is_registered(f"{scheme}://{host}:8080/done", [registered])


def test_a_port_makes_no_uri_longer_than_any_may_be():
    """A column holds it."""
    registered = "http://127.0.0.1/".ljust(2000, "x")
    assert is_registered(registered, [registered])
    assert not is_registered(registered.replace("127.0.0.1", "127.0.0.1:5000"), [registered])


@given(paths, paths, st.integers(1, 65535), st.integers(1, 65535), st.sampled_from(["127.0.0.1", "[::1]"]))
def test_two_loopback_uris_match_where_their_paths_do(one, other, port, other_port, host):
    given_uri, registered = f"http://{host}:{port}/{one}", f"http://{host}:{other_port}/{other}"
    assert is_registered(given_uri, [registered]) is (one == other)


@given(st.text(max_size=60), st.lists(st.sampled_from(REGISTERED)))
def test_a_stranger_is_never_accepted(text, registered):
    assume(text not in registered)
    assert not is_registered(text, registered)
    assert not is_registered(WEB + text, [WEB]) or text == ""


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (WEB, False),
        ("HTTPS://app.example/", False),
        (LOOPBACK, True),
        (LOOPBACK_6, True),
        ("https://127.0.0.1:8443/done", True),
        (PRIVATE, True),
        ("https", True),
    ],
)
def test_which_clients_cannot_be_recognized(uri, expected):
    assert is_loopback_or_private(uri) is expected


# Registration


@pytest.mark.parametrize(
    "uri",
    [
        *REGISTERED,
        "https://app.example",
        "https://app.example:8443/",
        "https://app.example/a%20b?x=y&z",
        "https://192.0.2.7/done",
        "https://[2001:db8::1]/done",
        "https://xn--bcher-kva.example/done",
        "http://127.0.0.1",
        "com.example.app:done",
        "com.example.app://done",
        "https://app.example/callback?states=1&encode=2",
    ],
)
def test_what_may_be_registered(uri):
    assert redirect_problem(uri) == ""


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("", "absolute"),
        ("/callback", "absolute"),
        ("//app.example/callback", "absolute"),
        ("app.example/callback", "absolute"),
        ("https://app.example/a b", "absolute"),
        ("https://app.example/a\tb", "absolute"),
        ("https://app.example/\n", "absolute"),
        ("https://app.example/\0", "absolute"),
        ("https://app.example\\@evil.example/", "absolute"),
        ("https://bücher.example/", "absolute"),
        ("https://app.example/%zz", "absolute"),
        ('https://app.example/"', "absolute"),
        ("https://app.example/<", "absolute"),
        ("https://app.example:99999/", "absolute"),
        ("https://app.example:0/", "absolute"),
        ("https://[::1/", "absolute"),
        ("https://[1:2:3]/done", "absolute"),
        ("https://[::::]/done", "absolute"),
        ("https://[1.2.3.4]/done", "absolute"),
        ("com.example.app://[.]/done", "absolute"),
        ("https://a:b:c/", "absolute"),
        ("https://app.example/" + "a" * 2000, "absolute"),
        ("https://app.example/#", "fragment"),
        ("https://app.example/#done", "fragment"),
        ("https://user@app.example/", "user"),
        ("https://user:secret@app.example/", "user"),
        ("https://app.example@evil.example/", "user"),
        ("com.example.app://user@done", "user"),
        ("https://*.example/", "wildcard"),
        ("https://app.example/*", "wildcard"),
        ("https://app.example/?code=1", "code"),
        ("https://app.example/?a=b&state", "state"),
        ("https://app.example/?ISS=x", "iss"),
        ("http://app.example/done", "127.0.0.1"),
        ("http://127.0.0.2/done", "127.0.0.1"),
        ("http://127.0.0.1.evil.example/done", "127.0.0.1"),
        ("http://0.0.0.0/done", "127.0.0.1"),
        ("http://localhost/done", "http://127.0.0.1"),
        ("http://localhost:3000/done", "http://127.0.0.1"),
        ("https://localhost/done", "http://127.0.0.1"),
        ("http://LOCALHOST./done", "http://127.0.0.1"),
        ("https:///done", "host"),
        ("https:/done", "host"),
        ("https:app.example", "host"),
        ("https://a..b/", "host"),
        ("https://-/", "host"),
        ("https://a%00b/", "host"),
        ("javascript:alert(1)", "scheme"),
        ("JavaScript:alert(1)", "scheme"),
        ("javascript://app.example/%0aalert(1)", "scheme"),
        ("data:text/html,x", "scheme"),
        ("vbscript:x", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("ftp://app.example/", "scheme"),
        ("myapp://done", "scheme"),
        ("myapp.:/done", "scheme"),
        ("urn:ietf:wg:oauth:2.0:oob", "scheme"),
        ("com.example.app:", "ends"),
        ("com.example.app://", "ends"),
    ],
)
def test_what_may_not_and_why(uri, why):
    assert why in redirect_problem(uri)


@given(st.text(max_size=80))
def test_no_text_breaks_the_reading(text):
    assert isinstance(redirect_problem(text), str)
    assert isinstance(is_loopback_or_private(text), bool)


@given(st.text(string.printable, max_size=60))
def test_what_passes_is_read_alike_by_the_standard_library(text):
    uri = f"https://{text}"
    if redirect_problem(uri) == "":
        parts, ours = urlsplit(uri), read_uri(uri)
        assert (parts.scheme, parts.hostname) == ("https", ours.host.strip("[]"))
        assert (parts.username, parts.fragment, parts.port) == (None, "", ours.port)


# Answers


@given(st.sampled_from(REGISTERED), st.dictionaries(st.text(min_size=1), st.text(), min_size=1))
def test_parameters_arrive_as_they_were_and_the_query_stays(uri, parameters):
    assume(
        not any("\ud800" <= char <= "\udfff" for text in (*parameters, *parameters.values()) for char in text)
    )
    got = with_parameters(uri, parameters)
    own = parse_qsl(urlsplit(uri).query)
    assert got.startswith(uri)
    assert parse_qsl(urlsplit(got).query, keep_blank_values=True, strict_parsing=True) == own + list(
        parameters.items()
    )
    assert set(got) <= set(string.ascii_letters + string.digits + "-._~:/?&=%[]")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://a.example", "https://a.example?x=%20%26%3D%2B%23%25"),
        ("https://a.example/?", "https://a.example/?x=%20%26%3D%2B%23%25"),
        ("https://a.example/?b=c&", "https://a.example/?b=c&x=%20%26%3D%2B%23%25"),
        ("https://a.example/?b=c", "https://a.example/?b=c&x=%20%26%3D%2B%23%25"),
    ],
)
def test_where_the_query_begins_or_goes_on(uri, expected):
    assert with_parameters(uri, {"x": " &=+#%"}) == expected
    assert with_parameters(uri, {}) == uri


def test_every_answer_names_the_issuer_and_the_state_if_there_was_one():
    good = answer_uri(WEB, {"code": "c"}, issuer="https://id.example", state="s t")
    assert parse_qsl(urlsplit(good).query) == [
        ("tenant", "4"), ("code", "c"), ("state", "s t"), ("iss", "https://id.example")
    ]  # fmt: skip
    bad = answer_uri(WEB, {"error": "access_denied"}, issuer="https://id.example", state=None)
    assert parse_qsl(urlsplit(bad).query) == [
        ("tenant", "4"), ("error", "access_denied"), ("iss", "https://id.example")
    ]  # fmt: skip


# Resources


@pytest.mark.parametrize(
    "uri", ["https://api.example", "https://api.example/v1?x=1", "urn:example:api", "http://a/"]
)
def test_what_a_resource_is(uri):
    assert is_resource(uri)


@pytest.mark.parametrize(
    "value",
    [
        None, 7, [], "", "api", "/v1", "https://", "urn:", "https://api.example/#x", "https://u@api.example",
        "https://a b/", "https://api.example/\0",
    ],
)  # fmt: skip
def test_what_it_is_not(value):
    assert not is_resource(value)


ALLOWED = ("https://a.example", "https://b.example")


def test_resources_narrow_and_never_grow():
    assert narrow_resources([], ALLOWED) == ALLOWED
    assert narrow_resources(["https://b.example", "https://b.example"], ALLOWED) == ("https://b.example",)


@pytest.mark.parametrize(
    ("requested", "allowed"),
    [
        (["https://c.example"], ALLOWED),
        (["https://a.example", "https://c.example"], ALLOWED),
        (["https://a.example/"], ALLOWED),
        (["https://a.example#x"], ("https://a.example#x",)),
        (["api"], ("api",)),
        ([""], ALLOWED),
        ([], ()),
    ],
)
def test_a_resource_that_is_not_allowed_is_an_invalid_target(requested, allowed):
    with pytest.raises(OAuthError) as refusal:
        narrow_resources(requested, allowed)
    assert refusal.value.error == "invalid_target"
