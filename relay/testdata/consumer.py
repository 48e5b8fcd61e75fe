"""Reads the event stream by a consumer group, and the Pub/Sub channel, by redis-py as a service would: after any
trouble it connects again, reads what it has not acknowledged, and goes on. Prints what it has read, a line each."""
import json
import sys
import threading
import time

import redis

url, stream, channel = sys.argv[1:]
lock = threading.Lock()


def tell(*words):
    with lock:
        print(*words, flush=True)


def again(read):
    """Calls read for ever, with a client of its own each time that the connection was lost."""
    while True:
        try:
            read(redis.Redis.from_url(url, socket_timeout=5))
        except redis.exceptions.RedisError as e:
            tell("trouble", type(e).__name__)
            time.sleep(0.05)


def read_stream(client):
    try:
        client.xgroup_create(stream, "service", id="0", mkstream=True)
    except redis.exceptions.ResponseError as e:
        if not str(e).startswith("BUSYGROUP"):
            raise
    start = "0"  # what was delivered and not acknowledged
    while True:
        for _, entries in client.xreadgroup("service", "one", {stream: start}, count=100, block=1000) or []:
            if not entries:
                start = ">"
            for entry, fields in entries:
                if b"payload" in fields:
                    event = json.loads(fields[b"payload"])
                    tell("event", event["id"], entry.decode())
                client.xack(stream, "service", entry)


def read_channel(client):
    listener = client.pubsub()
    listener.subscribe(channel)
    while True:
        message = listener.get_message(timeout=1)
        if message and message["type"] == "message":
            notice = json.loads(message["data"])
            tell("notice", notice["schedule_id"])


threading.Thread(target=again, args=(read_channel,), daemon=True).start()
again(read_stream)
