package main

import (
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestBackfillCommands is a session with the API about backfills.
func TestBackfillCommands(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(api.New(testenv.Database(t), "UTC", slog.New(slog.NewTextHandler(t.Output(), nil)), celery.Config{}))
	defer server.Close()
	from := time.Now().UTC().Truncate(time.Hour).Add(-5*time.Hour + time.Minute).Format("2006-01-02T15:04")
	id := "none"
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"schedule create --name hourly --cron 0_*_*_*_* --task app.export", exitOK, `name +hourly`},
		{"schedule backfill hourly", exitUsage, `--from`},
		{"schedule backfill hourly --from " + from + " --dry-run", exitOK, `(?s)dry_run +true.*total +5`},
		{"backfill list hourly", exitOK, `^ID +STATE[^\n]*\n$`},
		{"schedule backfill hourly --from " + from + " --max-active 2 --order newest_first --reason wrong_prices", exitOK, `(?s)id +[0-9a-f-]{36}.*max_active +2.*order +newest_first`},
		{"backfill list hourly", exitOK, `running .* 5 +0 +5 .* wrong_prices`},
		{"backfill get ID", exitOK, `(?s)execution_policy +allow.*state +running`},
		{"backfill cancel ID --runs", exitOK, `state +cancelled`},
		{"backfill cancel ID", exitConflict, `backfill_ended`},
		{"schedule backfill hourly --from " + from + " --max-active 101", exitFailure, `out_of_range at --max-active`},
		{"schedule backfill hourly --from tomorrow", exitUsage, `"tomorrow": want a time as in`},
	} {
		args := strings.Fields(strings.Replace(c.args, "ID", id, 1) + " --url " + server.URL)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "_*", " *")
		}
		said := tactus(t, args...)
		if said.code != c.code || !regexp.MustCompile(c.want).MatchString(said.out+said.problems) {
			t.Errorf("%s: exit %d\n%s%s\nwant %s", c.args, said.code, said.out, said.problems, c.want)
		}
		if found := regexp.MustCompile(`\nid +([0-9a-f-]{36})`).FindStringSubmatch(said.out); found != nil {
			id = found[1]
		}
	}
}
