package testenv_test

import (
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestEffort counts that of statements which look at much and at little, and at which a processor is busy, or sleeps.
func TestEffort(t *testing.T) {
	t.Parallel()
	pool, effort := testenv.CountEffort(t, testenv.Connect(t, testenv.DirectURL(t)))
	run := func(sql string, args ...any) func() {
		return func() {
			if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
				t.Fatal(err)
			}
		}
	}
	run(`create table many as select repeat('x', 1000) as x from generate_series(1, 8000)`)()
	few, idle := effort.Of(run(`select pg_sleep(0.3)`))
	many, busy := effort.Of(run(`select count(distinct md5(x || $1)) from many, generate_series(1, 10)`, "y"))
	t.Logf("%d and %d blocks, %s and %s of a processor", few, many, idle, busy)
	if few > 100 || many < 1000 || busy < 10*idle {
		t.Errorf("%d and %d blocks, %s and %s of a processor", few, many, idle, busy)
	}
}
