"""Which names browsers are answered by."""

from __future__ import annotations

import pytest

from minga_node.server.hosts import allowed, by_another_site, by_browser

CHROME = {"User-Agent": "Mozilla/5.0", "Accept": "*/*", "Accept-Language": "de"}
CURL = {"User-Agent": "curl/8.5.0", "Accept": "*/*"}
OWN = ("node-7", "files.example.com", "*.minga.example.org")


@pytest.mark.parametrize(
    ("headers", "browser"),
    [
        (CHROME, True),
        (CURL, False),
        ({}, False),
        ({"User-Agent": "python-urllib3/2.5", "Accept-Encoding": "identity"}, False),
        # What a page can change of its requests leaves one of the marks.
        ({"User-Agent": "curl/8", "Accept": "*/*", "Accept-Language": ""}, True),
        ({**CURL, "Origin": "http://evil.example"}, True),
        ({**CURL, "Sec-Fetch-Site": "cross-site"}, True),
        ({"Accept": "text/html,*/*"}, True),
    ],
)
def test_a_browser_is_known_by_what_no_page_can_hide(headers: dict[str, str], browser: bool) -> None:
    assert by_browser(headers) is browser


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("[::1]:5000", True),
        ("[fe80::1%25eth0]:5000", True),
        ("192.168.1.20", True),
        ("node-7:5000", True),
        ("peer1:5000", True),
        ("nas.local", True),
        ("minga.default.svc", True),
        ("minga.default.svc.cluster.local:80", True),
        ("files.example.com", True),
        ("FILES.example.com.", True),
        ("a.minga.example.org", True),
        ("minga.example.org", False),
        ("evil.example", False),
        ("files.example.com.evil.example", False),
        ("127.0.0.1.evil.example:5000", False),
        ("", False),
        ("[", False),
    ],
)
def test_browsers_are_answered_by_names_that_no_other_site_can_have(host: str, answered: bool) -> None:
    assert allowed(host, CHROME, lambda: OWN) is answered
    assert allowed(host, CURL, lambda: OWN)
    assert allowed(host, CHROME, lambda: ("*",))


@pytest.mark.parametrize(
    ("headers", "another"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        # Another port of the same host is another program.
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({**CHROME, "Referer": "http://node-7:5000/"}, False),
        ({**CHROME, "Referer": "http://evil.example/"}, True),
        ({**CHROME, "Origin": "http://evil.example", "Referer": "http://node-7:5000/"}, True),
        (CHROME, True),
        (CURL, False),
    ],
)
def test_an_act_is_wanted_by_this_nodes_own_page(headers: dict[str, str], another: bool) -> None:
    assert by_another_site("node-7:5000", headers) is another
