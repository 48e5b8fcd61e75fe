"""An upstream service in Python that keeps a schedule beside its own rows, in one transaction.

Nothing of tactus is imported: tactus.put_schedule is a function of the database. The order and its reminder commit together,
or neither does; the beat has the schedule a moment after the commit.

The orders are in a table of the service's own:

    psql "$DATABASE_URL" -c 'create table orders (id int primary key, remind_at timestamptz)'
    DATABASE_URL=postgres://... python3 orders.py place 42 2030-01-31T09:00:00+00:00
    DATABASE_URL=postgres://... python3 orders.py cancel 42
"""
import json
import os
import sys

import psycopg2
import psycopg2.errors


def place(db, order, remind_at):
    """Places an order, and has the customer reminded of it."""
    with db, db.cursor() as cursor:  # one transaction
        cursor.execute("insert into orders (id, remind_at) values (%s, %s)", (order, remind_at))
        cursor.execute("select tactus.put_schedule(%s)", (json.dumps({
            "name": f"order-{order}-reminder",
            "run_at": remind_at,
            "task_name": "app.remind",
            "kwargs": {"order": order},
            "tags": ["orders"],
        }),))
        return cursor.fetchone()[0]


def cancel(db, order):
    """Cancels an order: there is nothing to be reminded of."""
    with db, db.cursor() as cursor:
        cursor.execute("delete from orders where id = %s", (order,))
        cursor.execute("select tactus.delete_schedule(%s)", (f"order-{order}-reminder",))
        return cursor.fetchone()[0]


def main(command, order, *args):
    db = psycopg2.connect(os.environ["DATABASE_URL"])
    try:
        print({"place": place, "cancel": cancel}[command](db, int(order), *args))
    except psycopg2.errors.InvalidParameterValue as refused:  # what is wrong with a definition, each fault with its mend
        for fault in json.loads(refused.diag.message_detail):
            print(f'{fault["code"]} at {fault["location"]}: {fault["message"]}', file=sys.stderr)
        sys.exit(1)
    finally:
        db.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
