from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Unpack, cast

from ._errors import Error, Fault
from ._transport import Request, Transport, segment
from .types import (
    ChangedSchedule, EventPage, ManualRun, Pause, RerunRun, RunDetail, RunEntry, RunPage, Schedule, ScheduleDefinition,
    SchedulePage, SchedulePatch, Triggered,
)


class _Base:
    """What both clients are made of. Without a URL and a token they are those of TACTUS_URL and TACTUS_TOKEN."""

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        actor: str = "",
        attempts: int = 4,
        timeout: float = 30,
        max_wait: float = 30,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """actor says who calls, where the API asks nobody to prove it; a request is sent at most so many times (attempts), each
        of which may take so many seconds (timeout); a longer Retry-After than max_wait is not waited for."""
        url = url if url is not None else os.environ.get("TACTUS_URL", "http://127.0.0.1:8000")
        token = token if token is not None else os.environ.get("TACTUS_TOKEN", "")
        self._transport = Transport(url, token, actor, attempts, timeout, max_wait, ssl_context)


def matching(version: int | None) -> dict[str, str]:
    return {} if version is None else {"If-Match": f'"{version}"'}


def found(name: str, page: SchedulePage) -> Schedule:
    if not page["schedules"]:
        raise Error([Fault("not_found", "name", f"there is no schedule named {name!r}")], 404)
    return page["schedules"][0]


def of(reason: str | None, headers: dict[str, str] | None) -> dict[str, str]:
    return (headers or {}) | ({"X-Tactus-Reason": reason} if reason else {})


class Client(_Base):
    """Calls the API. It can be used by many threads at once."""

    def do(
        self, method: str, path: str, *, body: Any = None, query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None, reason: str | None = None,
    ) -> Any:
        """Calls any operation, by its path below /api/v1. reason says why something is changed."""
        request = Request(method, path, query or {}, body, of(reason, headers))
        sent = self._transport.headers(request)
        waits = self._transport.waits(request, sent)
        while True:
            try:
                return self._transport.once(request, sent)
            except Exception as err:
                wait = waits.after(err)
            time.sleep(wait)

    def create(self, /, **definition: Unpack[ScheduleDefinition]) -> Schedule:
        """Creates a schedule."""
        return cast(Schedule, self.do("POST", "/schedules", body=definition))

    def put(self, name: str, /, **definition: Unpack[ScheduleDefinition]) -> Schedule:
        """Creates the schedule of a name, or replaces its definition."""
        return cast(Schedule, self.do("PUT", "/schedules/by-name/" + segment(name), body=definition))

    def get(self, id: str) -> Schedule:
        """The schedule with an id."""
        return cast(Schedule, self.do("GET", "/schedules/" + segment(id)))

    def patch(self, id: str, members: SchedulePatch | dict[str, Any], version: int | None = None) -> Schedule:
        """Changes members (RFC 7396): None puts one back to its default. With a version, only if the schedule is at it."""
        return cast(Schedule, self.do("PATCH", "/schedules/" + segment(id), body=members, headers=matching(version)))

    def delete(self, id: str) -> None:
        """Deletes a schedule."""
        self.do("DELETE", "/schedules/" + segment(id))

    def enable(self, id: str) -> ChangedSchedule:
        """Has a schedule fire from now on."""
        return cast(ChangedSchedule, self.do("POST", f"/schedules/{segment(id)}/enable"))

    def disable(self, id: str, /, **pause: Unpack[Pause]) -> ChangedSchedule:
        """Keeps a schedule from firing, perhaps for a time."""
        return cast(ChangedSchedule, self.do("POST", f"/schedules/{segment(id)}/disable", body=pause))

    def trigger(self, id: str, /, **run: Unpack[ManualRun]) -> Triggered:
        """Runs a schedule now, perhaps with other arguments."""
        return cast(Triggered, self.do("POST", f"/schedules/{segment(id)}/trigger", body=run))

    def run(self, id: str) -> RunDetail:
        """A run with everything that is known about it."""
        return cast(RunDetail, self.do("GET", "/runs/" + segment(id)))

    def rerun(self, id: str) -> RerunRun:
        """Runs a run again."""
        return cast(RerunRun, self.do("POST", f"/runs/{segment(id)}/rerun"))

    def schedules_page(self, **filter: Any) -> SchedulePage:
        """A page of schedules: what GET /schedules takes, among it page_token."""
        return cast(SchedulePage, self.do("GET", "/schedules", query={"page_size": 200} | filter))

    def runs_page(self, **filter: Any) -> RunPage:
        """A page of runs: what GET /runs takes, among it page_token."""
        return cast(RunPage, self.do("GET", "/runs", query={"page_size": 200} | filter))

    def events_page(self, **filter: Any) -> EventPage:
        """A page of the log: what GET /events takes; go on with after=page["next"] while there is more."""
        return cast(EventPage, self.do("GET", "/events", query=filter))

    def named(self, name: str) -> Schedule:
        """The schedule of a name."""
        return found(name, self.schedules_page(name=name))

    def schedules(self, **filter: Any) -> Iterator[Schedule]:
        """The schedules that a filter chooses, a page at a time."""
        while True:
            page = self.schedules_page(**filter)
            for one in page["schedules"]:
                yield one
            filter["page_token"] = page.get("next_page_token")
            if not filter["page_token"]:
                return

    def runs(self, **filter: Any) -> Iterator[RunEntry]:
        """The runs that a filter chooses, newest first, a page at a time."""
        while True:
            page = self.runs_page(**filter)
            for one in page["runs"]:
                yield one
            filter["page_token"] = page["next_page_token"]
            if not filter["page_token"]:
                return


class AsyncClient(_Base):
    """Calls the API, without holding up the event loop: requests are made in threads."""

    async def do(
        self, method: str, path: str, *, body: Any = None, query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None, reason: str | None = None,
    ) -> Any:
        """Calls any operation, by its path below /api/v1. reason says why something is changed."""
        request = Request(method, path, query or {}, body, of(reason, headers))
        sent = self._transport.headers(request)
        waits = self._transport.waits(request, sent)
        while True:
            try:
                return await asyncio.to_thread(self._transport.once, request, sent)
            except Exception as err:
                wait = waits.after(err)
            await asyncio.sleep(wait)

    async def create(self, /, **definition: Unpack[ScheduleDefinition]) -> Schedule:
        """Creates a schedule."""
        return cast(Schedule, await self.do("POST", "/schedules", body=definition))

    async def put(self, name: str, /, **definition: Unpack[ScheduleDefinition]) -> Schedule:
        """Creates the schedule of a name, or replaces its definition."""
        return cast(Schedule, await self.do("PUT", "/schedules/by-name/" + segment(name), body=definition))

    async def get(self, id: str) -> Schedule:
        """The schedule with an id."""
        return cast(Schedule, await self.do("GET", "/schedules/" + segment(id)))

    async def patch(self, id: str, members: SchedulePatch | dict[str, Any], version: int | None = None) -> Schedule:
        """Changes members (RFC 7396): None puts one back to its default. With a version, only if the schedule is at it."""
        answer = await self.do("PATCH", "/schedules/" + segment(id), body=members, headers=matching(version))
        return cast(Schedule, answer)

    async def delete(self, id: str) -> None:
        """Deletes a schedule."""
        await self.do("DELETE", "/schedules/" + segment(id))

    async def enable(self, id: str) -> ChangedSchedule:
        """Has a schedule fire from now on."""
        return cast(ChangedSchedule, await self.do("POST", f"/schedules/{segment(id)}/enable"))

    async def disable(self, id: str, /, **pause: Unpack[Pause]) -> ChangedSchedule:
        """Keeps a schedule from firing, perhaps for a time."""
        return cast(ChangedSchedule, await self.do("POST", f"/schedules/{segment(id)}/disable", body=pause))

    async def trigger(self, id: str, /, **run: Unpack[ManualRun]) -> Triggered:
        """Runs a schedule now, perhaps with other arguments."""
        return cast(Triggered, await self.do("POST", f"/schedules/{segment(id)}/trigger", body=run))

    async def run(self, id: str) -> RunDetail:
        """A run with everything that is known about it."""
        return cast(RunDetail, await self.do("GET", "/runs/" + segment(id)))

    async def rerun(self, id: str) -> RerunRun:
        """Runs a run again."""
        return cast(RerunRun, await self.do("POST", f"/runs/{segment(id)}/rerun"))

    async def schedules_page(self, **filter: Any) -> SchedulePage:
        """A page of schedules: what GET /schedules takes, among it page_token."""
        return cast(SchedulePage, await self.do("GET", "/schedules", query={"page_size": 200} | filter))

    async def runs_page(self, **filter: Any) -> RunPage:
        """A page of runs: what GET /runs takes, among it page_token."""
        return cast(RunPage, await self.do("GET", "/runs", query={"page_size": 200} | filter))

    async def events_page(self, **filter: Any) -> EventPage:
        """A page of the log: what GET /events takes; go on with after=page["next"] while there is more."""
        return cast(EventPage, await self.do("GET", "/events", query=filter))

    async def named(self, name: str) -> Schedule:
        """The schedule of a name."""
        return found(name, await self.schedules_page(name=name))

    async def schedules(self, **filter: Any) -> AsyncIterator[Schedule]:
        """The schedules that a filter chooses, a page at a time."""
        while True:
            page = await self.schedules_page(**filter)
            for one in page["schedules"]:
                yield one
            filter["page_token"] = page.get("next_page_token")
            if not filter["page_token"]:
                return

    async def runs(self, **filter: Any) -> AsyncIterator[RunEntry]:
        """The runs that a filter chooses, newest first, a page at a time."""
        while True:
            page = await self.runs_page(**filter)
            for one in page["runs"]:
                yield one
            filter["page_token"] = page["next_page_token"]
            if not filter["page_token"]:
                return
