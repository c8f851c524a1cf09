"""authx.http.client_address: who is calling, as far as it can be believed."""

import pytest
from django.http import HttpRequest
from django.test import RequestFactory

from authx.http.client_address import client_ip, client_network

PEER = "203.0.113.7"


def request(forwarded=None, remote=PEER, **headers):
    if forwarded is not None:
        headers["x-forwarded-for"] = forwarded
    return RequestFactory().get("/", REMOTE_ADDR=remote, headers=headers)


# Without proxies


def test_without_proxies_the_caller_is_the_peer():
    assert client_ip(request()) == PEER


@pytest.mark.parametrize("spoofed", ["198.51.100.1", "127.0.0.1, 10.0.0.1", "garbage", ""])
def test_without_proxies_nothing_a_client_says_of_itself_is_believed(spoofed):
    assert client_ip(request(spoofed)) == PEER
    spoofing = RequestFactory().get(
        "/",
        REMOTE_ADDR=PEER,
        headers={"x-real-ip": "198.51.100.1", "forwarded": "for=198.51.100.1", "client-ip": "198.51.100.1"},
    )
    assert client_ip(spoofing) == PEER


# Behind proxies


@pytest.mark.parametrize(
    ("trusted", "forwarded", "caller"),
    [
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        (1, "6.6.6.6,7.7.7.7 ,198.51.100.1 ", "198.51.100.1"),
        (2, "198.51.100.1, 10.0.0.1", "198.51.100.1"),
        (2, "6.6.6.6, 198.51.100.1, 10.0.0.1", "198.51.100.1"),
        (3, "198.51.100.1, 10.0.0.1, 10.0.0.2", "198.51.100.1"),
    ],
)
def test_each_proxy_of_ours_appends_one_entry_and_the_first_of_those_is_the_caller(
    settings, trusted, forwarded, caller
):
    settings.AUTHX_TRUSTED_PROXIES = trusted
    assert client_ip(request(forwarded, remote="10.0.0.9")) == caller


@pytest.mark.parametrize(("trusted", "forwarded"), [(1, None), (1, ""), (2, "198.51.100.1"), (2, "6.6.6.6")])
def test_who_did_not_come_through_all_of_them_has_no_address_rather_than_a_proxys(
    settings, trusted, forwarded
):
    settings.AUTHX_TRUSTED_PROXIES = trusted
    assert client_ip(request(forwarded, remote="10.0.0.9")) is None


@pytest.mark.parametrize(
    "garbage",
    ["unknown", "_hidden", "999.1.1.1", "1.2.3", "1.2.3.4.5", "::g", "<script>", "\0", "-"],
)
def test_an_entry_that_is_no_address_is_none_and_no_error(settings, garbage):
    settings.AUTHX_TRUSTED_PROXIES = 1
    assert client_ip(request(f"198.51.100.1, {garbage}")) is None


# How addresses are written


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("203.0.113.7:51234", "203.0.113.7"),
        (" 203.0.113.7 ", "203.0.113.7"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:443", "203.0.113.7"),
        ("::1", "::1"),
    ],
)
def test_one_address_has_one_spelling(settings, written, read):
    assert client_ip(request(remote=written)) == read
    settings.AUTHX_TRUSTED_PROXIES = 1
    assert client_ip(request(written)) == read


def test_a_unix_socket_has_no_address():
    assert client_ip(request(remote="")) is None
    assert client_ip(HttpRequest()) is None


# What one caller holds many of


def test_an_ipv6_caller_is_a_network_of_64_bits():
    first, second = request(remote="2001:db8:1:2::1"), request(remote="2001:db8:1:2:ffff:ffff:ffff:ffff")
    assert client_network(first) == client_network(second) == "2001:db8:1:2::/64"
    assert client_network(request(remote="2001:db8:1:3::1")) == "2001:db8:1:3::/64"


def test_an_ipv4_caller_is_one_address_however_it_is_written():
    assert client_network(request()) == client_network(request(remote=f"::ffff:{PEER}")) == PEER


def test_a_caller_without_an_address_is_no_network():
    assert client_network(request(remote="")) == ""
