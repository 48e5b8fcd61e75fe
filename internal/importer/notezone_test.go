package importer_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// nextByCelery reads notes as RedBeat does, and tells when Celery's own crontab in an application of a zone sends next.
const nextByCelery = `
import json, sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo
import celery
from celery.schedules import crontab

def read(d):  # as RedBeatJSONDecoder does
    d.pop("__type__")
    zone = d.pop("timezone")
    return datetime(tzinfo=ZoneInfo(zone) if isinstance(zone, str) else timezone(timedelta(minutes=zone / 60)), **d)

def next_due(app, expression, last):
    at = last.timestamp() + 1
    fields = dict(zip(("minute", "hour", "day_of_month", "month_of_year", "day_of_week"), expression.split()))
    s = crontab(**fields, app=app, nowfun=lambda: datetime.fromtimestamp(at, app.timezone))
    while True:
        due, seconds = s.is_due(last)
        if due:
            return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:00Z")
        at += max(seconds - 7200, min(seconds, 300))  # it asks again at least every five minutes

out = []
for zone, expression, meta in json.load(open(sys.argv[1])):
    app = celery.Celery("app", set_as_current=False)
    app.conf.timezone = zone
    out.append(next_due(app, expression, read(meta["last_run_at"])))
json.dump(out, sys.stdout)
`

// cronRuns are runs of crontabs, with the due time that follows. The zone of the run is that of the application. With
// RedBeat's own notes of an offset, Celery is wrong by an hour when the clocks change before the next due time.
var cronRuns = []struct{ zone, expression, ran, next, byOffset string }{
	{"Europe/Berlin", "0 6 * * *", "2026-11-29T05:00:00Z", "2026-11-30T05:00:00Z", ""},
	{"Europe/Berlin", "0 6 * * *", "2027-03-27T05:00:00Z", "2027-03-28T04:00:00Z", "2027-03-28T05:00:00Z"}, // the clocks go forward
	{"Europe/Berlin", "0 6 * * *", "2026-10-24T04:00:00Z", "2026-10-25T05:00:00Z", "2026-10-25T04:00:00Z"}, // and back
	{"Asia/Tokyo", "0 9 * * *", "2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z", ""},
	{"Asia/Tokyo", "0 3 * * mon", "2026-11-29T18:00:00Z", "2026-12-06T18:00:00Z", ""},
	{"Asia/Tokyo", "* * * * *", "2026-11-29T16:34:00Z", "2026-11-29T16:35:00Z", ""},
	{"Asia/Tokyo", "30 8 1 * *", "2026-11-30T23:30:00Z", "2026-12-31T23:30:00Z", ""},
	{"Asia/Kolkata", "8 22 * * *", "2026-11-29T16:38:00Z", "2026-11-30T16:38:00Z", ""},
	{"Asia/Kolkata", "8 * * * *", "2026-11-29T16:38:00Z", "2026-11-29T17:38:00Z", ""},
	{"Asia/Kolkata", "13,45 * * * *", "2026-11-29T16:43:00Z", "2026-11-29T17:15:00Z", ""},
	{"America/New_York", "0 22 * * *", "2026-11-29T03:00:00Z", "2026-11-30T03:00:00Z", ""},
	{"America/New_York", "0 9 * * mon-fri", "2026-10-30T13:00:00Z", "2026-11-02T14:00:00Z", "2026-11-02T13:00:00Z"},
	{"America/New_York", "15 0 1 1 *", "2027-01-01T05:15:00Z", "2028-01-01T05:15:00Z", ""},
	{"UTC", "0 9 * * *", "2026-11-29T09:00:00Z", "2026-11-30T09:00:00Z", ""},
}

// TestRedBeatGoesOnInItsZone hands crontabs of applications in several zones back, and has Celery tell when it sends
// each next: with no notes of RedBeat's own, with notes that have an offset, and with notes that name the zone.
func TestRedBeatGoesOnInItsZone(t *testing.T) {
	t.Parallel()
	pool, client := testenv.Database(t), testenv.Redis(t)
	store := outbox.NewStore(pool, "UTC", handover.Limits{}.Check)
	offsets := map[string]string{"Europe/Berlin": "7200.0", "Asia/Tokyo": "32400.0", "Asia/Kolkata": "19800.0", "America/New_York": "-14400.0", "UTC": "0.0"}
	var cases [][3]any
	var want []string
	for kind, zoneOf := range map[string]func(string) string{
		"none":   func(string) string { return "" },
		"offset": func(zone string) string { return offsets[zone] },
		"name":   func(zone string) string { return `"` + zone + `"` },
	} {
		for i, c := range cronRuns {
			label := kind + c.zone
			s, err := store.Create(t.Context(), domain.Definition{
				Name: fmt.Sprintf("%s %d", kind, i), TaskName: "t", CronExpression: c.expression, Timezone: c.zone,
				Tags: []string{"import:redbeat:" + label},
			}, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := pool.Exec(t.Context(),
				`insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at)
				values ($1, $2, $3, 'scheduled', 'succeeded', 1, $3)`, outbox.NewID(), s.ID, c.ran); err != nil {
				t.Fatal(err)
			}
			key := label + ":" + s.Name
			client.HSet(t.Context(), key, "definition", "{}")
			if zone := zoneOf(c.zone); zone != "" {
				client.HSet(t.Context(), key, "meta", `{"last_run_at": {"__type__": "datetime", "year": 2026, "month": 7, "day": 1,
					"hour": 0, "minute": 0, "second": 0, "microsecond": 0, "timezone": `+zone+`}}`)
			}
			client.ZAdd(t.Context(), label+"::schedule", redis.Z{Member: key})
		}
		for zone := range offsets {
			source := importer.Source{Kind: importer.RedBeat, Label: kind + zone}
			if _, in, err := importer.HandBackRedBeat(t.Context(), pool, source, client, kind+zone+":", ""); err != nil ||
				in.String() != zone {
				t.Errorf("%s %s: in %s, %v", kind, zone, in, err)
			}
		}
		for i, c := range cronRuns {
			meta := client.HGet(t.Context(), fmt.Sprintf("%s%s:%s %d", kind, c.zone, kind, i), "meta").Val()
			if named := strings.Contains(meta, `"timezone":"`); named != (kind == "name" && c.zone != "UTC") {
				t.Errorf("%s %s: another way of writing than RedBeat's own: %s", kind, c.zone, meta)
			}
			cases = append(cases, [3]any{c.zone, c.expression, json.RawMessage(meta)})
			due := c.next
			if kind != "name" && c.byOffset != "" {
				due = c.byOffset
			}
			want = append(want, fmt.Sprintf("%s %s %s: %s", kind, c.zone, c.expression, due))
		}
	}
	raw, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := testenv.Dir()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "cases.json")
	if err := os.WriteFile(file, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // Python may be another user
		t.Fatal(err)
	}
	var next []string
	if err := json.Unmarshal(testenv.BesideCelery(t, "", nextByCelery, []string{file}), &next); err != nil || len(next) != len(want) {
		t.Fatal(err, next)
	}
	for i := range next {
		next[i] = fmt.Sprintf("%s %s %s: %s", strings.Fields(want[i])[0], cases[i][0], cases[i][1], next[i])
	}
	equal(t, next, want...)
}

// TestZoneOfRedBeatUnknown has nothing that tells the application's zone, and writes only when it is named.
func TestZoneOfRedBeatUnknown(t *testing.T) {
	t.Parallel()
	pool, client := testenv.Database(t), testenv.Redis(t)
	store := outbox.NewStore(pool, "UTC", handover.Limits{}.Check)
	ran := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	for label, c := range map[string]struct {
		zones []string
		note  string
		want  string
	}{
		"two zones":    {[]string{"Asia/Tokyo", "UTC"}, "", "the schedules are in Asia/Tokyo and in UTC, and its notes say nothing"},
		"another note": {[]string{"UTC", "UTC"}, "32400.0", "the schedules are in UTC, and its notes have the offset +09:00"},
		"two, told":    {[]string{"Asia/Tokyo", "UTC"}, "32400.0", ""},
	} {
		for i, zone := range c.zones {
			s, err := store.Create(t.Context(), domain.Definition{
				Name: fmt.Sprint(label, i), TaskName: "t", CronExpression: "0 9 * * *", Timezone: zone, Tags: []string{"import:redbeat:" + label},
			}, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := pool.Exec(t.Context(),
				`insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at)
				values ($1, $2, $3, 'scheduled', 'succeeded', 1, $3)`, outbox.NewID(), s.ID, ran); err != nil {
				t.Fatal(err)
			}
			meta := "{}"
			if c.note != "" {
				meta = `{"last_run_at": {"__type__": "datetime", "year": 2026, "month": 7, "day": 1, "hour": 0, "minute": 0, "second": 0,
					"microsecond": 0, "timezone": ` + c.note + `}}`
			}
			client.HSet(t.Context(), label+":"+s.Name, "definition", "{}", "meta", meta)
			client.ZAdd(t.Context(), label+"::schedule", redis.Z{Member: label + ":" + s.Name})
		}
		source := importer.Source{Kind: importer.RedBeat, Label: label}
		_, _, err := importer.HandBackRedBeat(t.Context(), pool, source, client, label+":", "")
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want+": name it by --celery-timezone") {
			t.Errorf("%s: %v", label, err)
		}
		first := label + ":" + label + "0"
		if written := strings.Contains(client.HGet(t.Context(), first, "meta").Val(), `"year":2026`); written != (c.want == "") {
			t.Errorf("%s: written %t", label, written)
		}
		if _, in, err := importer.HandBackRedBeat(t.Context(), pool, source, client, label+":", "Asia/Tokyo"); err != nil || in.String() != "Asia/Tokyo" {
			t.Errorf("%s: in %s, %v", label, in, err)
		}
		if meta := client.HGet(t.Context(), first, "meta").Val(); !strings.Contains(meta, `"hour":9,`) || !strings.Contains(meta, `"timezone":32400,`) {
			t.Errorf("%s: %s", label, meta)
		}
	}
}
