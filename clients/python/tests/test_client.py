"""Against a real API at TACTUS_URL, which PROXY_URL leads to through a server that refuses or loses what it is told to."""
import asyncio
import os
import pickle
import threading
import time
import unittest
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tactus import AsyncClient, Client, Error, Fault, Unanswered

DAILY = {"cron_expression": "30 9 * * mon-fri", "task_name": "app.hello"}


class Between:
    """Stands between a client and the API. faults are what becomes of the next requests: a status with a Retry-After, or
    "lost", which is carried out and not answered."""

    def __init__(self):
        self.faults, self.sent = [], 0
        between, api = self, urlsplit(os.environ["TACTUS_URL"])

        class Handler(BaseHTTPRequestHandler):
            def do(self):
                between.sent += 1
                fault = between.faults.pop(0) if between.faults else None
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if fault is not None and fault != "lost":
                    self.send_response(fault[0])
                    if fault[1] is not None:
                        self.send_header("Retry-After", fault[1])
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                onward = HTTPConnection(api.hostname, api.port)
                onward.request(self.command, self.path, body, {k: v for k, v in self.headers.items() if k != "Host"})
                answer = onward.getresponse()
                content = answer.read()
                if fault == "lost":
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name in ("Content-Type", "Retry-After"):
                    if answer.getheader(name):
                        self.send_header(name, answer.getheader(name))
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class ClientTest(unittest.TestCase):
    def setUp(self):
        self.client = Client()  # of TACTUS_URL
        for schedule in list(self.client.schedules()):
            self.client.delete(schedule["id"])
        self.between = Between()
        self.addCleanup(self.between.close)

    def names(self):
        return sorted(s["name"] for s in self.client.schedules())

    def test_operations(self):
        made = self.client.create(name="one", args=["é", 1], tags=["t"], **DAILY)
        self.assertEqual((made["name"], made["args"], made["version"]), ("one", ["é", 1], 1))
        self.assertEqual(self.client.get(made["id"])["name"], "one")
        self.assertEqual(self.client.named("one")["id"], made["id"])
        self.assertEqual(self.client.put("a/b", **DAILY)["name"], "a/b")
        patched = self.client.patch(made["id"], {"tags": None}, version=1)
        self.assertEqual((patched["version"], patched.get("tags")), (2, []))
        with self.assertRaises(Error) as stale:
            self.client.patch(made["id"], {"tags": None}, version=1)
        self.assertTrue(stale.exception.has("version_conflict"))
        self.assertFalse(self.client.disable(made["id"], reason="a holiday")["enabled"])
        self.assertTrue(self.client.enable(made["id"])["enabled"])
        run = self.client.trigger(made["id"], kwargs={"to": "me"})
        self.assertEqual(self.client.run(run["run_id"])["schedule_id"], made["id"])
        self.assertNotEqual(self.client.rerun(run["run_id"])["run_id"], run["run_id"])
        self.assertEqual(len(list(self.client.runs(schedule=made["id"], page_size=1))), 2)
        self.assertIsNone(self.client.delete(made["id"]))
        with self.assertRaises(Error) as gone:
            self.client.named("one")
        self.assertTrue(gone.exception.has("not_found"))

    def test_all_faults_are_told(self):
        with self.assertRaises(Error) as refused:
            self.client.create(cron_expression="61 * * * *", timezone="Mars/Base", task_name="app.hello")
        err = refused.exception
        self.assertEqual((err.status, sorted(f.location for f in err.faults)), (422, ["/cron_expression", "/timezone"]))
        self.assertTrue(err.has("cron_syntax") and err.has("timezone_unknown"))
        self.assertEqual(pickle.loads(pickle.dumps(err)).faults, err.faults)

    def test_lists_have_several_pages(self):
        for n in range(5):
            self.client.put(f"s{n}", tags=["t"], **DAILY)
        self.assertEqual([s["name"] for s in self.client.schedules(tag=["t"], sort="name", page_size=2)], [f"s{n}" for n in range(5)])
        page, seen = self.client.events_page(limit=2), 0
        while True:
            seen += len(page["events"])
            if not page["more"]:
                break
            page = self.client.events_page(limit=2, after=page["next"])
        self.assertGreaterEqual(seen, 5)

    def test_what_is_lost_is_done_once(self):
        through = Client(self.between.url)
        self.between.faults = ["lost"]
        made = through.create(name="made", **DAILY)
        self.between.faults = ["lost", "lost"]
        through.put("put", **DAILY)
        self.between.faults = ["lost"]
        through.trigger(made["id"])
        self.assertEqual(self.names(), ["made", "put"])
        self.assertEqual(len(list(self.client.runs(schedule=made["id"]))), 1)
        self.between.faults = ["lost"]
        with self.assertRaises(Unanswered):  # it has no key
            through.delete(made["id"])
        self.assertEqual(self.names(), ["put"])

    def test_what_is_refused_is_repeated_when_that_is_safe(self):
        get, bulk = ("GET", "/whoami", None), ("POST", "/schedules/bulk", {"action": "disable", "ids": []})
        for fault, request, sent in (
            ((503, None), get, 2), ((502, None), get, 2), ((503, None), bulk, 1), ((500, "1"), get, 1), ((409, None), get, 1),
            ((429, "1"), bulk, 2), ((429, "3600"), get, 1),
        ):
            with self.subTest(fault=fault, request=request):
                self.between.faults, self.between.sent = [fault], 0
                try:
                    Client(self.between.url).do(request[0], request[1], body=request[2])
                except Error as err:
                    self.assertIn(err.status, (fault[0], 422))
                self.assertEqual(self.between.sent, sent)
        self.between.faults = [(429, "2")]
        began = time.monotonic()
        Client(self.between.url).do("GET", "/whoami")
        self.assertGreaterEqual(time.monotonic() - began, 2)

    def test_no_secret_is_told(self):
        for url in ("http://user:pa55@127.0.0.1:1", "http://user:pa55@[::1", "ftp://pa55", "http://h/?pa55", "http://user:x/y@h:pa55"):
            with self.assertRaises((ValueError, Unanswered)) as refused:
                Client(url, attempts=1).get("1")
            self.assertNotIn("pa55", str(refused.exception))
        with self.assertRaises(ValueError) as refused:
            Client(token="pa55\n").get("1")
        self.assertNotIn("pa55", str(refused.exception))
        with self.assertRaises(Unanswered):
            Client("http://127.0.0.1:1", attempts=1).get("1")

    def test_actor_and_reason(self):
        after = self.client.events_page(after="now")["next"]
        Client(actor="deploy").do("PUT", "/schedules/by-name/why", body=DAILY, reason="月末の締め")
        event = self.client.events_page(after=after)["events"][0]
        self.assertIn("deploy", event["actor"])
        self.assertEqual(event["reason"], "月末の締め")

    def test_async(self):
        async def both():
            client = AsyncClient(self.between.url)
            self.between.faults = [(503, None), "lost"]
            await client.put("one", **DAILY)
            await asyncio.gather(*(client.put(f"many-{n}", **DAILY) for n in range(8)))
            made = await client.create(name="made", **DAILY)
            run = await client.trigger(made["id"])
            self.assertEqual((await client.run(run["run_id"]))["schedule_id"], made["id"])
            self.assertEqual([r["id"] async for r in client.runs(schedule=made["id"])], [run["run_id"]])
            self.assertEqual((await client.named("made"))["id"], made["id"])
            await client.delete(made["id"])
            with self.assertRaises(Error):
                await client.named("made")
            return [s["name"] async for s in client.schedules(page_size=3, sort="name")]

        self.assertEqual(asyncio.run(both()), sorted([f"many-{n}" for n in range(8)] + ["one"]))

    def test_both_clients_have_the_same_methods(self):
        def of(kind):
            return {n for n in vars(kind) if not n.startswith("_")}

        self.assertEqual(of(Client), of(AsyncClient))
        self.assertEqual(str(Fault("c", "/a", "m")), "/a: m")


if __name__ == "__main__":
    unittest.main()
