from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from provider import Answer, Provider
from unseen import KEY, PASSWORD, failing, shown

from carbonedge.carbon.intensity.http import JsonClient
from carbonedge.carbon.intensity.keys import Secret
from carbonedge.exceptions import IntensityUnavailableError

GOOD = {"value": 7}


@dataclass
class Value:
    value: int


def client(url: str, timeout_s: float = 2.0) -> JsonClient:
    return JsonClient("the source", url, timeout_s=timeout_s, secrets=[Secret(PASSWORD)])


def get(client: JsonClient, **more: object) -> object:
    headers = {"auth-token": Secret(KEY)}
    return client.get("/it", Value, asked="zone 'X'", headers=headers, **more)


def test_what_is_answered_is_held_to_its_type_and_the_rest_passed_over(provider: Provider) -> None:
    provider.say("/it", {"value": 7, "more": [1]})
    assert get(client(provider.url), params={"zone": "A B&c"}) == Value(7)
    (request,) = provider.requests
    assert request.headers["auth-token"] == KEY
    assert request.headers["accept"] == "application/json"
    assert request.params == {"zone": "A B&c"}


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_passing_error_is_tried_again(provider: Provider, status: int) -> None:
    provider.say("/it", Answer(b"oops", status), Answer(b"oops", status), GOOD)
    assert get(client(provider.url)) == Value(7)
    assert len(provider.requests) == 3


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 418])
def test_a_refusal_is_not_tried_again(provider: Provider, status: int) -> None:
    provider.say("/it", Answer({"error": "not you"}, status), GOOD)
    message = failing(lambda: get(client(provider.url)))
    assert message.startswith("the source: zone 'X': HTTP ")
    assert str(status) in message
    assert "not you" in message
    assert len(provider.requests) == 1


def test_it_gives_up_in_the_end(provider: Provider) -> None:
    provider.say("/it", Answer({"message": "down"}, 503))
    assert "HTTP 503, 'down'" in failing(lambda: get(client(provider.url)))
    assert len(provider.requests) == 4


def test_a_remedy_for_a_status_is_told(provider: Provider) -> None:
    provider.say("/it", Answer(b"", 403))
    message = failing(lambda: get(client(provider.url), remedies={403: "ask for more"}))
    assert message.endswith(": ask for more")


def test_a_wait_that_is_asked_for_is_kept(provider: Provider) -> None:
    provider.say("/it", Answer(b"", 429, {"retry-after": "1"}), GOOD)
    start_s = time.monotonic()
    assert get(client(provider.url)) == Value(7)
    assert time.monotonic() - start_s >= 1.0


@pytest.mark.parametrize(
    "wait",
    [
        "3600",
        "999999999999999999999999999",
        format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True),
        (datetime.now(UTC) + timedelta(hours=2)).strftime("%a, %d %b %Y %H:%M:%S -0000"),
    ],
)
def test_a_long_wait_fails_at_once_and_is_kept_by_later_calls(
    provider: Provider, wait: str
) -> None:
    provider.say("/it", Answer(b"", 429, {"retry-after": wait}), GOOD)
    one = client(provider.url)
    assert "come back in " in failing(lambda: get(one))
    assert "not asked, since it wants to be left alone" in failing(lambda: get(one))
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    "wait",
    [
        *("", "soon", "-5", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99 Oct 2015", "1e9"),
        f"Wed, 21 Oct {'9' * 20} 07:28:00 GMT",
    ],
)
def test_a_wait_that_is_over_or_senseless_is_none(provider: Provider, wait: str) -> None:
    provider.say("/it", Answer(b"", 503, {"retry-after": wait}), GOOD)
    assert get(client(provider.url)) == Value(7)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[",
        b"\xff",
        b"[" * 100_000,
        b'{"value": 7',
        b'{"value": NaN}',
        b'{"value": "7"}',
        b'{"value": null}',
        b'{"value": 1e400}',
        b"{}",
        b"null",
        b"[1]",
        b'{"value": "' + KEY.encode() + b'"}',
    ],
)
def test_garbage_is_told_as_such_at_once(provider: Provider, body: bytes) -> None:
    provider.say("/it", body)
    assert "not as documented" in failing(lambda: get(client(provider.url)))
    assert len(provider.requests) == 1


def test_no_content_is_none(provider: Provider) -> None:
    provider.say("/it", Answer(b"", 204))
    assert client(provider.url).get("/it", Value | None, asked="it") is None


def test_an_answer_that_breaks_off_is_tried_again(provider: Provider) -> None:
    provider.say("/it", Answer(GOOD, cut_short=True), GOOD)
    assert get(client(provider.url)) == Value(7)


def test_an_endless_answer_is_cut_off(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carbonedge.carbon.intensity.http._LONGEST_ANSWER_BYTES", 1000)
    provider.say("/it", b" " * 1001)
    assert "more than 1,000 bytes" in failing(lambda: get(client(provider.url)))


def test_a_slow_answer_is_not_waited_for(provider: Provider) -> None:
    provider.say("/it", Answer(GOOD, after_s=30.0))
    start_s = time.monotonic()
    assert "no answer within 0.4 s" in failing(lambda: get(client(provider.url, 0.4)))
    assert time.monotonic() - start_s < 15
    assert len(provider.requests) > 1


def test_an_answer_that_drips_is_cut_off(provider: Provider) -> None:
    provider.say("/it", Answer(b"", dripping=True))
    assert "no answer within 0.2 s" in failing(lambda: get(client(provider.url, 0.2)))


def test_where_nobody_listens_the_error_says_so(nobody: str) -> None:
    message = failing(lambda: get(client(nobody, 0.2)))
    assert "ConnectError" in message
    assert "check the network" in message


def test_redirects_are_not_followed(provider: Provider) -> None:
    elsewhere = Provider()
    try:
        provider.say("/it", Answer(b"", 302, {"location": f"{elsewhere.url}/it"}))
        assert "redirects are not followed" in failing(lambda: get(client(provider.url)))
        assert not elsewhere.requests
    finally:
        elsewhere.stop()


@pytest.mark.parametrize("name", ["error", "message", "detail", "title"])
def test_a_provider_that_says_the_key_back_is_not_repeated(provider: Provider, name: str) -> None:
    said = f"bad\x1b[31m key {KEY} and {PASSWORD}\r\n" + "x" * 500
    provider.say("/it", Answer({name: {"code": 1, "message": said}}, 401))
    message = failing(lambda: get(client(provider.url)))
    assert "key [key] and [key]" in message
    assert message.count("x") < 200


@pytest.mark.parametrize("status", [200, 302, 500])
def test_headers_that_say_the_key_back_reach_no_log(provider: Provider, status: int) -> None:
    headers = {"location": f"/?key={KEY}", "set-cookie": f"a={KEY}", "x-key": KEY}
    provider.say("/it", Answer({"value": KEY}, status, headers))
    failing(lambda: get(client(provider.url)))


def test_others_logs_of_the_http_library_go_on(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    import httpx

    client(provider.url)
    provider.say("/it", GOOD)
    httpx.get(f"{provider.url}/it")
    assert "HTTP Request: GET" in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org",
        "example.org",
        "https://",
        "https://a:99999",
        "https://[::1",
        f"https://me:{KEY}@example.org",
        f"https://example.org?key={KEY}",
        "https://example.org/\n",
        "http://example.org",
    ],
)
def test_an_address_that_is_none_or_would_show_keys_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"base_url|Invalid IPv6") as caught:
        client(url)
    assert not shown(str(caught.value))


def test_without_keys_plain_http_will_do() -> None:
    assert JsonClient("it", "http://example.org/api/", timeout_s=1).base_url.endswith("/api")


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_wrong_proxy_is_told_without_its_password(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, f"nonsense://me:{KEY}@proxy")
    assert "ALL_PROXY" in failing(lambda: client("https://example.org"))


def test_a_closed_client_says_so_and_ends_its_waits(provider: Provider) -> None:
    provider.say("/it", Answer(b"", 500, {"retry-after": "25"}))
    one = client(provider.url, 10.0)
    closing = threading.Timer(0.3, one.close)
    closing.start()
    start_s = time.monotonic()
    failing(lambda: get(one))
    assert time.monotonic() - start_s < 20
    closing.join()
    assert "was closed" in failing(lambda: get(one))


def test_importing_the_sources_loads_nothing_heavy() -> None:
    heavy = "httpx", "tenacity", "platformdirs", "msgspec"
    code = (
        "import sys, carbonedge.carbon.intensity; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("missing", ["httpx", "tenacity"])
def test_what_is_not_installed_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(IntensityUnavailableError, match=rf'{missing} .*"carbonedge\[live\]"'):
        client("https://example.org")


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan"), float("inf")])
def test_a_timeout_is_finite_and_above_0(timeout_s: float) -> None:
    with pytest.raises(ValueError, match="timeout_s"):
        client("https://example.org", timeout_s)
