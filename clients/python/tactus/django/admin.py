from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.template.response import TemplateResponse

from .. import Client, Error, Unanswered
from .models import Run, Schedule

PAGE = 50
STATES = ("active", "paused", "completed", "invalid")
STATUSES = (
    "due", "sent", "started", "retrying", "succeeded", "failed", "revoked", "expired", "skipped", "missed", "unknown",
)


class Listed(admin.ModelAdmin):
    """A list that is read from the API, a page at a time, and cannot be changed here."""

    member: str
    taken: tuple[str, ...]  # the parameters that are passed on
    choice: tuple[str, tuple[str, ...]]

    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> Any:
        return [url for url in super().get_urls() if url.name and url.name.endswith("_changelist")]

    def changelist_view(self, request: Any, extra_context: Any = None) -> TemplateResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        given = {name: request.GET[name] for name in (*self.taken, "page_token") if request.GET.get(name)}
        rows: list[Any] = []
        following, problem = "", ""
        try:
            client = Client(settings.TACTUS_URL, token=getattr(settings, "TACTUS_TOKEN", ""), attempts=2, timeout=10)
            page = client.do("GET", "/" + self.member, query={"page_size": PAGE, **given})
            rows = [{k: _time(k, v) for k, v in row.items()} | {"trigger": _trigger(row)} for row in page[self.member]]
            following = page.get("next_page_token") or ""
        except (Error, Unanswered) as err:
            problem = str(err)
        more = request.GET.copy()
        more["page_token"] = following
        return TemplateResponse(request, f"admin/tactus/{self.member}.html", {
            **self.admin_site.each_context(request), **(extra_context or {}),
            "title": self.opts.verbose_name_plural, "opts": self.opts, "rows": rows, "problem": problem, "given": given,
            "choice": self.choice, "chosen": given.get(self.choice[0]),
            "next": more.urlencode() if following else "", "address": settings.TACTUS_URL.rstrip("/"),
        })


def _time(name: str, value: Any) -> Any:
    """A time, which the template shows in the zone of Django."""
    return datetime.fromisoformat(value) if name.endswith("_at") and isinstance(value, str) and "T" in value else value


def _trigger(row: dict[str, Any]) -> Any:
    if row.get("interval_seconds"):
        return f"every {row['interval_seconds']} s"
    return row.get("cron_expression") or row.get("run_at") or row.get("rrule")


@admin.register(Schedule)
class Schedules(Listed):
    member = "schedules"
    taken = ("q", "state", "tag", "task_name", "queue")
    choice = ("state", STATES)


@admin.register(Run)
class Runs(Listed):
    member = "runs"
    taken = ("status", "schedule", "task_name", "tag", "queue", "error")
    choice = ("status", STATUSES)
