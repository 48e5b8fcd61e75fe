package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestLengths parses lengths of time.
func TestLengths(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"90m": "1h30m0s", "1h30m": "1h30m0s", "30d": "720h0m0s", "2w": "336h0m0s", "1w2d3h": "219h0m0s", "-3d": "-72h0m0s", "+5s": "5s", "0": "0s",
		"1d0.5h": "24h30m0s", "": "", "d": "", "1.5d": "", "3": "", "2d1w": "", "--3d": "", "3d-1h": "", "300y": "", "99999999w": "",
	} {
		got := ""
		if length, err := parseLength(text); err == nil {
			got = length.String()
		} else if !strings.Contains(err.Error(), "with its unit, as in 90s") && !strings.Contains(err.Error(), "longer than") {
			t.Errorf("%q: %v", text, err)
		}
		if got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// TestOneGrammarOfTimes gives the same times to each command that takes one. All commands accept and refuse the same
// times, and each refusal says what to write instead.
func TestOneGrammarOfTimes(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	if _, err := pool.Exec(t.Context(), `select tactus.put_schedule('{"name":"x","interval_seconds":60,"task_name":"a"}'::text)`); err != nil {
		t.Fatal(err)
	}
	served := api.New(pool, "UTC", slog.New(slog.NewTextHandler(t.Output(), nil)), celery.Config{})
	var sent string // the body and the query of the newest request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		sent, r.Body = string(body)+r.URL.Query().Encode(), io.NopCloser(bytes.NewReader(body))
		served.ServeHTTP(w, r)
	}))
	defer server.Close()
	call := func(args ...string) said {
		if args[1] != "preview" { // which sends no request
			args = append(args, "--url="+server.URL)
		}
		return tactus(t, args...)
	}
	for _, c := range []struct{ command, flag string }{
		{"schedule disable x", "until"},
		{"schedule bulk disable --all", "until"},
		{"schedule backfill x", "from"},
		{"schedule backfill x --from 2d", "to"},
		{"schedule create", "at"},
		{"schedule create", "starts-at"},
		{"schedule create", "ends-at"},
		{"schedule create", "anchor"},
		{"schedule preview @daily", "after"},
		{"runs list", "since"},
		{"runs list", "finished-to"},
	} {
		for _, text := range []string{
			"2026-11-30", "2026-11-30T09:30", "2026-11-30T09:30:00", "2026-11-30T09:30:00Z", "2026-11-30T09:30:00+09:00", "3m", "48h", "30d", "2w", "1h30m", "+3d", "-3d",
		} {
			sent = "20"
			got := call(append(strings.Fields(c.command), "--"+c.flag+"="+text)...)
			if got.code == exitUsage || !strings.Contains(sent, "20") { // the server may refuse it
				t.Errorf("tactus %s --%s %s: exit %d, sent %s: %s", c.command, c.flag, text, got.code, sent, got.problems)
			}
		}
		for _, text := range []string{"yesterday", "3", "3y", "2026-13-01", "09:30"} {
			got := call(append(strings.Fields(c.command), "--"+c.flag+"="+text)...)
			if mend := `want a time as in 2026-03-01T09:30:00Z .*a day as in 2026-03-01, or a length of time as in 90m`; got.code != exitUsage || !regexp.MustCompile(mend).MatchString(got.problems) {
				t.Errorf("tactus %s --%s %s: exit %d: %s", c.command, c.flag, text, got.code, got.problems)
			}
		}
	}
	for _, c := range []struct{ command, want string }{
		{"schedule create --every 1m", `"interval_seconds":60`},
		{"schedule create --every 60", `"interval_seconds":60`},
		{"schedule create --every 1d --expires 5m --jitter 30s --time-limit 2h --soft-time-limit 1h --misfire-grace 2m --misfire-window 1w", `"expires_seconds":300,.*"interval_seconds":86400,"jitter_seconds":30,"misfire_grace_seconds":120,"misfire_window_seconds":604800,"soft_time_limit_seconds":3600,"time_limit_seconds":7200`},
		{"schedule trigger x --expires 1h", `"expires_seconds":3600`},
		{"schedule update x --ends-at=", `"ends_at":""`},
		{"route set a.* --expires 1h --time-limit 90", `"expires_seconds":3600,"time_limit_seconds":90`},
		{"key rotate 0192f0c1-2345-7abc-8def-0123456789ab --overlap 1d --token t", `"overlap_seconds":86400`},
		{"schedule disable x --until 2026-11-30", `"until":"2026-11-30T00:00"`},
		{"schedule disable x --until 2026-11-30T09:30", `"until":"2026-11-30T09:30"`},
		{"schedule disable x --until 3d", `"until":"` + time.Now().Add(72*time.Hour).UTC().Format("2006-01-")},
		{"schedule backfill x --from 400d", `"from":"` + time.Now().Add(-400*24*time.Hour).UTC().Format("2006-01-")},
	} {
		got := call(strings.Fields(c.command)...)
		if !regexp.MustCompile(c.want).MatchString(sent) {
			t.Errorf("tactus %s: sent %s, want %s: %s", c.command, sent, c.want, got.problems)
		}
	}
	for _, args := range []string{"schedule create --every soon", "schedule create --jitter 3y", "route set a --expires soon", "key create a --role read --expires 30"} {
		got := call(strings.Fields(args)...)
		if got.code != exitUsage || !strings.Contains(got.problems, "a length of time") {
			t.Errorf("tactus %s: exit %d: %s", args, got.code, got.problems)
		}
	}
}
