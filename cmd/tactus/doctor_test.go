package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestDoctorTellsOfOtherZoneData runs doctor on an installation in which one process uses older time zone data.
func TestDoctorTellsOfOtherZoneData(t *testing.T) {
	t.Parallel()
	url := testenv.DatabaseURL(t)
	ask := func() (code int, told string) {
		var out, problems bytes.Buffer
		code = run([]string{"doctor", "--database-url", url}, &out, &problems)
		return code, out.String() + problems.String()
	}
	if _, told := ask(); !strings.Contains(told, "time zone data: this program has "+zones()[:5]) || !strings.Contains(told, "? REDIS_URL is not set, so no Redis was looked at") {
		t.Errorf("%s", told)
	}
	pool := testenv.Connect(t, url)
	if _, err := pool.Exec(t.Context(),
		`insert into tactus.zone_processes values ('api of elsewhere', '2020a', clock_timestamp())`); err != nil {
		t.Fatal(err)
	}
	if code, told := ask(); code != exitFailure ||
		!strings.Contains(told, "api of elsewhere uses 2020a, which is older") {
		t.Errorf("%d: %s", code, told)
	}
}

// TestDoctorSaysWhatToDo runs doctor on an installation with many faults, and again after some of them are mended.
func TestDoctorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	url, broker := testenv.DatabaseURL(t), testenv.RedisServer(t, map[string]string{"maxmemory-policy": "allkeys-lru"})
	pool := testenv.Connect(t, url)
	ask := func() (code int, told string) {
		got := tactus(t, "doctor", "--database-url", url, "--redis-url", broker.URL(0))
		return got.code, got.out + got.problems
	}
	tell := func(statement string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	tell(`insert into tactus.deadletters (source, reference, reason, data) values ('test', '1', 'broken', '{}')`)
	code, told := ask()
	for _, want := range []string{
		"! fsync is off", "! no beat has led yet", "! 1 dead letters", "! the Redis of events: maxmemory-policy is allkeys-lru", "  this program knows the version of the schema",
	} {
		if code != exitFailure || !strings.Contains(told, want) {
			t.Errorf("%d, without %s:\n%s", code, want, told)
		}
	}
	tell(`create table tactus.detached_runs_2026_01 (); create view public.pin as select 1 as a from tactus.detached_runs_2026_01`)
	if _, told := ask(); !strings.Contains(told, "? the old partition detached_runs_2026_01 was emptied, and cannot be dropped: drop rule _RETURN on view public.pin") {
		t.Errorf("%s", told)
	}
	tell(`insert into tactus.leases (name, holder, epoch, expires_at, watermark) values
		('shadow', 's1', 1, clock_timestamp() + interval '1 hour', clock_timestamp())`)
	if _, told := ask(); strings.Contains(told, "no beat has led") || !strings.Contains(told, "? the beat s1 is in shadow mode") {
		t.Errorf("beside a beat in shadow mode somebody is told to start another, which would send everything twice:\n%s", told)
	}
	tell(`delete from tactus.deadletters`)
	tell(`insert into tactus.leases (name, holder, epoch, expires_at, watermark) values ('beat', 'b1', 1, clock_timestamp() + interval '1 hour', clock_timestamp())`)
	if err := testenv.Client(t, broker.URL(0)).ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err(); err != nil {
		t.Fatal(err)
	}
	_, told = ask()
	for _, gone := range []string{"dead letters", "! no beat", "! the Redis"} {
		if strings.Contains(told, gone) {
			t.Errorf("still %s:\n%s", gone, told)
		}
	}
	if !strings.Contains(told, "  the beat b1 leads") || strings.Contains(told, "shadow") {
		t.Errorf("%s", told)
	}
	if got := tactus(t, "doctor", "--redis-url", "redis://127.0.0.1:1"); got.code != exitFailure || !strings.Contains(got.out, "! the Redis of events") {
		t.Errorf("%+v", got)
	}
}
