package adopt_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/adopt"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// upstream is another service's database, which tactus shares.
type upstream struct {
	*testing.T
	url  string // never through a pooler
	pool *pgxpool.Pool
}

func newUpstream(t *testing.T) upstream {
	t.Helper()
	return upstreamAt(t, testenv.DirectURL(t))
}

// newDjango is an upstream that has the tables of django-celery-beat.
func newDjango(t *testing.T) upstream {
	t.Helper()
	return upstreamAt(t, testenv.DjangoURL(t))
}

func upstreamAt(t *testing.T, url string) upstream {
	t.Helper()
	return upstream{t, url, testenv.Connect(t, testenv.Pooled(t, url))}
}

// exec does what somebody does by hand.
func (u upstream) exec(sql string, args ...any) {
	u.Helper()
	if _, err := u.pool.Exec(u.Context(), sql, args...); err != nil {
		u.Fatalf("%s: %v", sql, err)
	}
}

// django runs Python with the models of django-celery-beat at hand.
func (u upstream) django(code string) string {
	u.Helper()
	return testenv.Django(u, u.url, code)
}

// seed makes the table of a service that wrote its own.
func (u upstream) seed(rows string) adopt.Source {
	u.Helper()
	u.exec(`create table public.celery_beat_schedules (
		id uuid primary key default gen_random_uuid(), name varchar(255) not null, task_name varchar(255) not null, cron_expression varchar(100) not null,
		enabled boolean not null default true, args json default '[]', kwargs json default '{}', description text, category varchar(50),
		tags json default '[]', execution_policy varchar(20) default 'allow', auto_generated_name boolean default false,
		created_at timestamptz default now(), updated_at timestamptz default now(), last_run_at timestamptz)`)
	if rows != "" {
		u.exec(`insert into celery_beat_schedules ` + rows)
	}
	return u.source("celery_beat_schedules", adopt.CeleryBeatSchedules)
}

func (u upstream) source(table string, kind adopt.Kind) adopt.Source {
	u.Helper()
	s, err := adopt.Find(u.Context(), u.pool, table, kind)
	if err != nil {
		u.Fatal(err)
	}
	return s
}

func (u upstream) adopt(s adopt.Source) {
	u.Helper()
	if err := s.Adopt(u.Context(), "Asia/Tokyo"); err != nil {
		u.Fatal(err)
	}
}

// adoptedLongAgo has runs of some time ago count as run since the adoption.
func (u upstream) adoptedLongAgo() {
	u.Helper()
	u.exec(`update tactus.adoptions set adopted_at = clock_timestamp() - interval '3 days'`)
}

// named is the living schedule of that name, made of its events alone and held against its row.
func (u upstream) named(name string) domain.Schedule {
	u.Helper()
	row, err := outbox.GetByName(u.Context(), u.pool, name)
	if err != nil {
		u.Fatalf("%s: %v", name, err)
	}
	rows, err := u.pool.Query(u.Context(),
		`select aggregate_id, version, type, data, occurred_at from tactus.outbox where aggregate_id = $1
			order by position`, row.ID)
	if err != nil {
		u.Fatal(err)
	}
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[domain.Event])
	if err != nil {
		u.Fatal(err)
	}
	var s domain.Schedule
	for _, e := range events {
		if s, err = domain.Apply(s, e); err != nil {
			u.Fatal(err)
		}
	}
	want, err := outbox.Project(s)
	if err != nil {
		u.Fatal(err)
	}
	var trigger, policy string
	var enabled bool
	if err := u.pool.QueryRow(u.Context(), `select trigger, policy, enabled from tactus.schedules where id = $1`,
		row.ID).Scan(&trigger, &policy, &enabled); err != nil {
		u.Fatal(err)
	}
	if trigger != want.Trigger || policy != want.Policy || enabled != want.Enabled || s.Version != row.Version ||
		!s.EffectiveFrom.Equal(row.EffectiveFrom) || s.ManagedBy == "" {
		u.Errorf("%s: events say %+v of %+v, its row %s %s %v", name, want, s, trigger, policy, enabled)
	}
	return s
}

func (u upstream) count(sql string, args ...any) (n int) {
	u.Helper()
	if err := u.pool.QueryRow(u.Context(), sql, args...).Scan(&n); err != nil {
		u.Fatalf("%s: %v", sql, err)
	}
	return n
}
