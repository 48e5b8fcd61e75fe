"""Prints the beat_schedule of a Celery application as JSON, for `tactus import celery`.

    python3 beat_schedule.py project.celery:app

It imports the application as a worker does, and sends nothing.
"""
import importlib
import json
import sys
from datetime import datetime, timedelta

from celery.schedules import crontab, schedule


def find(path):
    module, _, name = path.partition(":")
    module = importlib.import_module(module)
    for candidate in [name] if name else ["app", "celery"]:
        if hasattr(module, candidate):
            return getattr(module, candidate)
    sys.exit(f"{path}: say where the application is, as module:name")


def field(value):
    return value if isinstance(value, (int, str)) else sorted(value)


def when(s):
    if isinstance(s, crontab):
        names = ["minute", "hour", "day_of_week", "day_of_month", "month_of_year"]
        return {"__type__": "crontab", **{name: field(getattr(s, "_orig_" + name)) for name in names}}
    if isinstance(s, schedule):
        return {"__type__": "interval", "every": s.run_every.total_seconds(), "relative": bool(s.relative)}
    if isinstance(s, timedelta):
        return {"__type__": "interval", "every": s.total_seconds(), "relative": False}
    if isinstance(s, (int, float)):
        return {"__type__": "interval", "every": s, "relative": False}
    return {"__type__": type(s).__name__}


def plain(value):
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, (set, frozenset, tuple)) else str(value)


def main(path="app"):
    sys.path.insert(0, "")
    app = find(path)
    app.finalize()
    app.loader.import_default_modules()
    schedules = []
    for name, entry in app.conf.beat_schedule.items():
        schedules.append({
            "name": name, "task": entry["task"], "args": list(entry.get("args") or ()), "kwargs": entry.get("kwargs") or {},
            "options": entry.get("options") or {}, "schedule": when(entry["schedule"]),
        })
        if entry.get("relative") and schedules[-1]["schedule"]["__type__"] == "interval":
            schedules[-1]["schedule"]["relative"] = True
    json.dump({"timezone": str(app.timezone), "schedules": schedules}, sys.stdout, default=plain, ensure_ascii=False, indent=2)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
