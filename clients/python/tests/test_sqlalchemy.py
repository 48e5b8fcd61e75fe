"""With a real database at DATABASE_URL that has the schema of tactus."""
import os
import unittest

import psycopg2
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.orm import Session

from tactus import Error
from tactus.sql import delete_schedule as delete_by_cursor
from tactus.sql import put_schedule as put_by_cursor
from tactus.sqlalchemy import delete_schedule, put_schedule

DAILY = {"cron_expression": "30 9 * * mon-fri", "task_name": "app.hello"}


class SQLAlchemyTest(unittest.TestCase):
    def setUp(self):
        self.engine = sqlalchemy.create_engine(os.environ["DATABASE_URL"].replace("postgres://", "postgresql+psycopg2://"))
        self.addCleanup(self.engine.dispose)
        with self.engine.begin() as c:
            c.execute(text("drop table if exists orders"))
            c.execute(text("create table orders (id int primary key)"))

    def living(self):
        with self.engine.connect() as c:
            return sorted(r[0] for r in c.execute(text("select name from tactus.schedules where deleted_at is null")))

    def orders(self):
        with self.engine.connect() as c:
            return c.execute(text("select count(*) from orders")).scalar_one()

    def test_commits_together_or_not_at_all(self):
        with Session(self.engine) as session, session.begin():
            session.execute(text("insert into orders values (1)"))
            id = put_schedule(session, "order-1", kwargs={"order": 1, "name": "é"}, **DAILY)
            self.assertEqual(len(id), 36)
        self.assertEqual((self.living(), self.orders()), (["order-1"], 1))
        with self.assertRaises(RuntimeError), Session(self.engine) as session, session.begin():
            session.execute(text("insert into orders values (2)"))
            put_schedule(session, "order-2", **DAILY)
            raise RuntimeError
        self.assertEqual((self.living(), self.orders()), (["order-1"], 1))
        with self.engine.begin() as connection:
            self.assertTrue(delete_schedule(connection, "order-1"))
            self.assertFalse(delete_schedule(connection, "order-1"))
        self.assertEqual(self.living(), [])

    def test_a_refusal_leaves_the_transaction(self):
        with Session(self.engine) as session, session.begin():
            session.execute(text("insert into orders values (3)"))
            with self.assertRaises(Error) as refused:
                put_schedule(session, "order-3", priority=999, jitter_seconds=-1, **DAILY)
            self.assertEqual({f.location for f in refused.exception.faults}, {"/priority", "/jitter_seconds"})
            put_schedule(session, "order-3", **DAILY)
        self.assertEqual((self.living(), self.orders()), (["order-3"], 1))
        with self.engine.begin() as connection:
            delete_schedule(connection, "order-3")

    def test_other_errors_are_what_they_are(self):
        with self.assertRaises(sqlalchemy.exc.IntegrityError), self.engine.begin() as c:
            c.execute(text("insert into orders values (4), (4)"))

    def test_cursor(self):
        db = psycopg2.connect(os.environ["DATABASE_URL"])
        self.addCleanup(db.close)
        with db, db.cursor() as cursor:
            put_by_cursor(cursor, "by cursor", **DAILY)
            self.assertTrue(delete_by_cursor(cursor, "by cursor"))
        with self.assertRaises(Error), db, db.cursor() as cursor:
            put_by_cursor(cursor, "by cursor", task_name="app.hello")


if __name__ == "__main__":
    unittest.main()
