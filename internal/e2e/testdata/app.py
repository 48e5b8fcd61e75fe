"""What the workers of the tests can do."""
import json
import os
import time

import celery
import celery.exceptions
import redis
from kombu import Exchange, Queue
from kombu.common import Broadcast

app = celery.Celery("app")
app.conf.update(
    worker_prefetch_multiplier=1,
    task_queues=[
        Queue("celery"),
        Queue("mail", Exchange("post", type="topic"), routing_key="mail.*"),
        Queue("archive", Exchange("post", type="topic"), routing_key="#"),
        Queue("parcels", Exchange("post", type="topic"), routing_key="parcel.#"),
        Broadcast("everybody"),
    ],
    broker_transport_options={"visibility_timeout": 3600},  # the default
)
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
        raise self.retry(exc=OSError(2, "no file"), countdown=2, max_retries=1)
    return self.request.retries


@app.task(name="app.where", bind=True)
def where(self):
    store.rpush("where:" + self.request.id, self.request.delivery_info["exchange"] + "/" + self.request.delivery_info["routing_key"])


@app.task(name="app.sleep")
def sleep(seconds):
    time.sleep(seconds)


@app.task(name="app.hold", bind=True, acks_late=True)
def hold(self):
    """Tells that it has begun, and waits until it is let go."""
    store.rpush("began", self.request.id)
    store.blpop("go:" + self.request.id, timeout=120)
    return "held"


@app.task(name="app.request", bind=True)
def request(self):
    names = (
        "id", "timelimit", "ignore_result", "shadow", "expires", "delivery_info", "periodic_task_name", "x_own",
        "x-tactus-schedule-id", "x-tactus-due-at", "x-tactus-run-id", "traceparent", "correlation_id", "root_id",
    )
    store.set("request:" + self.request.id, json.dumps({name: self.request.get(name) for name in names}))
