package outbox_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestJudge puts by SQL what only the engine knows to be wrong: it is shown with the faults that the API would have
// answered, in an event of its own, and what is right is left alone.
func TestJudge(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{DefaultQueue: "ours", StreamPrefix: "jobs:"}.Check)
	const ok = `"task_name": "a", "cron_expression": "0 9 * * *"`
	want := map[domain.ID]string{}
	for text, reason := range map[string]string{
		`{"name": "zone", ` + ok + `, "timezone": "Asia/Tokio"}`:                                                                  "timezone_unknown at /timezone",
		`{"name": "window", ` + ok + `, "starts_at": "2126-05-01T09:00:01Z", "ends_at": "2126-05-02T08:59:59Z"}`:                  "no_fire_in_window at /ends_at",
		`{"name": "jitter", ` + ok + `, "jitter_seconds": 86400}`:                                                                 "jitter_too_large at /jitter_seconds",
		`{"name": "spread", ` + ok + `, "spread_seconds": 86390, "jitter_seconds": 10}`:                                           "spread_too_large at /spread_seconds",
		`{"name": "queue", ` + ok + `, "stream": "ours"}`:                                                                         "target_ambiguous at /stream",
		`{"name": "other", ` + ok + `, "stream": "theirs"}`:                                                                       "target_ambiguous at /stream",
		`{"name": "good", ` + ok + `, "stream": "jobs:a", "timezone": "Asia/Tokyo"}`:                                              "",
		`{"name": "rule", "task_name": "a", "rrule": "DTSTART:20260101T000000\nFREQ=FORTNIGHTLY"}`:                                "rrule_syntax at /rrule",
		`{"name": "never", "task_name": "a", "rrule": "DTSTART:20260101T000000\nFREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}`:            "rrule_never_fires at /rrule",
		`{"name": "years", "task_name": "a", "cron_expression": "0 0 12 * * ? 2025", "cron_dialect": "quartz"}`:                   "cron_never_fires at /cron_expression",
		`{"name": "every second week", "task_name": "a", "rrule": "DTSTART:20260101T000000\nFREQ=WEEKLY;INTERVAL=2"}`:             "",
		`{"name": "once", "task_name": "a", "run_at": "2126-05-01T09:00:01Z", "kwargs": {"a": "\u0000"}}`:                         "",
		`{"name": "late", "task_name": "a", "interval_seconds": 60, "interval_anchor": "2020-01-01T00:00:00Z", "enabled": false}`: "",
	} {
		want[putSQL(t, pool, text)] = reason
	}
	if invalid, err := store.Judge(t.Context()); err != nil || invalid != 9 {
		t.Errorf("%d are invalid, want 9, %v", invalid, err)
	}
	for id, reason := range want {
		s := checkHistory(t, pool, id)
		if !strings.HasPrefix(s.InvalidReason, reason) || (reason == "") != (s.InvalidReason == "") || s.Version > 2 {
			t.Errorf("%s, version %d: %q, want %q", s.Name, s.Version, s.InvalidReason, reason)
		}
	}
	var left, told int
	if err := pool.QueryRow(t.Context(), `select (select count(*) from tactus.unjudged), (select count(*) from tactus.outbox where type = 'schedule.invalidated')`).Scan(&left, &told); err != nil || left != 0 || told != 9 {
		t.Errorf("%d are not judged, %d were told, %v", left, told, err)
	}
	id := putSQL(t, pool, `{"name": "zone", `+ok+`, "timezone": "Asia/Tokyo"}`)
	if invalid, err := store.Judge(t.Context()); err != nil || invalid != 0 {
		t.Errorf("%d are invalid, %v", invalid, err)
	}
	if s := checkHistory(t, pool, id); s.InvalidReason != "" || !s.Runnable() {
		t.Errorf("mended, it is %q", s.InvalidReason)
	}
}

// TestJudgeOfTimesBeyondAllYears has somebody change a row by hand before it is judged: it is no error, and is not
// judged again.
func TestJudgeOfTimesBeyondAllYears(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	id := putSQL(t, pool, `{"name": "a", "task_name": "a", "cron_expression": "0 9 * * *"}`)
	if _, err := pool.Exec(t.Context(), `update tactus.schedules set effective_from = 'infinity', trigger_set_at = '-infinity'`); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Judge(t.Context()); err != nil {
		t.Error(err)
	}
	var left int
	if err := pool.QueryRow(t.Context(), `select count(*) from tactus.unjudged`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d are not judged, %v", left, err)
	}
	if s, err := store.Get(t.Context(), id); err != nil || s.InvalidReason != sqlexpr.NotInYears {
		t.Errorf("%q, %v", s.InvalidReason, err)
	}
}

// TestJudgeWaitsForNobody has somebody lock a schedule that SQL wrote: the others are judged, and that one when it is
// free.
func TestJudgeWaitsForNobody(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	var ids []domain.ID
	for _, name := range []string{"a", "b", "c"} {
		ids = append(ids, putSQL(t, pool, `{"name": "`+name+`", "task_name": "a", "cron_expression": "0 9 * * *", "timezone": "Asia/Tokio"}`))
	}
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `select from tactus.schedules where id = $1 for update`, ids[1]); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	if invalid, err := store.Judge(ctx); err != nil || invalid != 2 {
		t.Errorf("%d are invalid, want 2, %v", invalid, err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if invalid, err := store.Judge(ctx); err != nil || invalid != 1 {
		t.Errorf("%d are invalid, want 1, %v", invalid, err)
	}
}

// TestStreamsAreJudgedFirst has somebody write schedules of queues, and of streams in zones that there are none of, and
// then somebody else one of a stream. That one is in the first batch; and what is sound is judged in a few statements,
// before the others are recorded one by one.
func TestStreamsAreJudgedFirst(t *testing.T) {
	t.Parallel()
	const queues, bad, good = 1100, 120, 400
	pool, statements := countingStatements(t, testenv.Database(t))
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	put := func(prefix, target, zone string, n int) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), `select tactus.put_schedule(json_build_object('name', $1::text || i, 'task_name', 't',
			'cron_expression', '0 0 1 1 *', $2::text, 'of' || i, 'timezone', $3::text)) from generate_series(1, $4::int) i`,
			prefix, target, zone, n); err != nil {
			t.Fatal(err)
		}
	}
	put("mass", "queue", "UTC", queues)
	put("bad", "stream", "Asia/Tokio", bad)
	put("taken", "stream", "UTC", 1) // of1 is a queue
	if _, err := pool.Exec(t.Context(), `select tactus.put_schedule(json_build_object('name', 'good' || i, 'task_name', 't',
		'cron_expression', '0 0 1 1 *', 'stream', 's' || i)) from generate_series(1, $1::int) i`, good); err != nil {
		t.Fatal(err)
	}
	last := putSQL(t, pool, `{"name": "last", "task_name": "t", "cron_expression": "0 0 1 1 *", "stream": "last"}`)
	first, more, err := store.NextUnjudged(t.Context())
	if err != nil || !more || len(first) != bad+1+good+1 || first[len(first)-1] != last {
		t.Errorf("%d are judged first, more: %v, want the %d of streams in the order of writing, %v", len(first), more, bad+good+2, err)
	}

	statements.Store(0)
	doubtful, err := store.JudgeSound(t.Context())
	if n := statements.Load(); err != nil || doubtful != bad+1 || n > 40 {
		t.Errorf("%d are doubtful after %d statements, want %d after at most 40, %v", doubtful, n, bad+1, err)
	}
	var left, claimed int
	count := func() {
		t.Helper()
		if err := pool.QueryRow(t.Context(), `select (select count(*) from tactus.unjudged),
			(select count(*) from tactus.stream_claims)`).Scan(&left, &claimed); err != nil {
			t.Fatal(err)
		}
	}
	if count(); left != bad+1 || claimed != 0 {
		t.Errorf("%d are left, %d have claimed streams to which nothing was handed over", left, claimed)
	}
	if invalid, err := store.Judge(t.Context()); err != nil || invalid != 100 {
		t.Errorf("%d are recorded in one call, want 100, %v", invalid, err)
	}
	if invalid, err := store.Judge(t.Context()); err != nil || invalid != bad+1-100 {
		t.Errorf("%d are recorded in the next call, want %d, %v", invalid, bad+1-100, err)
	}
	if count(); left != 0 {
		t.Errorf("%d are left in the end", left)
	}
}

// countingStatements returns a pool like another, and how many statements it has sent.
func countingStatements(t *testing.T, like *pgxpool.Pool) (*pgxpool.Pool, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	cfg := like.Config()
	cfg.ConnConfig.Tracer = countingTracer{&n}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool, &n
}

type countingTracer struct{ n *atomic.Int64 }

func (c countingTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (countingTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
