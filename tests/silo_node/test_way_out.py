"""Which proxy leads to a centre, and who is told of it."""

from __future__ import annotations

import pytest

from silo_node.configuration import load_site
from silo_node.way_out import HANDED_ON, Proxy, WayOut, handed_on, telling
from wardround.errors import Refused

SITE = "site: north\nname: Northern Infirmary\nsources: {}\nschemas: {}\n"
CENTRE = "centre.example.org:8443"


def way(proxy, centre=CENTRE, folder="/nowhere") -> WayOut:
    return WayOut(proxy=proxy, folder=str(folder), centre=centre)


def read(tmp_path, text):
    (tmp_path / "site.yaml").write_text(SITE + text)
    return load_site(tmp_path / "site.yaml").file.proxy


@pytest.mark.parametrize("text", ["", "proxy: none\n"])
def test_unless_it_is_said_a_node_takes_no_proxy(tmp_path, text):
    """Whatever the environment says."""
    assert way(read(tmp_path, text)).route({"https_proxy": "http://proxy:3128"}) is None


def test_a_whole_setting_is_read(tmp_path):
    setting = read(
        tmp_path,
        "proxy:\n  url: http://proxy.hospital.example:3128\n  credentials: {variable: WARD_PROXY}\n"
        '  no_proxy: [".hospital.example", "10.0.0.0/8", "*"]\n',
    )
    assert isinstance(setting, Proxy)
    assert setting.no_proxy == (".hospital.example", "10.0.0.0/8", "*")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("proxy: always\n", "Y-VALUE"),
        ("proxy: {url: 'http://ward:s3cr3t@proxy:3128'}\n", "Y-VALUE"),
        ("proxy: {url: 'socks5://proxy:1080'}\n", "Y-VALUE"),
        ("proxy: {url: 'proxy:3128'}\n", "Y-VALUE"),
        ("proxy: {url: 'http://proxy:99999'}\n", "Y-VALUE"),
        ("proxy: {url: 'http://proxy:0'}\n", "Y-VALUE"),
        ("proxy: {url: 'http://proxy:3128/path'}\n", "Y-VALUE"),
        ("proxy: {url: 'http://proxy:3128', authority: ca.pem}\n", "Y-VALUE"),
        ("proxy: {url: 'http://proxy:3128', credentials: {}}\n", "Y-VALUE"),
        ("proxy: {url: 'http://proxy:3128', credentials: {file: a, variable: B}}\n", "Y-VALUE"),
        ("proxy: {url: 'http://proxy:3128', credentials: {variable: 's3cr3t pass'}}\n", "Y-VALUE"),
        ("proxy: {url: 'http://proxy:3128', no_proxy: ['a b']}\n", "Y-VALUE"),
        ("proxy: {url: 'http://proxy:3128', pasword: s3cr3t}\n", "Y-KEY"),
        ("proxy: {credentials: {variable: A}}\n", "Y-MISSING"),
    ],
)
def test_what_cannot_be_meant_is_refused_without_being_repeated(tmp_path, text, code):
    """With the line of the file, and never with what may be a password."""
    with pytest.raises(Refused) as refused:
        read(tmp_path, text)
    assert code in refused.value.codes
    assert all("site.yaml, line 5" in problem.place for problem in refused.value.problems)
    assert "s3cr3t" not in str(refused.value)
    if "{" in text:  # who wrote a mapping did not mean one of the words
        assert refused.value.codes == (code,)
        assert all(word not in str(refused.value) for word in ("literal", "Proxy", "'none'"))


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, None),
        ({"https_proxy": "http://proxy:3128"}, "proxy:3128"),
        ({"HTTPS_PROXY": "proxy:3128"}, "proxy:3128"),
        ({"ALL_PROXY": "https://proxy"}, "proxy:443"),
        ({"https_proxy": "http://one:1", "HTTPS_PROXY": "http://two:2", "all_proxy": "http://three:3"}, "one:1"),
        ({"https_proxy": "http://[2001:db8::1]:3128"}, "[2001:db8::1]:3128"),
        ({"http_proxy": "http://proxy:3128"}, None),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "other.org, .example.org"}, None),
        ({"https_proxy": "http://proxy:3128", "NO_PROXY": "*"}, None),
    ],
)
def test_the_environments_proxy_is_asked_where_the_site_says_so(variables, found):
    route = way("environment").route(variables)
    assert (None if route is None else str(route)) == found


def test_the_environments_credentials_are_taken_and_not_shown():
    """They stand in the URL there, with %-escapes."""
    route = way("environment").route({"https_proxy": "http://ward:s3cr3t%40x@proxy:3128"})
    assert route is not None
    assert route.credentials == ("ward", "s3cr3t@x")
    assert "s3cr3t" not in repr(route) + str(route)


def test_an_environment_that_names_no_proxy_is_refused_without_being_repeated():
    with pytest.raises(Refused) as refused:
        way("environment").route({"https_proxy": "ftp://ward:s3cr3t@proxy"})
    assert refused.value.codes == ("Y-VALUE",)
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize(
    ("centre", "exception", "straight"),
    [
        (CENTRE, "centre.example.org", True),
        (CENTRE, "example.org", True),
        (CENTRE, ".example.org", True),
        (CENTRE, "*.example.org", True),
        (CENTRE, "Example.ORG", True),
        (CENTRE, "ample.org", False),
        (CENTRE, "other.org", False),
        (CENTRE, "", False),
        (CENTRE, "example.org:8443", True),
        (CENTRE, "example.org:443", False),
        ("10.1.2.3:8443", "10.0.0.0/8", True),
        ("10.1.2.3:8443", "10.1.2.3", True),
        ("10.1.2.3:8443", "192.168.0.0/16", False),
        ("[2001:db8::7]:8443", "2001:db8::/32", True),
        ("[2001:db8::7]:8443", "[2001:db8::7]", True),
    ],
)
def test_who_is_excepted(centre, exception, straight):
    """By name, by what it is below (at a dot only), by address, by network, by port."""
    route = way("environment", centre).route({"https_proxy": "http://proxy:3128", "no_proxy": exception})
    assert (route is None) == straight


@pytest.mark.parametrize("centre", ["localhost:8443", "127.0.0.9:8443", "[::1]:8443", "x.localhost:8443"])
def test_this_machine_is_never_reached_through_a_proxy(centre):
    assert way(Proxy(url="http://proxy:3128"), centre).route({}) is None


def test_only_what_speaks_to_the_centre_is_told(monkeypatch):
    """The others get neither proxy nor credentials, though both stand in the supervisor's own environment."""
    monkeypatch.setenv("WARD_PROXY", "ward:s3cr3t")
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    way_out = way(Proxy.model_validate({"url": "http://proxy:3128", "credentials": {"variable": "WARD_PROXY"}}))
    told = way_out.environment()
    assert told["WARD_PROXY"] == "ward:s3cr3t"
    assert "s3cr3t" not in told[HANDED_ON]
    assert "https_proxy" not in told
    assert {"WARD_PROXY", "https_proxy", "HTTPS_PROXY"} <= set(telling(way_out.proxy))
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert handed_on() == way_out
    assert way("none").environment() == {}
