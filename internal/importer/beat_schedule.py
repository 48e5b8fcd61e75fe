"""Prints what the beat of a Celery application would do, as JSON, for `tactus import celery`.

    python3 beat_schedule.py project.celery:app

It imports the application as a worker does, and sends nothing: for each entry of beat_schedule Celery itself is asked when its
beat would send it next, and which message; for each task that is registered, where a message without options would go.
"""
import importlib
import json
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from types import MethodType

from celery import signals
from celery.app.base import Celery
from celery.app.task import Task
from celery.beat import BeatLazyFunc
from celery.schedules import crontab, schedule, solar
from kombu.serialization import dumps
from kombu.utils.json import dumps as plain_dumps

INSTANTS = 20
HORIZON = timedelta(days=800)
LONGEST_STEP = timedelta(days=1)


def find(path):
    module, _, name = path.partition(":")
    module = importlib.import_module(module)
    for candidate in [name] if name else ["app", "celery"]:
        if hasattr(module, candidate):
            return getattr(module, candidate)
    sys.exit(f"{path}: say where the application is, as module:name")


def quiet(app):
    """Has the application publish to whoever asks, and connect to nothing."""
    app.conf.task_always_eager = False
    app.conf.task_send_sent_event = False
    app.conf.result_backend = "disabled://"
    hooks = [bool(getattr(signals, name).receivers) for name in ("before_task_publish", "after_task_publish")]
    signals.before_task_publish.receivers = []
    signals.after_task_publish.receivers = []
    return hooks[0]


class Captured:
    """Stands where a producer does, and keeps what it is to publish."""

    serializer = None

    class connection:
        class _reraise_as_library_errors:
            def __init__(self, *args, **kwargs):
                pass

            def __enter__(self):
                return None

            def __exit__(self, *exc):
                return False

    def __init__(self):
        self.published = []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return False

    def publish(self, body, **options):
        self.published.append((body, options))


class Refused(Exception):
    """An entry that is not to be brought in, with the fault and the mend."""


def publish(app, name, args, kwargs, options):
    """The body and the options with which Celery publishes a task. What overrides Celery's own sending is not run."""
    producer = Captured()
    task = app.tasks.get(name)
    if task is not None:
        send = Celery.send_task
        if type(app).send_task is not send:
            app.send_task = MethodType(send, app)
        Task.apply_async(task, args, kwargs, producer=producer, **options)
    else:
        Celery.send_task(app, name, args, kwargs, producer=producer, **options)
    (published,) = producer.published
    return published


def seconds(value):
    return value.total_seconds() if isinstance(value, timedelta) else value


def name_of(thing):
    return thing if isinstance(thing, str) or thing is None else thing.name


def destination(options):
    """Where a message goes: to a queue, or through an exchange to those that are bound to it."""
    exchange, key = name_of(options.get("exchange")), options.get("routing_key")
    declared = [name_of(queue) for queue in options.get("declare") or []]
    if not exchange:
        return {"queue": key}
    return {"exchange": exchange, "routing_key": key, "queue": declared[0] if declared else None}


def message(app, name, args, kwargs, options):
    """What Celery's beat would send, and how that differs from anything that tactus can."""
    (args, kwargs, embedded), sent = publish(app, name, args, kwargs, options)
    headers, differences = sent["headers"], []
    serializer = sent.get("serializer") or "json"
    if serializer != "json":
        differences.append(("serializer", f"it is sent as {serializer}: tactus sends JSON"))
    try:
        content_type, _, text = dumps((args, kwargs), "json")
    except Exception as e:
        raise Refused(f"args_unreadable at /args: they are not JSON ({e}): give what JSON has") from e
    args, kwargs = split(text)
    merged = dict(options)
    task = app.tasks.get(name)
    if task is not None:
        merged = {**task._get_exec_options(), **merged}
    expires = sent.get("expiration")
    if isinstance(merged.get("expires"), datetime):
        differences.append(("expires", f"it expires at {merged['expires'].isoformat()}, at that instant for every run: give ends_at, or seconds"))
        expires = None
    if headers.get("eta"):
        differences.append(("eta", "it has a countdown or an eta: its worker would wait; tactus sends at the due time"))
    if any(embedded.get(part) for part in ("callbacks", "errbacks", "chain", "chord")):
        differences.append(("callbacks", "it has callbacks (link, link_error, chain or chord): tactus sends the task alone"))
    own = {key: value for key, value in (merged.get("headers") or {}).items()}
    found = destination(sent)
    found.update({
        "args": args, "kwargs": kwargs, "priority": sent.get("priority"), "expires": seconds(expires),
        "time_limit": seconds(headers["timelimit"][0]), "soft_time_limit": seconds(headers["timelimit"][1]),
        "ignore_result": bool(headers.get("ignore_result")), "shadow": headers.get("shadow"), "headers": encoded(own),
    })
    return found, differences


def encoded(value):
    try:
        return json.loads(plain_dumps(value))
    except Exception as e:
        raise Refused(f"value_unreadable at /headers: they are not JSON ({e}): give what JSON has") from e


def split(text):
    """The JSON of args and of kwargs, each as it stands in a body."""
    text = text if isinstance(text, str) else text.decode()
    decoder = json.JSONDecoder()
    _, end = decoder.raw_decode(text, 1)
    args, rest = text[1:end], text[end:]
    start = end + len(rest) - len(rest.lstrip(", "))
    _, end = decoder.raw_decode(text, start)
    return args, text[start:end]


class Clock:
    """What a schedule takes for now. It keeps the zone and the kind of what the schedule's own clock said."""

    def __init__(self, own):
        sample = own()
        self.zone, self.at = sample.tzinfo, datetime.now(timezone.utc)
        self.naive = None
        if self.zone is None:
            ahead = sample - self.at.replace(tzinfo=None)
            self.naive = timedelta(minutes=round(ahead.total_seconds() / 60))

    def __call__(self):
        if self.naive is not None:
            return self.at.replace(tzinfo=None) + self.naive
        return self.at.astimezone(self.zone)


def instants(s, start):
    """When the beat would send a schedule that it sent last, or met first, at start."""
    clock = Clock(s.now)
    s.nowfun, clock.at = clock, start
    due, last = [], clock()
    while len(due) < INSTANTS and clock.at < start + HORIZON:
        now, remaining = s.is_due(last)
        if now:
            due.append(clock.at)
            last = clock()
            _, remaining = s.is_due(last)
        clock.at += min(max(timedelta(seconds=remaining), timedelta(milliseconds=10)), LONGEST_STEP)
    return [at.isoformat() for at in due], clock


def field(value):
    return value if isinstance(value, (int, str)) else sorted(value)


def zone_name(zone):
    """The name of a zone in the database of zones, if it has one."""
    return getattr(zone, "key", None) or getattr(zone, "zone", None) or (str(zone) if str(zone) == "UTC" else None)


def when(s, relative):
    if isinstance(s, crontab):
        names = ["minute", "hour", "day_of_week", "day_of_month", "month_of_year"]
        return {"__type__": "crontab", **{name: field(getattr(s, "_orig_" + name)) for name in names}}
    if isinstance(s, schedule):
        return {"__type__": "interval", "every": s.run_every.total_seconds(), "relative": bool(s.relative or relative)}
    return {"__type__": type(s).__name__}


def arguments(entry):
    """What an entry gives to its task, as Celery's beat takes it."""
    args, kwargs = entry.get("args") or (), entry.get("kwargs") or {}
    if not isinstance(args, (list, tuple)):
        raise Refused(f"args_not_list at /args: args is {args!r}: write ({args!r},), which is a list of one")
    if not isinstance(kwargs, Mapping):
        raise Refused(f"kwargs_not_object at /kwargs: kwargs is {kwargs!r}: give names and values")
    for value in [*args, *kwargs.values()]:
        if isinstance(value, BeatLazyFunc):
            raise Refused("args_unreadable at /args: a BeatLazyFunc is called anew for each run: have the task find the value itself")
    return list(args), dict(kwargs)


def scheduled(app, raw, relative):
    """An entry's schedule as Celery's beat makes it: seconds and timedeltas are intervals."""
    if isinstance(raw, (int, float)):
        raw = timedelta(seconds=raw)
    if isinstance(raw, timedelta):
        return schedule(raw, relative=relative, app=app)
    raw.app = app
    return raw


def exported(app, name, entry, hooked, start):
    """One entry: its schedule, its next instants, its message, and what differs or why it is refused."""
    out = {"name": str(name), "task": entry["task"], "schedule": {"__type__": type(entry["schedule"]).__name__}}
    try:
        relative = bool(entry.get("relative"))
        s = scheduled(app, entry["schedule"], relative)
        out["schedule"] = when(s, relative)
        options = dict(entry.get("options") or {})
        args, kwargs = arguments(entry)
        out["message"], differences = message(app, entry["task"], args, kwargs, options)
        task = app.tasks.get(entry["task"])
        if hooked or type(app).send_task is not Celery.send_task or task is not None and type(task).apply_async is not Task.apply_async:
            differences.append(("hooks", "the application has code of its own in the way of sending (apply_async, send_task or before_task_publish): it does not run"))
        out["differences"] = [{"kind": kind, "message": text} for kind, text in differences]
        if not isinstance(s, solar):
            out["due"], clock = instants(s, start)
            out["timezone"] = zone_name(clock.zone) if clock.zone is not None else zone_name(app.timezone)
    except Refused as e:
        out["refused"] = str(e)
    except Exception as e:
        out["refused"] = f"unsendable: Celery itself cannot send it ({type(e).__name__}: {e}): mend the entry"
    return out


def tasks(app):
    """Where each registered task goes that is sent without options, and with which."""
    found = {}
    for name in sorted(app.tasks):
        if name.startswith("celery."):
            continue
        try:
            to, _ = message(app, name, [], {}, {})
        except Exception:
            continue  # one that has arguments that are checked is asked without
        found[name] = options_of(to)
    return found


def patterns(app):
    """Where tasks go whose names match a pattern of task_routes, by asking for one such name; and what no pattern here can say."""
    found, left = {}, []
    routes = app.conf.task_routes or ()
    for route in routes if isinstance(routes, (list, tuple)) and not all(isinstance(r, (list, tuple)) for r in routes) else [routes]:
        pairs = route.items() if isinstance(route, Mapping) else route if isinstance(route, (list, tuple)) else [(route, None)]
        for key, _ in pairs:
            if isinstance(key, str) and "*" in key and "[" not in key:
                to, _ = message(app, key.replace("*", "x").replace("?", "x"), [], {}, {})
                found[key] = options_of(to)
            elif not isinstance(key, str) or "*" in key:
                left.append(str(getattr(key, "pattern", key)))
    return found, left


def options_of(to):
    return {key: value for key, value in to.items() if key not in ("args", "kwargs") and value not in (None, False, {})}


def main(path="app"):
    sys.path.insert(0, "")
    app = find(path)
    app.finalize()
    app.loader.import_default_modules()
    hooked = quiet(app)
    for task in app.tasks.values():
        task.typing = False
    start = datetime.now(timezone.utc).replace(microsecond=0)
    transport = app.conf.broker_transport_options or {}
    globs, left = patterns(app)
    json.dump({
        "version": 2, "application": path, "made_at": start.isoformat(), "typed_times": "__value__" in plain_dumps([start]), "timezone": zone_name(app.timezone),
        "transport": {name: transport[name] for name in ("global_keyprefix", "sep", "priority_steps") if name in transport},
        "default_queue": app.conf.task_default_queue,
        "schedules": [exported(app, name, entry, hooked, start) for name, entry in app.conf.beat_schedule.items()],
        "tasks": tasks(app), "patterns": globs, "patterns_left": left,
    }, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
