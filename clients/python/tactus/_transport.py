"""How requests are made: one at a time, and again when that is safe."""
from __future__ import annotations

import email.utils
import http.client
import json
import random
import re
import ssl
import time
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from ._errors import Error, Unanswered, faults_of

KEYED = re.compile(r"^/(schedules|schedules/[^/]+/(trigger|backfill)|runs/[^/]+/rerun)$")
FIRST_WAIT = 0.2


@dataclass
class Request:
    method: str
    path: str  # below /api/v1, escaped
    query: dict[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class NotSent(Unanswered):
    """There was no connection: nothing was sent."""


class Transport:
    """Sends requests to one API. Every request has a connection of its own, so it can be used by many threads."""

    def __init__(
        self, url: str, token: str, actor: str, attempts: int, timeout: float, max_wait: float, context: ssl.SSLContext | None,
    ) -> None:
        fault = ValueError("want http://host:port or https://host:port")  # it never quotes a URL, which may hold a password
        try:
            at = urlsplit(url)
            self._host, self._port = at.hostname, at.port
        except ValueError:
            raise fault from None
        if at.scheme not in ("http", "https") or not self._host or at.query or at.fragment:
            raise fault
        if at.username or at.password:
            raise ValueError("want http://host:port without a user: give a key as token")
        if attempts < 1 or timeout <= 0 or max_wait < 0:
            raise ValueError("attempts and timeout must be positive, and max_wait cannot be negative")
        self._https, self._base, self._context = at.scheme == "https", at.path.rstrip("/"), context
        self._token, self._actor = token, actor
        self.attempts, self._timeout, self._max_wait = attempts, timeout, max_wait

    def headers(self, request: Request) -> dict[str, str]:
        headers = {"Accept": "application/json, application/problem+json", "User-Agent": "tactus-python"}
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        if self._actor:
            headers["X-Tactus-Actor"] = self._actor
        if self._token:
            headers["Authorization"] = "Bearer " + self._token
        if request.method == "POST" and KEYED.match(request.path):
            headers["Idempotency-Key"] = uuid.uuid4().hex
        headers.update(request.headers)
        for name, value in headers.items():
            if any(c in value for c in "\r\n\0"):
                raise ValueError(f"{name} has a line break or U+0000, which no header may have: leave it out")
        return headers

    def once(self, request: Request, headers: dict[str, str]) -> Any:
        """Sends a request and returns its answer, decoded."""
        path = self._base + "/api/v1" + request.path
        pairs = [(k, v) for k, v in request.query.items() if v is not None]
        if pairs:
            path += "?" + urlencode([(k, _text(v)) for k, v in pairs for v in (v if isinstance(v, (list, tuple)) else [v])])
        body = None if request.body is None else json.dumps(request.body, allow_nan=False).encode()
        if self._https:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                self._host or "", self._port, timeout=self._timeout, context=self._context or ssl.create_default_context())
        else:
            connection = http.client.HTTPConnection(self._host or "", self._port, timeout=self._timeout)
        try:
            try:
                connection.connect()
            except OSError as err:
                raise NotSent(f"no connection to {self._host}: {err}") from err
            try:
                connection.request(request.method, path, body, {k: v.encode().decode("latin-1") for k, v in headers.items()})
                response = connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException) as err:
                raise Unanswered(f"{self._host} did not answer: {type(err).__name__}: {err}") from err
        finally:
            connection.close()
        if not 200 <= response.status < 300:
            raise Error(faults_of(answer), response.status, retry_after(response.getheader("Retry-After")))
        if not answer.strip():
            return None
        try:
            return json.loads(answer)
        except ValueError as err:
            raise Unanswered(f"{self._host} did not answer in JSON: {err}") from err

    def waits(self, request: Request, headers: dict[str, str]) -> Waits:
        """The waits between the attempts of a request."""
        repeatable = (
            request.method == "GET" or request.method == "PUT" and "If-Match" not in headers or "Idempotency-Key" in headers
        )
        return Waits(self.attempts, self._max_wait, repeatable)


class Waits:
    """Decides after each failed attempt how long to wait for the next one."""

    def __init__(self, attempts: int, max_wait: float, repeatable: bool) -> None:
        self._left, self._max_wait, self._repeatable, self._wait = attempts, max_wait, repeatable, FIRST_WAIT

    def after(self, err: Exception) -> float:
        """How long to wait; raises the error when there is no further attempt."""
        self._left -= 1
        if self._left == 0 or not self._again(err):
            raise err
        wait = self._wait * random.uniform(0.5, 1)
        self._wait *= 2
        if isinstance(err, Error) and err.retry_after:
            wait = err.retry_after
        if wait > self._max_wait:
            raise err
        return wait

    def _again(self, err: Exception) -> bool:
        if isinstance(err, NotSent):
            return True
        if isinstance(err, Error):
            if err.status in (502, 503, 504):
                return self._repeatable
            return err.status < 500 and bool(err.retry_after)  # it was not carried out
        return isinstance(err, Unanswered) and self._repeatable


def retry_after(text: str | None) -> float | None:
    """Seconds, from either form of the header."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def segment(text: str) -> str:
    """A part of a path."""
    return quote(text, safe="")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value.isoformat() if hasattr(value, "isoformat") else value)
