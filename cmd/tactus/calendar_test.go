package main

import (
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestCalendarCommands is a session with the API about calendars.
func TestCalendarCommands(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	server := httptest.NewServer(api.New(pool, "Asia/Tokyo", slog.New(slog.NewTextHandler(t.Output(), nil)), celery.Config{}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "tse.ics")
	broken := filepath.Join(t.TempDir(), "broken.ics")
	const event = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20900101\nRRULE:FREQ=YEARLY;COUNT=3\nSUMMARY:元日\nEND:VEVENT\nEND:VCALENDAR\n"
	for name, text := range map[string]string{file: event, broken: strings.Replace(event, "DTSTART", "START", 1)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"list -o json", exitOK, `"calendars": \[\]`},
		{"put closed 2127-01-01 2127-05-03..2127-05-05 --description Tokyo", exitOK, `(?s)name +closed.*size +2.*version +1`},
		{"put closed 2127-01-01 2127-13-03", exitFailure, `day_invalid at <days> \(number 2\)`},
		{"put closed", exitUsage, `give days, or a file; --empty`},
		{"put closed 2127-01-01 --empty", exitUsage, `--empty`},
		{"get closed", exitOK, `(?s)size +2.*version +1`},
		{"put closed --empty", exitOK, `(?s)name +closed.*size +0.*version +2`},
		{"put closed 2127-01-01 2127-05-03..2127-05-05", exitOK, `(?s)size +2.*version +3`},
		{"import " + file, exitOK, `(?s)name +tse.*next.*2090-01-01T00:00:00\+09:00.*元日.*size +3`},
		{"import " + file + " --name other --dry-run", exitOK, `"rrule": "RRULE:FREQ=YEARLY;COUNT=3"`},
		{"import " + broken, exitFailure, `broken\.ics:2: the event has no DTSTART`},
		{"import -", exitUsage, `give --name`},
		{"get tse --tz UTC", exitOK, `2090-01-01T00:00:00Z`},
		{"get nothing", exitNotFound, `there is no calendar "nothing"`},
		{"list", exitOK, `(?s)NAME +VERSION +SIZE.*closed +3 +2.*tse +1`},
		{"put tse-closed 2027-01-01..2027-01-03 2027-01-11 --description Tokyo", exitOK, `name +tse-closed`},
		{
			"schedule create --name tse-open --preset market_open --tz Asia/Tokyo --task app.hello --exclude-calendar tse-closed --on-excluded next_allowed",
			exitOK, `(?s)exclude_calendars +\["tse-closed"\].*on_excluded +next_allowed`,
		},
		{"schedule next tse-open -n 3", exitOK, `T09:00:00\+09:00`},
		{"schedule create --name x --every 60 --task t --only-calendar none", exitFailure, `calendar_unknown at --only-calendar \(number 1\)`},
		{"delete tse-closed", exitConflict, `calendar_in_use.*tse-open`},
		{"delete tse", exitOK, `^$`},
		{"delete tse", exitNotFound, `there is no calendar "tse"`},
	} {
		if !strings.HasPrefix(c.args, "schedule ") {
			c.args = "calendar " + c.args
		}
		said := tactus(t, append(strings.Fields(c.args), "--url", server.URL)...)
		if text := said.out + said.problems; said.code != c.code || !regexp.MustCompile(c.want).MatchString(text) {
			t.Errorf("tactus %s: exit %d: %s", c.args, said.code, text)
		}
	}
}
