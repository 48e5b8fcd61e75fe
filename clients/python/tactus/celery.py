"""Schedules beside the tasks that they run.

    @schedule("30 9 * * mon-fri", tz="Asia/Tokyo")
    @app.task
    def report(): ...

Nothing is sent while a module is imported. `tactus apply --app project.celery:app` collects the schedules of an application
and makes the server have them; `python3 -m tactus.celery project.celery:app` prints what it collects.
"""
from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from datetime import timedelta
from typing import Any, TypeVar

T = TypeVar("T")

_declared: list[tuple[Any, dict[str, Any]]] = []


def schedule(
    trigger: str | int | float | timedelta,
    *,
    tz: str | None = None,
    name: str | None = None,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **members: Any,
) -> Callable[[T], T]:
    """Has a task run by a schedule: a cron expression, or so many seconds (a timedelta, too). It can stand above @app.task or
    below it, and several times, when each has a name; unless given, the name is that of the task. members are the other
    members of a schedule: tags, queue, description, misfire_policy..."""
    definition: dict[str, Any] = dict(members)
    if isinstance(trigger, timedelta):
        trigger = trigger.total_seconds()
    if isinstance(trigger, str):
        definition["cron_expression"] = trigger
    else:
        definition["interval_seconds"] = int(trigger) if trigger == int(trigger) else trigger
    for member, value in (("timezone", tz), ("name", name)):
        if value is not None:
            definition[member] = value
    if args is not None:
        definition["args"] = list(args)
    if kwargs is not None:
        definition["kwargs"] = dict(kwargs)

    def declare(task: T) -> T:
        _declared.append((task, definition))  # the task of a lazy application has no name yet
        return task

    return declare


def collect(app: Any) -> list[dict[str, Any]]:
    """The schedules that are declared for tasks of an application, in the order of their names."""
    app.loader.import_default_modules()
    app.finalize()
    functions = {}
    for name, task in app.tasks.items():
        run = getattr(task, "run", None)
        functions[getattr(run, "__func__", run)] = name  # a bound task has a method
    found: dict[str, dict[str, Any]] = {}
    for task, definition in _declared:
        name = getattr(task, "name", None) or functions.get(task)
        if name is None:
            where = f"{getattr(task, '__module__', '?')}.{getattr(task, '__qualname__', task)}"
            raise ValueError(
                f"{where} has a schedule and is no task of the application: put @schedule above @app.task or @shared_task")
        if name not in app.tasks or getattr(app.tasks[name], "run", None) is None:
            continue  # of another application
        one = {"name": name, **definition, "task_name": name}
        if one["name"] in found:
            raise ValueError(f"two schedules are named {one['name']!r}: give each of a task's schedules a name of its own")
        found[one["name"]] = one
    return [found[name] for name in sorted(found)]


def load(path: str) -> Any:
    """The application at project.celery:app, or that of a module, as `celery -A` finds it."""
    from celery.app.utils import find_app

    return find_app(path)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python3 -m tactus.celery project.celery:app", file=sys.stderr)
        return 2
    sys.path.insert(0, "")  # the application is where one stands, as it is for celery -A
    module = importlib.import_module("tactus.celery")  # which the application imports; this one is __main__
    with redirect_stdout(sys.stderr):  # whatever the application prints
        try:
            schedules = module.collect(module.load(arguments[0]))
        except ValueError as err:
            print(f"tactus.celery: {err}", file=sys.stderr)
            return 2
    json.dump({"schedules": schedules}, sys.stdout, indent=2, allow_nan=False)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
