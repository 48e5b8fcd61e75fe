"""The tasks of worker_test.go."""
import os
import time

import celery
import celery.exceptions
import redis

app = celery.Celery("app")
app.conf.update(worker_prefetch_multiplier=1)
store = redis.Redis.from_url(os.environ["CELERY_BROKER_URL"])


@app.task(name="app.echo")
def echo(*args, **kwargs):
    return {"args": args, "kwargs": kwargs}


@app.task(name="app.fail")
def fail(message):
    raise ValueError(message)


@app.task(name="app.again", bind=True)
def again(self):
    if self.request.retries == 0:
        raise self.retry(exc=OSError(2, "no file"), countdown=2, max_retries=1)
    return self.request.retries


@app.task(name="app.wait", track_started=True)
def wait(key):
    store.blpop(key, timeout=60)
    return "done"


@app.task(name="app.slow")
def slow():
    time.sleep(60)


@app.task(name="app.reject", acks_late=True)
def reject():
    raise celery.exceptions.Reject("no", requeue=False)


@app.task(name="app.ignore")
def ignore():
    raise celery.exceptions.Ignore()


@app.task(name="app.odd")
def odd():
    return [float("nan"), float("inf"), -float("inf"), None]


@app.task(name="app.nothing")
def nothing():
    return None
