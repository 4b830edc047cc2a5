"""A partner's address reaches the partner and nothing else, whatever the name, the redirect or the speed."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendars.errors import FailedFetch, RefusedAddress
from calendars.fetch import Bounds, Network, clean_address, fetch, is_public, resolved
from tests.standin import partner_calendar as partner
from tests.standin.partner_calendar import FILE, NAME, PartnerServer
from tests.unit.calendars.builders import unhurried


@pytest.fixture(scope="module")
def running() -> Iterator[PartnerServer]:
    with partner.partner_server() as server:
        yield server


@pytest.fixture
def server(running: PartnerServer) -> PartnerServer:
    running.asked.clear()
    running.behaviour.clear()
    running.etag = ""
    return running


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",
        "192.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "not an address",
        "",
    ],
)
def test_what_is_not_the_open_internet_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "114.114.114.114", "2606:4700:4700::1111", "2400:3200::1"]
)
def test_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)


@unhurried
@given(st.ip_addresses(v=4))
def test_no_private_number_hides_in_a_longer_one(address: object) -> None:
    for form in (f"::ffff:{address}", f"::{address}", f"64:ff9b::{address}"):
        assert not is_public(form)


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("https://a.example/x.ics", "https://a.example/x.ics"),
        ("  webcal://a.example/x.ics ", "https://a.example/x.ics"),
        ("HTTPS://A.example", "https://a.example/"),
        (
            "https://a.example:443/日历.ics?q=值",
            "https://a.example/%E6%97%A5%E5%8E%86.ics?q=%E5%80%BC",
        ),
        ("https://学校.example/x", "https://xn--48s290a.example/x"),
        ("https://a.example/x#part", "https://a.example/x"),
    ],
)
def test_addresses_are_made_plain(typed: str, plain: str) -> None:
    assert clean_address(typed) == plain


@pytest.mark.parametrize(
    "typed",
    [
        "http://a.example/x.ics",
        "file:///etc/passwd",
        "gopher://a.example/",
        "ftp://a.example/",
        "https://user:word@a.example/",
        "https://user@a.example/",
        "https://a.example:22/",
        "https://a.example:8443/",
        "https://a.example:99999/",
        "https:///x.ics",
        "https://a.example/\r\nHost: b",
        "https://a.example\\@b.example/",
        "https://[::1/",
        "x",
        "",
        "https://" + "a" * 3000,
    ],
)
def test_other_addresses_are_refused(typed: str) -> None:
    with pytest.raises(RefusedAddress):
        clean_address(typed)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "localhost"],
)
def test_no_spelling_of_this_machine_is_asked(host: str, server: PartnerServer) -> None:
    # the real policy and the real resolver; only the port is the test's
    network = Network(trust=server.trust, port=server.port)
    with pytest.raises((RefusedAddress, FailedFetch)):
        fetch(f"https://{host}:{server.port}/free.ics", network=network)
    assert server.asked == []


def test_without_the_policy_this_machine_would_be_asked(server: PartnerServer) -> None:
    # negative control of the test above
    network = Network(trust=server.trust, port=server.port, allows=lambda address: True)
    fetched = fetch(f"https://127.0.0.1:{server.port}/free.ics", network=network)
    assert fetched.content == FILE


def test_a_file_is_fetched_under_the_name_it_was_asked_by(server: PartnerServer) -> None:
    fetched = fetch(server.url(), network=server.network())
    assert fetched.content == FILE
    ((path, headers),) = server.asked
    assert path == "/free.ics"
    assert headers["Host"].split(":")[0] == NAME
    assert "Cookie" not in headers and "Authorization" not in headers


def test_a_certificate_nobody_vouches_for_is_refused(server: PartnerServer) -> None:
    network = Network(
        resolve=lambda host, port: ["127.0.0.1"], allows=lambda address: True, port=server.port
    )
    with pytest.raises(FailedFetch, match="certificate"):
        fetch(server.url(), network=network)


def test_a_certificate_of_another_name_is_refused(server: PartnerServer) -> None:
    with pytest.raises(FailedFetch, match="certificate"):
        fetch(f"https://other.example:{server.port}/", network=server.network())


def test_a_name_with_one_private_address_is_refused_whole(server: PartnerServer) -> None:
    network = server.network(resolve=lambda host, port: ["1.1.1.1", "10.0.0.1"], allows=is_public)
    with pytest.raises(RefusedAddress):
        fetch(server.url(), network=network)


def test_a_name_that_changes_its_mind_gains_nothing(server: PartnerServer) -> None:
    """DNS rebinding: the second answer would be loopback; nobody asks for it."""
    answers = iter([["192.0.2.7"], ["127.0.0.1"], ["127.0.0.1"]])
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    network = server.network(resolve=rebinding, allows=lambda address: address == "192.0.2.7")
    with pytest.raises(FailedFetch):
        fetch(server.url(), network=network, bounds=Bounds(seconds=1))
    assert asked == [NAME]  # resolved once, and that very address was connected to
    assert server.asked == []


def test_a_client_that_resolves_again_would_have_been_caught(server: PartnerServer) -> None:
    # negative control: check one answer, connect by another look-up
    answers = iter([["192.0.2.7"], ["127.0.0.1"]])
    resolve = lambda host, port: next(answers)  # noqa: E731 - a stub of one line
    assert resolve(NAME, server.port) == ["192.0.2.7"]  # what a careless client checks
    with (
        socket.create_connection((resolve(NAME, server.port)[0], server.port)) as plain,
        server.trust().wrap_socket(plain, server_hostname=NAME) as line,
    ):
        line.sendall(f"GET /inside HTTP/1.0\r\nHost: {NAME}\r\n\r\n".encode())
        line.recv(100)
    assert [path for path, _ in server.asked] == ["/inside"]


def test_a_redirect_is_followed_and_checked_again(server: PartnerServer) -> None:
    server.behaviour["/moved"] = partner.redirect("/free.ics")
    assert fetch(server.url("/moved"), network=server.network()).content == FILE


@pytest.mark.parametrize(
    "target",
    [
        "http://calendar.partner.example/free.ics",
        "file:///etc/passwd",
        "gopher://calendar.partner.example/",
        "https://user:word@calendar.partner.example/",
        "https://inside.example/{port}",
        "https://169.254.169.254/latest/meta-data/",
    ],
)
def test_a_redirect_inside_or_to_another_scheme_is_refused(
    server: PartnerServer, target: str
) -> None:
    if target.endswith("{port}"):
        target = f"https://inside.example:{server.port}/free.ics"
    server.behaviour["/moved"] = partner.redirect(target)

    def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host == NAME else ["10.0.0.1"]

    with pytest.raises(RefusedAddress):
        fetch(server.url("/moved"), network=server.network(resolve=resolve))
    assert [path for path, _ in server.asked] == ["/moved"]


def test_redirects_in_a_circle_end(server: PartnerServer) -> None:
    server.behaviour["/round"] = partner.redirect("/round")
    with pytest.raises(FailedFetch, match="too many"):
        fetch(server.url("/round"), network=server.network())
    assert len(server.asked) == 4


@pytest.mark.parametrize("slow", [partner.drip, partner.drip_headers], ids=["body", "headers"])
def test_a_server_that_drips_is_cut_off_in_time(
    server: PartnerServer, slow: partner.Behaviour
) -> None:
    server.behaviour["/slow"] = slow
    begun = time.monotonic()
    with pytest.raises(FailedFetch, match="too long"):
        fetch(server.url("/slow"), network=server.network(), bounds=Bounds(seconds=1))
    assert time.monotonic() - begun < 3


def test_a_server_that_never_shakes_hands_is_cut_off_in_time(server: PartnerServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        network = Network(
            resolve=lambda host, port: ["127.0.0.1"],
            allows=lambda address: True,
            trust=server.trust,
            port=port,
        )
        begun = time.monotonic()
        with pytest.raises(FailedFetch, match="too long"):
            fetch(f"https://{NAME}:{port}/", network=network, bounds=Bounds(seconds=1))
        assert time.monotonic() - begun < 3


def test_a_resolver_that_hangs_is_not_waited_for(server: PartnerServer) -> None:
    released = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        released.wait(20)
        return ["127.0.0.1"]

    begun = time.monotonic()
    with pytest.raises(FailedFetch, match="too long"):
        fetch(server.url(), network=server.network(resolve=hang), bounds=Bounds(seconds=1))
    assert time.monotonic() - begun < 3
    released.set()


def test_too_much_is_cut_off_whether_announced_or_not(server: PartnerServer) -> None:
    server.behaviour["/endless"] = partner.endless
    server.behaviour["/large"] = partial(partner.give, body=b"x" * 2_000_001)
    for path in ("/endless", "/large"):
        with pytest.raises(FailedFetch, match="larger"):
            fetch(server.url(path), network=server.network())
    server.behaviour["/fits"] = partial(partner.give, body=b"x" * 2_000_000)
    assert len(fetch(server.url("/fits"), network=server.network()).content or b"") == 2_000_000


def test_half_a_file_is_no_file(server: PartnerServer) -> None:
    def half(handler: object) -> None:
        handler.send_response(200)  # type: ignore[attr-defined]
        handler.send_header("Content-Length", "1000")  # type: ignore[attr-defined]
        handler.end_headers()  # type: ignore[attr-defined]
        handler.wfile.write(FILE[:100])  # type: ignore[attr-defined]

    server.behaviour["/half"] = half
    with pytest.raises(FailedFetch, match="broke off"):
        fetch(server.url("/half"), network=server.network())


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_other_answers_are_told(server: PartnerServer, status: int) -> None:
    server.behaviour["/odd"] = lambda handler: handler.send_error(status)
    with pytest.raises(FailedFetch, match=str(status)):
        fetch(server.url("/odd"), network=server.network())


def test_a_packed_answer_is_refused_unopened(server: PartnerServer) -> None:
    server.behaviour["/packed"] = lambda h: partner.give(h, b"\x1f\x8b", Content_Encoding="gzip")
    with pytest.raises(FailedFetch, match="packed"):
        fetch(server.url("/packed"), network=server.network())


def test_what_did_not_change_is_not_sent_again(server: PartnerServer) -> None:
    server.etag = '"7"'
    first = fetch(server.url(), network=server.network())
    assert first.etag == '"7"'
    again = fetch(server.url(), etag=first.etag, network=server.network())
    assert again.content is None
    assert again.etag == '"7"'


def test_the_real_resolver_names_every_address_once() -> None:
    assert resolved("127.0.0.1", 443) == ["127.0.0.1"]


def test_the_usual_trust_checks_names() -> None:
    trust = Network().trust()
    assert trust.check_hostname
    assert trust.verify_mode is ssl.CERT_REQUIRED
