"""Addresses of a centre."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from wardround.identity.address import Address, ListenAddress, check_host, split_address

ADDRESS, LISTEN = TypeAdapter(Address), TypeAdapter(ListenAddress)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost:8443", "localhost", 8443),
        ("centre-1.example.org:1", "centre-1.example.org", 1),
        ("10.1.2.3:65535", "10.1.2.3", 65535),
        ("[2001:db8::1]:8443", "2001:db8::1", 8443),
        ("1and1.example:8443", "1and1.example", 8443),
    ],
)
def test_an_address_is_host_and_port(text, host, port):
    """A DNS name, an IPv4 address, or an IPv6 address in brackets."""
    assert split_address(ADDRESS.validate_python(text)) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "", "localhost", "localhost:", ":8443", "localhost:0", "localhost:65536", "localhost:08443", "localhost:٨٤",
        "https://centre.example:8443", "centre.example/x:1", "Centre.example:8443", "a_b:1", "-a.example:1", "a..b:1", "a.:1",
        "10.1.2:8443", "10.1.2.256:1", "2001:db8::1:8443", "[2001:db8::1]", "[10.1.2.3]:1", "[localhost]:1", "[fe80::1%eth0]:1",
        "a b:1", "localhost:1\n", "x" * 64 + ".example:1", "a." * 127 + "b:1", "0.0.0.0:8443", "[::]:8443",
        "user@centre.example:1",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text):
    """Addresses, options and commands are built of it: one form, nothing that could mean something else."""
    with pytest.raises(ValidationError):
        ADDRESS.validate_python(text)


@pytest.mark.parametrize("text", ["0.0.0.0:8443", "127.0.0.1:1", "[::]:8443", "[::1]:8443"])
def test_a_centre_listens_on_an_ip_address(text):
    """Of all interfaces or of one."""
    assert LISTEN.validate_python(text) == text


@pytest.mark.parametrize("text", ["localhost:8443", "centre.example:8443", "10.1.2.3", "10.1.2.3:0"])
def test_a_centre_listens_on_no_name(text):
    """What a name leads to is decided elsewhere."""
    with pytest.raises(ValidationError):
        LISTEN.validate_python(text)


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_a_reason(text):
    """Never another exception; what is taken comes back as it was."""
    try:
        host, port = split_address(text)
    except ValueError:
        return
    assert text in (f"{host}:{port}", f"[{host}]:{port}")
    assert check_host(host) == host
