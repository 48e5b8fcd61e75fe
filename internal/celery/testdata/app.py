"""The tasks of worker_test.go."""
import json
import os

import celery
import redis

app = celery.Celery("app")
app.conf.update(worker_prefetch_multiplier=1, task_track_started=False)
store = redis.Redis.from_url(os.environ["CELERY_BROKER_URL"])


@app.task(name="app.echo")
def echo(*args, **kwargs):
    return [args, kwargs]


@app.task(name="app.note")
def note(what):
    store.rpush("noted", what)


@app.task(name="app.fail")
def fail(message):
    raise ValueError(message)


@app.task(name="app.again", bind=True)
def again(self):
    if self.request.retries == 0:
        raise self.retry(exc=OSError(2, "no file"), countdown=0, max_retries=1)
    return self.request.retries


@app.task(name="app.nan")
def nan():
    return float("nan")


@app.task(name="app.request", bind=True)
def request(self):
    names = (
        "id", "root_id", "parent_id", "correlation_id", "reply_to", "timelimit", "ignore_result", "shadow", "expires", "eta",
        "origin", "retries", "delivery_info", "periodic_task_name", "x_own", "x-tactus-schedule-id", "x-tactus-due-at",
        "x-tactus-run-id", "traceparent",
    )
    seen = {name: self.request.get(name) for name in names}
    seen["properties.periodic_task_name"] = self.request.properties.get("periodic_task_name")
    store.rpush("request:" + self.request.id, json.dumps(seen))
