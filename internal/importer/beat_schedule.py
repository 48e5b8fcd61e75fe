"""Prints what the beat of a Celery application would do, as JSON, for `tactus import celery`.

    python3 beat_schedule.py [--schedule FILE] project.celery:app [TASK...]
    python3 beat_schedule.py --hand-back last_runs.json [--schedule FILE] project.celery:app

It imports the application as a worker does, and sends nothing: for each entry of beat_schedule Celery itself is asked when its
beat would send it next, and which message; for each task that is registered or has a route of its own, and for those that are
named besides, where a message without options would go. What the application prints while it is imported goes to stderr.

FILE is where the beat keeps when it sent each entry (celery beat --schedule; celerybeat-schedule in the current directory): by
it, an interval that is in the middle of its period stays there. A copy of the file is read.

With --hand-back it writes to FILE when each entry ran last, by what `tactus export celery` printed, so that the beat can start
again: it sends nothing that ran already. The beat must not run meanwhile.
"""
import argparse
import builtins
import errno
import functools
import json
import math
import os
import re
import shelve
import shutil
import socket
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatchcase
from importlib.machinery import PathFinder
from inspect import getfullargspec
from types import FunctionType, MethodType, ModuleType

from celery import __version__ as celery_version
from celery import signals
from celery.app.amqp import AMQP
from celery.app.base import Celery
from celery.app.backends import by_url
from celery.app.routes import Router
from celery.app.task import Task
from celery.app.utils import Settings, find_app
from celery.backends.base import DisabledBackend
from celery.beat import BeatLazyFunc, PersistentScheduler, ScheduleEntry, Scheduler
from celery.loaders.base import BaseLoader
from celery.schedules import BaseSchedule, crontab, schedule
from celery.utils.time import maybe_make_aware
from kombu.serialization import dumps
from kombu.utils.imports import symbol_by_name
from kombu.utils.json import dumps as plain_dumps
from kombu.utils.uuid import uuid

VERSION = 6
INSTANTS = 20
HORIZON = timedelta(days=800)
YEAR = timedelta(days=400)  # a change of clocks may come a little more than a year after the one before


def find(path):
    """Returns the application, searching where the worker's -A searches."""
    try:
        app = find_app(path)
    except (AttributeError, ImportError) as e:
        sys.exit(f"{path}: there is no application ({type(e).__name__}: {e}): name it as module:name, as for celery -A")
    if not isinstance(app, Celery):
        sys.exit(f"{path}: this is a {type(app).__name__}, not a Celery application: name the application as module:name")
    return app


def unsent(app, name, *args, **kwargs):
    """Replaces sending while the application is imported, because some applications send tasks when they start."""
    print(f"{name} is not sent: the application sends the task while it is being imported", file=sys.stderr)
    return app.AsyncResult(kwargs.get("task_id") or uuid())


def imported(path):
    """Returns the application with all its modules imported, as in a worker."""
    send, Celery.send_task = Celery.send_task, unsent
    try:
        app = find(path)
        app.finalize()
        app.loader.import_default_modules()
        try:
            app.now()
        except Exception as e:
            sys.exit(f"{path}: its beat does not start: timezone {app.conf.timezone!r} ({type(e).__name__}: {e}): "
                     "use a name of the IANA time zone database")
        return app
    finally:
        if Celery.send_task is unsent:
            Celery.send_task = send


# Libraries whose code in the way of a message gives it headers for traces and logs, and changes nothing else of it.
TRACING = {
    "asgi_correlation_id", "ddtrace", "django_guid", "django_structlog", "elasticapm", "newrelic", "opentelemetry", "sentry_sdk",
}


# The packages of which a beat is made. Code of the application in the place of theirs does not run here.
BEATS = {"celery", "kombu", "django_celery_beat", "redbeat"}

# What of them only workers, people and tests run. Other code there changes neither a message nor when it is sent.
NOT_BEATS = ("celery.apps.worker", "celery.bin.worker", "celery.concurrency", "celery.contrib", "celery.worker", "celery.app.trace", "celery.result")

# Modules of Python's own hand on what they are given: functools.partial, weakref.ref, contextlib.contextmanager.
PYTHONS = {"abc", "builtins", "collections", "contextlib", "functools", "threading", "types", "typing", "weakref", "wrapt", *getattr(sys, "stdlib_module_names", ())}


def code(value):
    """Reports whether an attribute is code that runs when the attribute is read or called. It looks at types only, because a proxy is not to be asked."""
    return callable(value) or hasattr(type(value), "__get__")


def package(name):
    return str(name or "").partition(".")[0]


def defined(function):
    """Returns the package that a function comes from, by its module and by the file of its code, which must be one of that package."""
    own, file = package(function.__globals__.get("__name__")), function.__code__.co_filename
    folder = os.path.dirname(getattr(sys.modules.get(own), "__file__", None) or "")
    if own in BEATS and not file.startswith((folder, "<")):
        return os.path.basename(file)
    return own


def parts_of(value):
    """Returns the code that other code holds, and may call: what it wraps, is bound to, or has in its variables."""
    if issubclass(type(value), weakref.ReferenceType):
        return [value()]
    if type(value) is FunctionType:
        return [getattr(value, "__wrapped__", None), *filter(code, map(content, value.__closure__ or ()))]
    if issubclass(type(value), functools.partial):
        return [value.func, *filter(code, [*value.args, *value.keywords.values()])]
    found = [getattr(value, name, None) for name in ("__func__", "__wrapped__", "_self_wrapper", "fget", "fset", "fdel", "func")]
    if type(value) is MethodType:
        return found + [type(value.__self__)]
    return found + [own for own in (getattr(value, "__dict__", None) or {}).values() if type(own) in (FunctionType, MethodType, functools.partial)]


def content(cell):
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


def sources(value, seen=None):
    """Returns the packages that code comes from: its own, and those of the code that it holds, but neither Celery's nor Python's."""
    seen = {} if seen is None else seen
    if value is None or value is unsent or id(value) in seen:
        return set()
    seen[id(value)] = value
    if issubclass(type(value), type):
        return {package(value.__module__)} - BEATS - PYTHONS
    found = {defined(value)} if type(value) is FunctionType else {package(type(value).__module__)}
    return found.union(*(sources(other, seen) for other in parts_of(value))) - BEATS - PYTHONS


class Originals:
    """Keeps the code of the modules of which a beat is made, as each is when it has been loaded, to see what an application replaces."""

    def __init__(self):
        self.kept = {}
        for name in sorted(sys.modules):
            self.keep(name)
        sys.meta_path.insert(0, self)

    def find_spec(self, name, path=None, target=None):
        """Has the import system tell when a module of a beat has been loaded."""
        spec = PathFinder.find_spec(name, path, target) if package(name) in BEATS else None
        if spec and hasattr(spec.loader, "exec_module"):
            load = spec.loader.exec_module

            def exec_module(module):
                load(module)
                self.keep(name)

            spec.loader.exec_module = exec_module
        return spec

    def keep(self, name):
        module = sys.modules.get(name)
        if package(name) not in BEATS or name.startswith(NOT_BEATS) or module is None:
            return
        owners = [module]
        for owner in owners:
            own = dict(vars(owner))
            self.kept[id(owner)] = owner, own, {key: value.__code__ for key, value in own.items() if type(value) is FunctionType}
            owners += [value for value in own.values() if issubclass(type(value), type) and value.__module__ == name and id(value) not in self.kept]

    def replaced(self):
        """Yields what has other code than when it was loaded: its owner, its name, and the value of then, or ABSENT."""
        for owner, own, codes in self.kept.values():
            for name, value in list(vars(owner).items()):
                then = own.get(name, ABSENT)
                if then is ABSENT:
                    # A new name of a class hides that of its base, and a new name of a module Python's own.
                    if code(value) and (issubclass(type(owner), type) or hasattr(builtins, name)):
                        yield owner, name, then
                elif value is not then and (code(value) or code(then) or type(then) is ModuleType) or name in codes and value.__code__ is not codes[name]:
                    yield owner, name, then
            for name in own.keys() - vars(owner).keys():
                if code(own[name]):
                    yield owner, name, own[name]


ABSENT = object()
ORIGINALS = Originals()

# What decides when an entry is due. All else is in the way of its message.
DECIDING = ("celery.beat.", "celery.schedules.", "celery.utils.time.", "django_celery_beat.", "redbeat.", "scheduler.")
SENDING = {"apply_async", "apply_entry", "send_task", "_send_task", "publish", "producer", "connection"}


class Foreign:
    """What runs of other code than Celery's in a beat of the application: places, with the packages that the code comes from."""

    def __init__(self):
        self.places, self.eager = {}, False

    def add(self, place, value):
        name = place.rpartition(".")[2]
        decides = place.startswith(DECIDING) and name not in SENDING or name in ("now", "timezone", "maybe_make_aware")
        self.places[place] = "instants" if decides else "hooks", sources(value) or {"code that is not known"}

    def tracing(self):
        return set().union(*(packages for _, packages in self.places.values())) & TRACING

    def differences(self):
        """Returns what the application replaces, by the kind of its difference."""
        for kind, what in (("hooks", "for sending"), ("instants", "for when an entry is due")):
            own = [f"{place} (by {', '.join(sorted(packages - TRACING))})" for place, (of, packages) in sorted(self.places.items())
                   if of == kind and packages - TRACING]
            if own:
                yield kind, f"the application has its own code {what}, which does not run: {', '.join(own)}"


def restore(foreign):
    """Notes what the application has put in the place of Celery's code, and puts that back."""
    for owner, name, then in list(ORIGINALS.replaced()):
        value = vars(owner).get(name)
        module, of = (owner.__module__, owner.__qualname__ + ".") if issubclass(type(owner), type) else (owner.__name__, "")
        if value is not unsent:
            foreign.add(f"{module}.{of}{name}", value)
        if then is ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, then)
    for owner, own, codes in ORIGINALS.kept.values():
        for name, then in codes.items():
            own[name].__code__ = then


# What an application may have of its own without being in the way of a message: the clock is sampled, sending is looked at by task,
# and the rest has run when the application has been imported, or runs elsewhere.
BY_ITSELF = {
    "app": {
        "now", "send_task", "gen_task_name", "task", "on_init", "on_configure", "on_after_configure", "on_after_finalize", "on_after_fork",
        "autodiscover_tasks", "config_from_object", "config_from_envvar", "config_from_cmdline", "register_task", "finalize", "start",
        "worker_main", "add_defaults", "add_periodic_task", "setup_security", "create_task_cls", "set_default", "set_current", "connection",
        "connection_for_write", "connection_for_read", "broker_connection", "pool", "user_options", "steps", "Beat", "Worker", "WorkController",
        "main", "register_type", "prepare_config", "set_as_current", "registry_cls", "bugreport", "loader", "close", "_get_default_loader",
    },
    "loader": {
        "read_configuration", "config_from_object", "setup_settings", "_import_config_module", "_smart_import", "import_module",
        "import_task_module", "import_from_cwd", "import_default_modules", "find_module", "autodiscover_tasks", "cmdline_config_parser",
        "on_task_init", "on_process_cleanup", "on_worker_shutdown", "shutdown_worker", "on_worker_process_init", "init_worker_process",
        "default_modules", "conf",
    },
}


def overridden(foreign, role, cls, known):
    """Notes code that the class of a part of the application has of its own in place of Celery's."""
    left = BY_ITSELF.get(role, ())
    for own in cls.__mro__:
        if package(own.__module__) in BEATS | PYTHONS:
            continue
        for name, value in vars(own).items():
            if code(value) and name not in left and in_place(known, name):
                foreign.add(f"{role}.{name}", value)


def in_place(known, name):
    """Reports whether a name of a class stands in the way of one of Celery's."""
    return hasattr(known, name) and not name.startswith("__") or name in ("__getattribute__", "__getattr__")


def stands_in(foreign, role, thing, known):
    """Notes code that a part of the application has of its own in place of Celery's, by its class or by itself, and takes the latter out."""
    overridden(foreign, role, type(thing), known)
    for name, value in list(vars(thing).items()):
        if callable(value) and hasattr(type(thing), name) and not issubclass(type(value), type) and sources(value):
            foreign.add(f"{role}.{name}", value)
            del vars(thing)[name]


def scheduler_of(app):
    """Returns the class of the scheduler that the beat uses, or Celery's own when it is not installed here."""
    try:
        return symbol_by_name(app.conf.beat_scheduler)
    except Exception:
        return PersistentScheduler


def quiet(app):
    """Makes the application hand its messages to us instead of connecting to a broker, and returns what it has in place of Celery's code."""
    foreign = Foreign()
    restore(foreign)
    foreign.eager = bool(app.conf.task_always_eager)
    for key, value in (("task_always_eager", False), ("task_send_sent_event", False), ("task_protocol", 2)):
        # A name with the prefix of a namespace, or in the old style, comes before the plain one.
        for name in {*app.conf._to_keys(key), *(old(key) for old in app.conf._keys or ())}:
            app.conf.changes[name] = value
    app._local.backend, app._backend_cache = DisabledBackend(app), None
    for role, thing, known in (("app", app, Celery), ("app.amqp", app.amqp, AMQP), ("app.amqp.router", app.amqp.router, Router),
                               ("loader", app.loader, BaseLoader), ("app.conf", app.conf, Settings)):
        stands_in(foreign, role, thing, known)
    overridden(foreign, "scheduler", scheduler_of(app), PersistentScheduler)
    vars(app.amqp).pop("send_task_message", None)  # it holds the receivers of when it was made
    for name in ("before_task_publish", "after_task_publish"):
        signal = getattr(signals, name)
        for receiver in connected(signal):
            foreign.add(name, receiver)
        signal.receivers = []
    return foreign


def connected(signal):
    """Returns the receivers of a signal that are still there."""
    held = [receiver() if issubclass(type(receiver), weakref.ReferenceType) else receiver for _, receiver in signal.receivers or ()]
    return [receiver for receiver in held if receiver is not None]


def at_start():
    """Returns remarks about what the application does when its beat starts, which is not known here."""
    found = set()
    for signal in (signals.beat_init, signals.beat_embedded_init):
        found = found.union(*map(sources, connected(signal)))
    return [f"{package} runs code of its own when the beat starts (beat_init), which is not run here: see whether it changes what is sent, or when"
            for package in sorted(found - TRACING)]


def monitored(name):
    """Reports whether Sentry is told at each run that the beat has sent an entry, and warns when it is not."""
    sentry = sys.modules.get("sentry_sdk")
    try:
        integration = (sentry.get_client() if hasattr(sentry, "get_client") else sentry.Hub.current).get_integration("celery")
        left = getattr(integration, "exclude_beat_tasks", None) or ()
        return bool(getattr(integration, "monitor_beat_tasks", False)) and not any(re.search(f"(?:{one})$", name) for one in left)
    except Exception:  # there is no Sentry, or it is not on
        return False


# What of apply_async's options comes in, is compared by itself, or is between a beat and its broker alone.
CARRIED = {
    "queue", "exchange", "routing_key", "priority", "expires", "headers", "time_limit", "soft_time_limit", "ignore_result", "shadow", "serializer",
    "countdown", "eta", "link", "link_error", "chain", "chord", "compression", "retry", "retry_policy", "delivery_mode", "declare", "add_to_parent",
    "exchange_type", "producer", "publisher", "connection", "event_dispatcher", "timeout", "confirm_timeout",
}


class Captured:
    """Replaces a producer, and keeps the message that it is asked to publish."""

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
    """An entry that cannot be imported, with the fault and the remedy."""


def publish(app, name, args, kwargs, options, checked):
    """Returns the body and the options with which Celery publishes a task, without running code that overrides Celery's sending.

    Whether the arguments fit the task is looked at only if checked."""
    producer = Captured()
    task = app.tasks.get(name)
    if task is not None:
        send = Celery.send_task
        if type(app).send_task is not send:
            app.send_task = MethodType(send, app)
        typing, task.typing = task.typing, checked and checks(task)
        try:
            Task.apply_async(task, args, kwargs, producer=producer, **options)
        finally:
            task.typing = typing
    else:
        Celery.send_task(app, name, args, kwargs, producer=producer, **options)
    (published,) = producer.published
    return published


def checks(task):
    """Reports whether Celery sends a task only with arguments that fit its signature."""
    return bool(task.typing) and type(task).apply_async is Task.apply_async and hasattr(task, "__header__")


def signature(app, name):
    """Returns which arguments Celery sends a task with, or None where it sends any."""
    task = app.tasks.get(name)
    if task is None or not checks(task):
        return None
    takes = getfullargspec(task.__header__)
    by_name = takes.kwonlydefaults or {}
    return {
        "positional": takes.args, "required": len(takes.args) - len(takes.defaults or ()), "more": bool(takes.varargs),
        "keywords": takes.kwonlyargs, "required_keywords": [name for name in takes.kwonlyargs if name not in by_name],
        "any_keywords": bool(takes.varkw),
    }


def celerys(app):
    """Returns the names of the headers that Celery itself gives each message."""
    return {*AMQP.as_task_v2(app.amqp, "id", "task").headers, "replaced_task_nesting", "stamped_headers", "stamps"}


# Properties of a message that matter to a worker, and that only options or routes give.
PROPERTIES = {"app_id", "cluster_id", "content_encoding", "content_type", "message_id", "timestamp", "type", "user_id"}


def computed(value):
    """Returns an object in the arguments that says at each run what it is as JSON, or None."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return next((found for found in map(computed, value) if found is not None), None)
    return value if hasattr(value, "__json__") else None


def seconds(value, option):
    """Returns a number of seconds, or None."""
    value = value.total_seconds() if isinstance(value, timedelta) else value
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise Refused(f"option_unreadable at /options/{option}: {option} is {value!r}: write a number of seconds, such as 60")
    return float(value) if isinstance(value, float) else int(value)


def whole(value, option):
    """Returns a whole number, or None. Members of an enumeration may be numbers, which JSON writes as such."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused(f"option_unreadable at /options/{option}: {option} is {value!r}: write a whole number, such as 5")
    return int(value)


def label(value, option):
    """Returns a text, or None."""
    if value is not None and not isinstance(value, str):
        raise Refused(f"option_unreadable at /options/{option}: {option} is {value!r}: write a text")
    return value


def unique(pairs):
    """Returns a dict of the members of a JSON object, which may have each name once."""
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"a dict has two keys that JSON writes as {twice!r}, such as 1 and '1', of which a worker sees one")
    return members


def name_of(thing):
    return thing if isinstance(thing, str) or thing is None else thing.name


def destination(options):
    """Returns where a message goes: to a queue, or through an exchange to the queues bound to it."""
    exchange, key = name_of(options.get("exchange")), options.get("routing_key")
    declared = [name_of(queue) for queue in options.get("declare") or []]
    if not exchange:
        return {"queue": key}
    return {"exchange": exchange, "routing_key": key, "queue": declared[0] if declared else None}


def routed(app, name):
    """Returns what the options of a task and its route name of a destination, where that is more than a queue. Celery adds to it what
    a caller names, and only then decides whether an exchange or a routing key without the other counts."""
    task = app.tasks.get(name)
    to = app.amqp.router.route(dict(task._get_exec_options()) if task is not None else {}, name, (), {}, task)
    named = {part: name_of(to[part]) for part in ("queue", "exchange", "routing_key") if to.get(part)}
    return named if {"exchange", "routing_key"} & set(named) else None


def message(app, name, args, kwargs, options, checked=False):
    """Returns what Celery's beat would send, each time, and how that differs from all that tactus can send."""
    found, differences = asked_once(app, name, args, kwargs, options, checked)
    for _ in range(ASKED if routed_by_code(app) else 1):
        again, _ = asked_once(app, name, args, kwargs, options, checked)
        for part in found:
            if found[part] != again[part]:
                raise Refused(f"{part}_unreadable at /{part}: it is computed for each run ({found[part]}, then {again[part]}): "
                              "let the task compute it, or give one that stays")
    return found, differences


# How often a router that is code is asked again. One that tosses a coin says the same each time once in a million entries.
ASKED = 20


def routed_by_code(app):
    """Reports whether a router is code, which may say something else each time."""
    given = app.conf.task_routes or ()
    return any(not isinstance(route, (Mapping, list, tuple)) for route in (given if isinstance(given, (list, tuple)) else [given]))


# The content type and the encoding of all messages of tactus, as kombu's own serializer has them.
TACTUS_SENDS = "application/json", "utf-8"


def asked_once(app, name, args, kwargs, options, checked):
    """Returns the message that Celery would send now, and how that differs from all that tactus can send."""
    own = computed([args, kwargs])
    if own is not None:
        raise Refused(f"args_unreadable at /args: {type(own).__name__}.__json__ is called for each run: let the task compute the value itself")
    for option in ("expires", "time_limit", "soft_time_limit"):
        if not isinstance(options.get(option), (str, datetime)):
            seconds(options.get(option), option)
    (args, kwargs, embedded), sent = publish(app, name, args, kwargs, options, checked)
    headers, differences = sent["headers"], []
    serializer = sent.get("serializer") or "json"
    if serializer != "json":
        differences.append(("serializer", f"it is sent as {serializer}: tactus sends JSON"))
    try:
        content_type, encoding, text = dumps((args, kwargs), "json")
    except Exception as e:
        raise Refused(f"args_unreadable at /args: they are not JSON ({e}): give what JSON has") from e
    if (content_type, encoding) != TACTUS_SENDS:
        differences.append(("serializer", f"its serializer json has the content type {content_type} ({encoding}), and its workers may refuse any other: "
                            "tactus sends " + "{} ({})".format(*TACTUS_SENDS)))
    args, kwargs = split(text)
    for part, written in (("args", args), ("kwargs", kwargs)):
        try:
            json.loads(written, object_pairs_hook=unique)
        except ValueError as e:
            raise Refused(f"args_unreadable at /{part}: {e}: rename one of them") from e
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
    for option in sorted(set(options) - CARRIED | set(sent) & PROPERTIES):
        differences.append(("options", f"the option {option} is not imported"))
    if sent.get("compression"):
        differences.append(("options", f"it is sent compressed ({sent['compression']}), by an option, its task or the settings: "
                            "tactus compresses nothing, and workers take it as it is"))
    celery_gives = celerys(app)
    own = {**{key: value for key, value in headers.items() if key not in celery_gives}, **(merged.get("headers") or {})}
    for header, value in (("task", name), ("lang", "py"), ("retries", 0), ("group", None), ("parent_id", None)):
        if headers.get(header) != value and header not in own:
            differences.append(("headers", f"Celery's own header {header} is {headers.get(header)!r}, by a route or code of the application"))
    found = destination(sent)
    if found.get("exchange") and merged.get("exchange") and not merged.get("queue"):
        found["queue"] = None  # whoever is bound to the exchange, and nobody else
    found.update({
        "args": args, "kwargs": kwargs, "priority": whole(sent.get("priority"), "priority"),
        "expires": seconds(expires, "expires"), "time_limit": seconds(headers["timelimit"][0], "time_limit"),
        "soft_time_limit": seconds(headers["timelimit"][1], "soft_time_limit"), "ignore_result": bool(headers.get("ignore_result")),
        "shadow": label(headers.get("shadow"), "shadow"), "headers": encoded(own),
    })
    return found, differences


def no_number(name):
    raise ValueError(f"{name} is no number in JSON")


def encoded(value):
    try:
        text = plain_dumps(value)
        json.loads(text, object_pairs_hook=unique, parse_constant=no_number)
        return json.loads(text)
    except Exception as e:
        raise Refused(f"value_unreadable at /headers: they are not JSON ({e}): give what JSON has") from e


def split(text):
    """Returns the JSON of args and of kwargs, each as in the body of a message."""
    text = text if isinstance(text, str) else text.decode()
    decoder = json.JSONDecoder()
    _, end = decoder.raw_decode(text, 1)
    args, rest = text[1:end], text[end:]
    start = end + len(rest) - len(rest.lstrip(", "))
    _, end = decoder.raw_decode(text, start)
    return args, text[start:end]


class Clock:
    """Replaces the clock of a schedule. It keeps the zone and the type of the times that the schedule's own clock returns, and how far it is ahead."""

    def __init__(self, s):
        sample = s.now()
        self.at, self.zone, self.naive = datetime.now(timezone.utc), sample.tzinfo, sample.tzinfo is None
        if self.naive:  # it is by the host's clock, or by that of UTC
            ahead = sample - self.at.replace(tzinfo=None)
            by_host = self.at.astimezone().utcoffset()
            if by_host and abs(ahead - by_host) < timedelta(minutes=1):
                ahead -= by_host
            else:
                self.zone = timezone.utc
        else:
            ahead = sample - self.at
            if not own_clock(s):
                self.zone = s.app.timezone  # that of a time by the host's clock has no changes
        self.ahead = timedelta(minutes=round(ahead.total_seconds() / 60))

    def __call__(self):
        at = (self.at + self.ahead).astimezone(self.zone)
        return at.replace(tzinfo=None) if self.naive else at

    def change(self, start, end):
        """Returns the first instant in (start, end] at which the zone's offset differs from the one at start, or None."""
        offset, day = start.astimezone(self.zone).utcoffset(), timedelta(days=1)
        while start < end:
            to = min(start + day, end)
            if to.astimezone(self.zone).utcoffset() != offset:
                break
            start = to
        else:
            return None
        while to - start > timedelta(seconds=1):
            middle = (start + (to - start) / 2).replace(microsecond=0)
            if middle.astimezone(self.zone).utcoffset() == offset:
                start = middle
            else:
                to = middle
        return to


def own_clock(s):
    """Reports whether a schedule goes by another clock than that of Celery's application."""
    return bool(s.nowfun) or getattr(s.now, "__func__", None) is not BaseSchedule.now or type(s.app).now is not Celery.now


@contextmanager
def by(s, clock):
    """Has a schedule go by a clock, whether its own is given to it or is a method of its class."""
    own = dict(vars(s))
    try:
        s.nowfun = s.now = clock
    except AttributeError as e:
        raise Refused(f"trigger_unsupported at /schedule: the clock of {type(s).__name__} cannot be replaced ({e}): use nowfun") from e
    try:
        yield
    finally:
        vars(s).clear()
        vars(s).update(own)


def instants(s, start, end, most):
    """Returns when a beat would send a schedule until end if it last sent, or first read, the schedule at start. Entries may share one schedule."""
    clock = Clock(s)
    clock.at = start
    with by(s, clock):
        due, last = [], clock()
        while len(due) < most:
            now, remaining = s.is_due(last)
            if now:
                due.append(clock.at)
                last = clock()
                _, remaining = s.is_due(last)
            wake = clock.at + max(timedelta(seconds=remaining), timedelta(milliseconds=10))
            clock.at = clock.change(clock.at, min(wake, end)) or wake  # a beat wakes every few minutes, and sees the change
            if clock.at > end:
                break
    return due


def around(s, change, due):
    """Returns the range in which a change of clocks may have an effect, and the most instants in it. due are the schedule's next due times."""
    if not isinstance(s, crontab):
        return change - s.run_every * 1.5, change + s.run_every * 2.5 + timedelta(hours=2), 5
    often = len(due) == INSTANTS and due[-1] - due[0] < timedelta(days=1)
    before, after = (timedelta(hours=2), timedelta(hours=3)) if often else (timedelta(hours=36), timedelta(days=2))
    return change - before, change + after, 1000


def changes(s, start, due):
    """Returns when the beat would send a schedule around each change of its zone's clocks within a year."""
    found, clock, end = [], Clock(s), start + YEAR
    change = clock.change(start, end)
    while change is not None:
        begin, until, most = around(s, change, due)
        sent = instants(s, begin, until, most)
        found.append({"from": begin.isoformat(), "until": (sent[-1] if len(sent) == most else until).isoformat(), "due": texts(sent)})
        change = clock.change(change, end)
    return found


def texts(due):
    return [at.isoformat() for at in due]


def field(value):
    return value if isinstance(value, (int, str)) else sorted(value)


def zone_name(zone):
    """Returns the name of a zone in the IANA time zone database, or of one whose clocks never change the offset, such as +09:00."""
    return getattr(zone, "key", None) or getattr(zone, "zone", None) or ("UTC" if str(zone) == "UTC" else fixed_offset(zone))


def fixed_offset(zone):
    """Returns the offset of a zone whose clocks never change, or None. The zone of a host may be another one tomorrow."""
    if type(zone).__name__ in ("LocalTimezone", "tzlocal") or isinstance(zone, timezone) and not zone.tzname(None).startswith("UTC"):
        return None
    try:
        minutes = zone.utcoffset(None) / timedelta(minutes=1)
    except Exception:  # it depends on the time
        return None
    if minutes != int(minutes):
        return None
    return "%s%02d:%02d" % ("-" if minutes < 0 else "+", *divmod(abs(int(minutes)), 60))


def when(s, relative):
    if isinstance(s, crontab):
        names = ["minute", "hour", "day_of_week", "day_of_month", "month_of_year"]
        return {"__type__": "crontab", **{name: field(getattr(s, "_orig_" + name)) for name in names}}
    if isinstance(s, schedule):
        return {"__type__": "interval", "every": s.run_every.total_seconds(), "relative": bool(s.relative or relative)}
    return {"__type__": type(s).__name__}


def arguments(entry):
    """Returns the arguments of an entry, as Celery's beat reads them."""
    args, kwargs = entry.args or (), entry.kwargs or {}
    if not isinstance(args, (list, tuple)):
        raise Refused(f"args_not_list at /args: args is {args!r}: write ({args!r},), which is a list of one")
    if not isinstance(kwargs, Mapping):
        raise Refused(f"kwargs_not_object at /kwargs: kwargs is {kwargs!r}: use a dict of names and values")
    for value in [*args, *kwargs.values()]:
        if isinstance(value, BeatLazyFunc):
            raise Refused("args_unreadable at /args: a BeatLazyFunc is called for each run: let the task compute the value itself")
    return list(args), dict(kwargs)


def made(app, name, entry):
    """Returns an entry as Celery's beat builds it, and whether its interval is relative."""
    if isinstance(entry, ScheduleEntry):
        entry.app = app
        return entry, False
    if not isinstance(entry, Mapping):
        raise Refused(f"entry_invalid at /: it is {entry!r}: use a dict with task and schedule")
    for member in ("task", "schedule"):
        if entry.get(member) is None:
            raise Refused(f"required at /{member}: the entry has no {member}, at which Celery's beat stops: add one, or remove the entry")
    raw = entry["schedule"]
    if isinstance(raw, str):
        raise Refused(f"trigger_unsupported at /schedule: Celery's beat accepts no text ({raw!r}): use a crontab(...), a timedelta or seconds")
    return ScheduleEntry(**dict(entry, name=name, app=app)), bool(entry.get("relative"))


# What a class may have of its own without deciding anything: the clock is sampled, and the rest is for people and pickles.
NO_DECISION = {"now", "nowfun", "human_seconds"}


def decides_itself(s):
    """Reports whether a schedule has its own code for when it is due: what its class, or it alone, has in place of Celery's."""
    if type(s).__module__.startswith("django_celery_beat."):
        return False  # it calls Celery's, in its zone
    known, usual = (crontab, crontab()) if isinstance(s, crontab) else (schedule, schedule(1))
    decisive = {name for name in {*dir(known), *vars(usual)} if not name.startswith("__")} - NO_DECISION
    if overrides(type(s), known, {*decisive, "__getattribute__", "__getattr__"}):
        return True
    if any(name in decisive and callable(value) for name, value in vars(s).items() if name not in vars(usual)):
        return True
    if not isinstance(s, crontab):
        return False
    usual = crontab(*(getattr(s, "_orig_" + name) for name in FIELDS))
    return any(getattr(s, name) != getattr(usual, name) for name in FIELDS)


def overrides(cls, known, names):
    """Reports whether a class has code of its own by one of the names."""
    return any(name in names and code(value) for own in cls.__mro__ if own not in known.__mro__ for name, value in vars(own).items())


FIELDS = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")


def stands_still(s):
    """Reports whether the clock of a schedule is no clock: it says the same time for a second, or one that is more than a day off."""
    first, begin = s.now(), time.monotonic()
    if abs(aware(first) - datetime.now(timezone.utc)) > timedelta(days=1):
        return True
    while s.now() == first:
        if time.monotonic() - begin > 1.5:
            return True
        time.sleep(0.01)
    return False


def aware(at):
    return at if at.tzinfo is not None else at.replace(tzinfo=timezone.utc)


# What a task may have of its own without being in the way of its message, because only its worker runs it, or whoever calls it.
OF_WORKERS = {
    "run", "before_start", "on_success", "on_failure", "on_retry", "after_return", "retry", "replace", "apply", "delay", "update_state", "push_request",
    "pop_request", "add_to_chord", "add_trail", "add_around", "annotate", "bind", "on_bound", "chunks", "map", "starmap", "signature", "s", "si",
    "signature_from_request", "subtask", "subtask_from_request", "start_strategy", "AsyncResult", "Request", "Strategy", "request", "request_stack",
    "_get_request", "app", "backend", "_backend", "from_config", "accept_magic_kwargs", "on_replace", "_exec_options", "name", "send_event",
}


def sends_itself(app, name):
    """Returns the application's own code that takes part in sending a task: what its class, or it alone, has in place of Celery's."""
    task, found = app.tasks.get(name), []
    if type(app).send_task is not Celery.send_task:
        found.append("send_task of the application")
    if task is not None:
        own = [own for cls in type(task).__mro__ if package(cls.__module__) not in BEATS | PYTHONS for own in vars(cls).items()]
        own += [pair for pair in vars(task).items() if callable(pair[1])]
        found += sorted({own for own, value in own if code(value) and sources(value) and own not in OF_WORKERS and in_place(Task, own)})
    return [("hooks", f"the application has its own code for sending, which does not run: {', '.join(found)}")] if found else []


def runs_there(app, name, foreign):
    """Returns the difference of a task that Celery's beat does not send."""
    if not foreign.eager or name not in app.tasks:
        return []
    return [("eager", "the application has task_always_eager: Celery's beat runs the task in its own process and sends nothing; tactus sends it to a queue")]


def exported(app, name, own, foreign, start, last_run):
    """Returns one entry of the beat's own: its schedule, its next due times, its message, and what differs or why it is refused."""
    out, entry = {"name": text_of(name), "task": "", "schedule": {}}, own[name]
    try:
        if not isinstance(name, str) and str(name) in own:
            raise Refused(f"name_taken at /name: {name!r} and {str(name)!r} are names of two entries, and one name here: rename one of them")
        if isinstance(entry, Mapping):
            out["task"], out["schedule"] = str(entry.get("task") or ""), {"__type__": type(entry.get("schedule")).__name__}
        entry, relative = made(app, name, entry)
        s, out["task"] = entry.schedule, entry.task
        out["schedule"] = when(s, relative)
        args, kwargs = arguments(entry)
        out["message"], differences = message(app, entry.task, args, kwargs, dict(entry.options or {}), checked=True)
        differences += [*sends_itself(app, entry.task), *foreign.differences(), *runs_there(app, entry.task, foreign)]
        if "sentry_sdk" in foreign.tracing() and monitored(str(name)):
            differences.append(("hooks", "Sentry's monitor of it (monitor_beat_tasks) is told when Celery's beat sends it, and hears nothing from tactus"))
        if foreign.tracing():
            out["notes"] = [f"headers for traces and logs ({', '.join(sorted(foreign.tracing()))}) are not sent"]
        if isinstance(s, (crontab, schedule)) and decides_itself(s):
            differences.append(("instants", f"{type(s).__name__} has its own code for when it is due, which does not run: "
                                "use a crontab or an interval"))
        if isinstance(s, (crontab, schedule)) and stands_still(s):
            differences.append(("instants", f"its clock, which says {s.now()}, does not go with the time: use a clock of a zone"))
        out["differences"] = told(differences)
        if isinstance(s, (crontab, schedule)):
            due = instants(s, start, start + HORIZON, INSTANTS)
            if last_run and last_run > start + timedelta(minutes=1):
                out["differences"].append({"kind": "instants", "message": f"its last run, {last_run.isoformat()}, lies ahead: "
                                           "Celery's beat sends nothing until after that, tactus at the next due time"})
            if last_run and last_run <= start and not isinstance(s, crontab):
                out["last_run_at"] = last_run.isoformat()
            out["due"], out["changes"] = texts(due), changes(s, start, due)
            out["due_until"] = texts([due[-1] if len(due) == INSTANTS else start + HORIZON])[0]
            clock = Clock(s)
            out["timezone"] = zone_name(clock.zone if own_clock(s) and not clock.naive else app.timezone)
    except Refused as e:
        out["refused"] = str(e)
    except Exception as e:
        out["refused"] = f"unsendable: Celery itself cannot send it ({type(e).__name__}: {text_of(e)}): correct the entry"
    return printable(out)


def text_of(value):
    """Returns a value as a text, also when its own code that makes one fails."""
    try:
        return str(value)
    except Exception as e:
        return f"<{type(value).__name__}, whose text cannot be made ({type(e).__name__})>"


def printable(out):
    """Returns an entry, or what remains of one that JSON does not have."""
    try:
        json.dumps(out, allow_nan=False)
        return out
    except Exception as e:
        refused = f"value_unreadable at /: it has what JSON does not have ({type(e).__name__}: {e}): use plain texts and numbers"
        return {"name": out["name"], "task": str(out["task"]), "schedule": {}, "refused": out.get("refused") or refused}


def told(differences):
    return [{"kind": kind, "message": text} for kind, text in differences]


CLEANUP = "celery.backend_cleanup"


def entries(app):
    """Returns the beat's entries: the application's own, and the one that Celery adds where results do not expire by themselves."""
    own = app.conf.beat_schedule or {}
    if not isinstance(own, Mapping):
        sys.exit(f"beat_schedule is {own!r}: Celery's beat wants a dict of entries")
    if not app.conf.result_expires or CLEANUP in own:
        return dict(own)
    try:
        backend, _ = by_url(app.backend_cls or app.conf.result_backend, app.loader)
    except Exception as e:
        print(f"cannot tell whether results expire by themselves ({type(e).__name__}: {e}): Celery's beat would not start", file=sys.stderr)
        return dict(own)
    if backend.supports_autoexpire:
        return dict(own)
    return {**own, CLEANUP: {"task": CLEANUP, "schedule": crontab("0", "4", "*"), "options": {"expires": 12 * 3600}}}


def last_runs(app, file):
    """Returns when the beat last sent each of its entries, or first read it, by the file in which it keeps that."""
    named = file or app.conf.beat_schedule_filename
    if file and not parts(named):
        sys.exit(f"{file}: there is no such file: it is what celery beat --schedule names")
    ran = noted(app, named)
    if ran:
        print(f"intervals keep the phase that they have in {named}", file=sys.stderr)
    return ran


def parts(named):
    """Returns the endings of the files in which a beat keeps what is called by one name."""
    return [suffix for suffix in PersistentScheduler.known_suffixes if os.path.isfile(named + suffix)]


def noted(app, named):
    """Returns what the beat's file says, of which a copy is read, or nothing when there is none or the beat would ignore it."""
    with tempfile.TemporaryDirectory() as copies:
        found = parts(named)
        if not found:
            return {}
        for suffix in found:
            shutil.copyfile(named + suffix, os.path.join(copies, "copy" + suffix))
        try:
            with shelve.open(os.path.join(copies, "copy"), flag="r") as store:
                return last_runs_of(app, named, store)
        except Exception as e:
            print(f"{named} is ignored: it cannot be read ({type(e).__name__}: {e})", file=sys.stderr)
            return {}


def last_runs_of(app, named, store):
    """Returns what a beat's store says, unless the beat itself would throw it away when it starts."""
    for setting, now in (("tz", app.conf.timezone), ("utc_enabled", app.conf.enable_utc)):
        if setting not in store or store[setting] is not None and store[setting] != now:
            then = repr(store[setting]) if setting in store else "nothing"
            print(f"{named} is ignored, as Celery's beat does: it was written with {setting} {then}, "
                  f"and the application has {now!r}", file=sys.stderr)
            return {}
    return {name: maybe_make_aware(entry.last_run_at, app.timezone) for name, entry in store["entries"].items() if entry.last_run_at}


def tasks(app, named, foreign):
    """Returns the message of each task that is sent without options, and the reasons for tasks whose message is not known."""
    found, left = {}, {}
    for name in sorted({*(name for name in app.tasks if not name.startswith("celery.") or name == CLEANUP), *named}):
        try:
            to, differences = message(app, name, [], {}, {})
        except Exception as e:  # a router may want arguments
            left[name] = f"{type(e).__name__}: {e}"
            continue
        differences += [*sends_itself(app, name), *foreign.differences(), *runs_there(app, name, foreign)]
        found[name] = {**options_of({**to, "routed": routed(app, name)}), **({"differences": told(differences)} if differences else {})}
        takes = signature(app, name)
        if takes:
            found[name]["signature"] = takes
    return found, left


def routes(app):
    """Returns the names and the patterns of task_routes, and its other routers: functions, classes, regular expressions."""
    names, globs, left = [], [], []
    given = app.conf.task_routes or ()
    for route in given if isinstance(given, (list, tuple)) else [given]:
        if isinstance(route, Mapping):
            route = list(route.items())
        if not isinstance(route, (list, tuple)):
            left.append(str(route))
            continue
        if any(isinstance(pair, str) or len(pair) != 2 for pair in route):
            sys.exit(f"task_routes has {route!r}, but Celery wants a dict or a list of pairs there: put the pairs into a list of their own, [[(...), ...]]")
        for key, _ in route:
            if not isinstance(key, str) or "*" in key and "[" in key:
                left.append(str(getattr(key, "pattern", key)))
            else:
                (globs if "*" in key else names).append(key)
    return names, globs, left


def patterns(app, names, globs):
    """Returns where tasks go whose names match a pattern, by asking for one such name, and the patterns that cannot be asked."""
    found, left = {}, []
    for glob in globs:
        try:
            name = example(glob, [*names, *app.tasks], globs)
            found[glob] = options_of({**message(app, name, [], {}, {})[0], "routed": routed(app, name)})
        except Exception as e:
            print(f"the route {glob} cannot be imported ({type(e).__name__}: {e})", file=sys.stderr)
            left.append(glob)
    return found, left


def example(glob, names, globs):
    """Returns a name that the pattern matches, and if possible no earlier pattern does."""
    for text in ("x", "example", "z0"):
        name = glob.replace("*", text).replace("?", text[0])
        if name not in names and not any(fnmatchcase(name, before) for before in globs[:globs.index(glob)]):
            break
    return name


def queues(app):
    """Returns where a message goes that names a queue of task_queues."""
    found = {}
    for name in sorted(app.amqp.queues):
        to, _ = asked_once(app, "a", [], {}, {"queue": name}, False)
        found[name] = {key: to[key] for key in ("queue", "exchange", "routing_key") if to.get(key)}
    return found


def options_of(to):
    return {key: value for key, value in to.items() if key not in ("args", "kwargs") and value not in (None, False, {})}


def naive_zone():
    """Returns the zone of the times of Django if they have none, so that its beat takes local times that it reads for UTC; UTC if
    they have zones; and None if nothing is known of it."""
    try:
        from django.conf import settings
        return ("UTC" if settings.USE_TZ else settings.TIME_ZONE) if settings.configured else None
    except ImportError:
        return None


def without_zones(zone):
    """Returns a remark if the times of Django have no zones."""
    if zone in (None, "UTC", "Etc/UTC"):
        return []
    return [f"Django has USE_TZ = False: its beat takes the local times of {zone} in its rows for UTC. Adopt them with --application or "
            f"--naive-timezone {zone}, which tells the rows that it sends at other times; they go back as it reads them"]


def elsewhere(app):
    """Returns a remark if the workers do not read from Redis, the only broker to which tactus hands tasks over."""
    url = app.conf.broker_write_url or app.conf.broker_url or app.conf.broker_transport
    transport = str(url[0] if isinstance(url, (list, tuple)) and url else url or "amqp").partition(":")[0]
    if transport.startswith(("redis", "sentinel", "valkey")):
        return []
    own = "" if url else " (Celery's own, since none is named)"
    return [f"the broker of the application is {transport}{own}, and tactus hands tasks over to Redis only: no worker would get them. "
            "Have the workers read from Redis (broker_url = redis://...) before tactus' beat fires"]


def rows_zone(app):
    """Returns the zone of all crontabs of django-celery-beat's tables, if Django's settings override the zones of the rows."""
    try:
        from django.conf import settings
        if settings.configured and not getattr(settings, "DJANGO_CELERY_BEAT_TZ_AWARE", True):
            return zone_name(app.timezone)
    except ImportError:
        pass
    return None


def directory(path):
    """Returns the directory of the module that the path names, which tells applications of one name apart on a host."""
    module = sys.modules.get(path.partition(":")[0])
    return os.path.dirname(os.path.abspath(getattr(module, "__file__", None) or os.path.join(os.getcwd(), "app")))


def main(path, named, file):
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.path.insert(0, "")
    app = imported(path)
    scheduled, ran = entries(app), last_runs(app, file)
    foreign = quiet(app)
    start = datetime.now(timezone.utc).replace(microsecond=0)
    transport = app.conf.broker_transport_options or {}
    names, globs, left = routes(app)
    declared = queues(app)
    found, unknown = tasks(app, [*names, *named], foreign)
    by_pattern, unasked = patterns(app, names, globs)
    json.dump({
        "version": VERSION, "application": path, "host": socket.gethostname(), "directory": directory(path), "made_at": start.isoformat(), "celery": celery_version, "typed_times": "__value__" in plain_dumps([start]),
        "timezone": zone_name(app.timezone), "naive_timezone": naive_zone(), "notes": elsewhere(app) + at_start() + without_zones(naive_zone()),
        "transport": {name: list(transport[name]) if isinstance(transport[name], range) else transport[name] for name in ("global_keyprefix", "sep", "priority_steps") if name in transport},
        "default_queue": app.conf.task_default_queue, "beat_scheduler": str(app.conf.beat_scheduler), "rows_timezone": rows_zone(app),
        "schedules": [exported(app, name, scheduled, foreign, start, ran.get(name)) for name in scheduled],
        "tasks": found, "tasks_left": unknown, "patterns": by_pattern,
        "patterns_in_order": [glob for glob in globs if glob in by_pattern], "patterns_left": left + unasked,
        "queues": declared, "creates_queues": bool(app.conf.task_create_missing_queues),
    }, out, indent=2)
    out.write("\n")
    out.close()


def hand_back(path, told, file):
    """Writes to the beat's file when each entry ran last, by what tactus says of it, in the way of Celery's own beat."""
    out = sys.stdout
    sys.path.insert(0, "")
    app = imported(path)
    try:
        kept = issubclass(symbol_by_name(app.conf.beat_scheduler), PersistentScheduler)
    except Exception:  # it is not installed here
        kept = False
    if not kept:
        sys.exit(f"{path}: its beat is {app.conf.beat_scheduler}, which does not keep its last runs in a file")
    try:
        with open(told, encoding="utf-8") as f:
            runs = json.load(f)
        known = runs["version"], runs["entries"]
    except (OSError, ValueError, TypeError, KeyError) as e:
        sys.exit(f"{told}: this is not what tactus export celery prints ({type(e).__name__}: {e})")
    if known[0] != VERSION:
        sys.exit(f"{told} is of version {known[0]} and this script of version {VERSION}: print both with one tactus")
    named = file or app.conf.beat_schedule_filename
    stopped(named)
    ran = noted(app, named)
    try:
        scheduler = PersistentScheduler(app=app, schedule_filename=named)
    except Exception as e:
        sys.exit(f"{path}: its beat does not start ({type(e).__name__}: {e})")
    written = 0
    try:
        by_name = {str(key).strip(): key for key in scheduler.schedule}
        by_name.update({str(key): key for key in sorted(scheduler.schedule, key=lambda key: isinstance(key, str))})
        unknown = set(scheduler.schedule)
        for run in known[1]:
            key = next((by_name[name] for name in run["names"] if name in by_name), None)
            if key is None:
                print(f"{run['names'][-1]} is not in beat_schedule any more", file=sys.stderr)
                continue
            unknown.discard(key)
            entry = scheduler.schedule[key]
            if run.get("off"):
                print(f"{key} is off in tactus; Celery's beat will run it: take it out of beat_schedule if it is to stay off", file=sys.stderr)
            for lost in run.get("lost", ()):
                print(f"{key}: Celery's beat cannot do what tactus does: {lost}", file=sys.stderr)
            at = continues(entry.schedule, ran.get(key), run)
            if at is not None:
                entry.last_run_at, written = at, written + 1
                print(f"{key}: {at.isoformat()}", file=out)
        for key in sorted(unknown, key=str):
            print(f"{key} has no schedule in tactus (it was refused, or made since, or the schedule was renamed): "
                  "Celery's beat sends it at once if it is overdue by its own notes", file=sys.stderr)
    finally:
        scheduler.close()
    print(f"{named} says of {written} entries when they ran last", file=sys.stderr)


def stopped(named):
    """Ends with an error while a beat has the file open, where its kind of file tells. Celery would take such a file for a corrupt one."""
    if not parts(named):
        return
    try:
        shelve.open(named, flag="w").close()
    except Exception as e:
        if getattr(e, "errno", None) in (errno.EAGAIN, errno.EACCES, errno.EPERM):
            sys.exit(f"{named} cannot be written ({e}): stop the beat that has it open, and run this as the beat's user")


def continues(s, theirs, run):
    """Returns the last run from which a beat is to go on with a schedule, or None to leave what the beat has noted itself."""
    ours, settled, settled_run = (run.get(name) and datetime.fromisoformat(run[name]) for name in ("last_run_at", "settled", "settled_run"))
    last = max((at for at in (ours, theirs) if at), default=None)
    if last is None:
        return None
    clock = Clock(s)

    def local(at):
        clock.at = at.astimezone(timezone.utc)
        return clock()

    with by(s, clock):
        from_last = local(last)
        clock.at = settled
        late = bool(settled) and s.is_due(from_last).is_due
    if late:
        return local(settled_run)
    return from_last if last != theirs else None


def asked():
    parser = argparse.ArgumentParser(description="Prints what the beat of a Celery application would do, for tactus import celery.")
    parser.add_argument("application", nargs="?", default="app", help="project.celery:app, as for celery -A")
    parser.add_argument("task", nargs="*", help="a task that the application sends and does not have")
    parser.add_argument("--hand-back", metavar="LAST_RUNS", help="write to the file of its beat when each entry ran last, by what tactus export celery printed")
    parser.add_argument("-s", "--schedule", metavar="FILE", help="the file of its beat, as for celery beat --schedule")
    return parser.parse_args()


if __name__ == "__main__":
    args = asked()
    if args.hand_back:
        hand_back(args.application, args.hand_back, args.schedule)
    else:
        main(args.application, args.task, args.schedule)
