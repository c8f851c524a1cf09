"""authx.gate.public_address: an address that somebody else has chosen leads to nothing that only we reach."""

import socket
import ssl

import pytest

from authx.errors import StoreUnavailable
from authx.gate import issuer_http, public_address
from authx.gate.issuer_http import fetch_json
from authx.gate.public_address import PrivateAddress, connect_publicly, is_public

PRIVATE = [
    *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
    *("224.0.0.1", "255.255.255.255", "192.0.2.1", "240.0.0.1"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "2001:db8::1"),
    *(
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "2002:a00:1::",
        "::7f00:1",
        "::a00:1",
        "::ffff:0:a00:1",
        "64:ff9b:1::a00:1",
        "fec0::1",
        "5f00::1",
    ),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_only_we_reach(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]
)
def test_what_everybody_reaches(address):
    assert is_public(address)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        yield server


def is_untouched(listener):
    with pytest.raises(TimeoutError):
        listener.accept()
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1"])
def test_no_connection_is_made(listener, host):
    with pytest.raises(PrivateAddress):
        connect_publicly(host, listener.getsockname()[1], 1.0)
    assert is_untouched(listener)


@pytest.mark.parametrize(
    "url", ["https://localhost:{}/jwks", "https://127.0.0.1:{}/", "https://[::ffff:127.0.0.1]:{}/"]
)
def test_nothing_is_fetched(listener, url):
    with pytest.raises(StoreUnavailable):
        fetch_json(url.format(listener.getsockname()[1]), public_only=True)
    assert is_untouched(listener)


def test_nothing_is_fetched_without_tls_even_in_debug(settings, listener, monkeypatch):
    settings.DEBUG = True
    monkeypatch.setattr(public_address, "is_public", lambda address: True)
    with pytest.raises(StoreUnavailable):
        fetch_json(f"http://127.0.0.1:{listener.getsockname()[1]}/", public_only=True)
    assert is_untouched(listener)


def test_one_private_address_among_public_ones_is_too_many(monkeypatch):
    found = [(0, 0, 0, "", (address, 443)) for address in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(public_address, "getaddrinfo", lambda *args, **kwargs: found)
    with pytest.raises(PrivateAddress):
        connect_publicly("both.example", 443, 1.0)


def test_the_address_that_was_checked_is_the_one_that_is_used(monkeypatch, listener):
    """A name server that answers otherwise the second time is not asked a second time."""
    asked = []

    def resolve(host, port, **kwargs):
        asked.append(host)
        return [(0, 0, 0, "", ("127.0.0.1", port))]

    monkeypatch.setattr(public_address, "getaddrinfo", resolve)
    monkeypatch.setattr(public_address, "is_public", lambda address: True)
    with connect_publicly("keys.example", listener.getsockname()[1], 1.0) as connected:
        assert connected.getpeername()[0] == "127.0.0.1"
    assert asked == ["keys.example"]


def test_a_certificate_is_checked_for_the_name_not_the_address(monkeypatch, listener):
    names = []

    class Context(ssl.SSLContext):
        def wrap_socket(self, sock, **kwargs):
            names.append(kwargs["server_hostname"])
            raise ssl.SSLError("enough")

    monkeypatch.setattr(public_address, "is_public", lambda address: True)
    monkeypatch.setattr(issuer_http, "create_default_context", lambda: Context(ssl.PROTOCOL_TLS_CLIENT))
    with pytest.raises(StoreUnavailable):
        fetch_json(f"https://localhost:{listener.getsockname()[1]}/", public_only=True)
    assert names == ["localhost"]


def test_a_set_of_keys_has_to_be_small():
    with pytest.raises(ValueError, match="too large"):
        issuer_http._object(b'{"keys": []}' + b" " * 10, 12)
