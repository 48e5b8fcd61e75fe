package notify_test

import (
	"fmt"
	"testing"
)

// TestLockedRowOfARule locks a row of one rule, in each table that has rows of rules, while this rule and another have
// notifications to send. The other rule's are sent meanwhile; those of this one follow when the row is free.
func TestLockedRowOfARule(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"progress", "rules", "deliveries", "secrets"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, false, "127.0.0.0/8")
			locked, other := receive(t, nil), receive(t, nil)
			w.rule("locked", `{"on":["failed"],"to":"webhook","url":"`+locked.url+`"}`)
			w.rule("other", `{"on":["failed"],"to":"webhook","url":"`+other.url+`"}`)
			s := w.schedule("s")
			w.ends(s, "failed", "first") // both have progress then
			locked.next(t)
			other.next(t)
			w.settled()
			if table == "deliveries" { // one that gathers, and is not due yet
				w.exec(`insert into tactus.notification_deliveries (rule_id, kind, count, documents, due_at)
					select id, '', 1, '{}', clock_timestamp() + interval '1 hour'
					from tactus.notification_rules where name = 'locked'`)
			}
			tx, err := w.pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(t.Context()) }()
			key := "rule_id"
			if table == "rules" {
				key = "id"
			}
			var n int
			if err := tx.QueryRow(t.Context(), fmt.Sprintf(`with l as (
				select from tactus.notification_%s where %s = (select id from tactus.notification_rules where name = 'locked')
				for update) select count(*) from l`, table, key)).Scan(&n); err != nil || n != 1 {
				t.Fatalf("%d rows are locked: %v", n, err)
			}
			for n := range 3 {
				w.ends(s, "failed", fmt.Sprint(n))
				other.next(t)
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if table != "deliveries" { // its notification may already have gone out by a row of its own
				locked.next(t)
			}
		})
	}
}
