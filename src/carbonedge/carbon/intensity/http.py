"""Where live sources meet the network: JSON by GET, patient within bounds, silent on keys."""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from carbonedge._optional import optional
from carbonedge._validation import positive
from carbonedge.carbon.intensity.keys import Secret
from carbonedge.carbon.intensity.points import other_types
from carbonedge.exceptions import IntensityUnavailableError

__all__ = ["JsonClient", "RefusedError"]

logger = logging.getLogger(__name__)

_ATTEMPTS = 4
_LONGEST_ANSWER_BYTES = 16_000_000
_LONGEST_MESSAGE = 200
_LONGEST_PAUSE_S = 3600.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_CHATTY = ("httpx", *(f"httpcore.{part}" for part in ("connection", "http11", "proxy", "socks")))


class RefusedError(IntensityUnavailableError):
    """A provider answered with a status other than success."""

    status: int = 0


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why one attempt gave nothing; a value, so that no exception carries a request along."""

    what: str
    passing: bool = False
    status: int = 0
    wait_s: float = 0.0


class _Unlogged(logging.Filter):
    """Drops what the HTTP libraries log of our requests: they log addresses and headers."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(self._thread, "ours", False)

    @contextmanager
    def here(self) -> Iterator[None]:
        self._thread.ours = True
        try:
            yield
        finally:
            self._thread.ours = False


_unlogged = _Unlogged()


class JsonClient:
    """Gets JSON from one provider; safe for threads.

    Connection errors, timeouts, 429 and 5xx are tried again up to three times, after waits
    that double and are jittered, or as ``Retry-After`` says. A provider that asks for more
    than the time left is not asked again until then, or for an hour at most. Redirects are
    not followed.

    Parameters
    ----------
    source
        The provider's name, for messages.
    base_url
        ``https://``, or ``http://`` where no key is sent or this machine answers.
    timeout_s
        Of each wait for the provider; all attempts together end after about three times that.
    secrets
        Kept out of every message, whoever says them; those in headers are too.

    Raises
    ------
    ValueError
        If the address is none, or would let keys be seen.
    IntensityUnavailableError
        If the extra ``live`` is not installed.
    """

    def __init__(
        self, source: str, base_url: str, *, timeout_s: float, secrets: Sequence[Secret] = ()
    ) -> None:
        self.source = source
        self.base_url = _address(base_url, keys=bool(secrets))
        self._timeout_s = positive("timeout_s", timeout_s)
        self._secrets = tuple(secrets)
        self._httpx: Any = optional("httpx", "live", IntensityUnavailableError)
        self._tenacity: Any = optional("tenacity", "live", IntensityUnavailableError)
        self._closed = threading.Event()
        self._paused_until_s = -math.inf
        for name in _CHATTY:
            logging.getLogger(name).addFilter(_unlogged)
        self._client = _open(self._httpx)
        if self._client is None:
            raise IntensityUnavailableError(
                f"{source}: the environment's settings for HTTP cannot be used: check "
                "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE"
            )

    def get(
        self,
        path: str,
        kind: Any,
        *,
        asked: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, Secret] | None = None,
        remedies: Mapping[int, str] | None = None,
    ) -> Any:
        """What the provider answers, held to a type.

        Parameters
        ----------
        kind
            Of dataclasses and the like; what it does not name is passed over. A body of
            ``null``, or none at all (204), is None.
        asked
            What for, in messages.
        remedies
            By status, what to do about it.

        Raises
        ------
        RefusedError
            If the provider's last answer was a refusal.
        IntensityUnavailableError
            If there was no answer, or none of this type.
        """
        start_s = time.monotonic()
        if self._closed.is_set():
            raise IntensityUnavailableError(f"{self.source} was closed: make another")
        if start_s < self._paused_until_s:
            raise IntensityUnavailableError(
                f"{self.source}: {asked}: not asked, since it wants to be left alone for another "
                f"{self._paused_until_s - start_s:.0f} s: come back then, or ask another source"
            )
        headers = headers or {}
        end_s = start_s + 3 * self._timeout_s
        outcome = self._patiently()(self._attempt, path, kind, params or {}, headers, end_s)
        if not isinstance(outcome, _Trouble):
            return outcome
        if outcome.wait_s > 0:
            self._paused_until_s = time.monotonic() + min(outcome.wait_s, _LONGEST_PAUSE_S)
        remedy = (remedies or {}).get(outcome.status) or _remedy(outcome)
        text = f"{self.source}: {asked}: {outcome.what}: {remedy}"
        if not outcome.status:
            raise IntensityUnavailableError(text)
        error = RefusedError(text)
        error.status = outcome.status
        raise error

    def clean(self, text: str, *more: Secret) -> str:
        """A provider's words without keys and control characters, and short."""
        text = "".join(letter if letter.isprintable() else " " for letter in text)
        secrets = {secret.reveal() for secret in (*self._secrets, *more)}
        secrets |= {form.removeprefix("Bearer ").removeprefix("Basic ") for form in secrets}
        for form in sorted(secrets, key=len, reverse=True):
            text = text.replace(form, "[key]")
        return text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + "..."

    def close(self) -> None:
        """End waits and connections."""
        self._closed.set()
        self._client.close()

    def _patiently(self) -> Any:
        tenacity = self._tenacity
        # Tied to the timeout: 0.5 s, 1 s and 2 s of one of 10 s, and up to half a second more.
        first_s = self._timeout_s / 20
        backoff = tenacity.wait_exponential(first_s) + tenacity.wait_random(0, first_s)
        return tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda it: isinstance(it, _Trouble) and it.passing),
            stop=tenacity.stop_after_attempt(_ATTEMPTS)
            | tenacity.stop_before_delay(3 * self._timeout_s),
            wait=lambda state: max(backoff(state), state.outcome.result().wait_s),
            sleep=tenacity.sleep_using_event(self._closed),
            retry_error_callback=lambda state: state.outcome.result(),
        )

    def _attempt(
        self,
        path: str,
        kind: Any,
        params: Mapping[str, str],
        headers: Mapping[str, Secret],
        end_s: float,
    ) -> Any:
        """One request's answer, or its trouble in words that hold no key."""
        outcome = self._request(path, kind, params, headers, end_s)
        if isinstance(outcome, _Trouble):
            return replace(outcome, what=self.clean(outcome.what, *headers.values()))
        return outcome

    def _request(
        self,
        path: str,
        kind: Any,
        params: Mapping[str, str],
        headers: Mapping[str, Secret],
        end_s: float,
    ) -> Any:
        httpx = self._httpx
        start_s = time.monotonic()
        timeout_s = max(min(self._timeout_s, end_s - start_s), 1e-3)
        try:
            with (
                _unlogged.here(),
                self._client.stream(
                    "GET",
                    self.base_url + path,
                    params=dict(params),
                    headers={name: secret.reveal() for name, secret in headers.items()},
                    timeout=timeout_s,
                ) as response,
            ):
                status, wait_s = response.status_code, _retry_after_s(response.headers)
                body = _read(response, end_s, httpx.ReadTimeout)
        except httpx.TimeoutException:
            return _Trouble(f"no answer within {self._timeout_s:g} s", passing=True)
        except httpx.TransportError as error:
            return _Trouble(f"no answer ({type(error).__name__}: {error})", passing=True)
        except (httpx.RequestError, httpx.InvalidURL, RuntimeError) as error:
            return _Trouble(f"no answer ({type(error).__name__}: {error})")
        taken_ms = (time.monotonic() - start_s) * 1e3
        logger.debug("%s: GET %s: %d in %.0f ms", self.source, path, status, taken_ms)
        if body is None:
            return _Trouble(f"an answer of more than {_LONGEST_ANSWER_BYTES:,} bytes")
        if status == 204:
            body = b"null"
        elif status != 200:
            return _refusal(status, body, wait_s)
        return _decoded(body, kind)


def _open(httpx: Any) -> Any:
    """A client, or None where settings are wrong; the error may hold a proxy's password."""
    try:
        return httpx.Client(
            headers={"accept": "application/json", "user-agent": "carbonedge"},
            # Minutes lie between requests: a kept connection would only outlive forks.
            limits=httpx.Limits(max_keepalive_connections=0),
        )
    except (ImportError, OSError, ValueError):
        return None


def _address(base_url: str, *, keys: bool) -> str:
    """An address without its last slash, that neither holds a password nor lets keys be seen."""
    if not isinstance(base_url, str):
        raise TypeError("base_url is no str: give an address such as https://example.org")
    parts = urlsplit(base_url)
    try:
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known or not base_url.isprintable():
        raise ValueError("base_url is no address: give one such as https://example.org")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("base_url holds more than an address: leave user, password and query out")
    if keys and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError(
            f"base_url is http://{parts.netloc}, where keys could be read underway: use https://"
        )
    return base_url.rstrip("/")


def _read(response: Any, end_s: float, too_late: type[Exception]) -> bytes | None:
    """The body, or None where it is too long; a slow one is cut off."""
    body = bytearray()
    for part in response.iter_bytes():
        body += part
        if len(body) > _LONGEST_ANSWER_BYTES:
            return None
        if time.monotonic() > end_s:
            raise too_late("")
    return bytes(body)


def _decoded(body: bytes, kind: Any) -> Any:
    import msgspec

    try:
        return msgspec.json.decode(body, type=kind, dec_hook=other_types)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return _Trouble(f"an answer that is not as documented ({error})")


def _refusal(status: int, body: bytes, wait_s: float) -> _Trouble:
    said = _message(body)
    what = f"HTTP {status}" + (f", '{said}'" if said else "")
    passing = status == 429 or status >= 500
    return _Trouble(what, passing, status, wait_s if passing else 0.0)


def _message(body: bytes) -> str:
    """What a provider says of an error, where it is JSON; pages for people are left out."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    for name in ("error", "message", "detail", "title"):
        if isinstance(said, dict) and name in said:
            if isinstance(said[name], dict):
                return _message(json.dumps(said[name]).encode())
            return str(said[name])
    return ""


def _remedy(trouble: _Trouble) -> str:
    if trouble.wait_s > 0:
        return f"come back in {trouble.wait_s:.0f} s, or ask another source"
    if 300 <= trouble.status < 400:
        return "redirects are not followed: set base_url to where it leads"
    if trouble.passing:
        return "check the network and base_url, or try again later"
    if trouble.status:
        return "check the zone and the settings"
    return "check base_url and whether the provider has changed"


def _retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds that ``Retry-After`` asks for, given as such or as a date; 0 for none."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:15])
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return max(0.0, (then - datetime.now(UTC)).total_seconds())
