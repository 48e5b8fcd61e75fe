package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestRunsCommands is a session with the API about runs.
func TestRunsCommands(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	server := httptest.NewServer(api.New(pool, "UTC", slog.New(slog.NewTextHandler(t.Output(), nil)), celery.Config{}))
	defer server.Close()
	command := func(args string) said { return tactus(t, append(strings.Fields(args), "--url", server.URL)...) }
	command("schedule create --name nightly --task app.t --every 86400 --tag x")
	var made struct {
		ID string `json:"run_id"`
	}
	var ids []string
	for range 3 {
		if err := json.Unmarshal([]byte(command("schedule trigger nightly -o json").out), &made); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, made.ID)
	}
	if _, err := pool.Exec(t.Context(), `update tactus.runs set status = 'failed', error = 'ValueError: no rows', finished_at = now() where id = $1`, ids[0]); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"list", exitOK, `(?s)DUE_AT +STATUS.*due +nightly +app\.t.*failed +nightly.*ValueError: no rows`},
		{"list --status failed,expired --since 12h --schedule nightly -o json", exitOK, `"id": "` + ids[0] + `"`},
		{"list --status late", exitFailure, `parameter_invalid`},
		{"list --limit 1 -o json", exitOK, `"next_page_token": ".+"`},
		{"list --schedule nobody", exitNotFound, `no schedule named "nobody"`},
		{"get " + ids[0], exitOK, `(?s)attempts +0.*steps +\[`},
		{"get x", exitNotFound, `there is no run "x"`},
		{"rerun", exitUsage, `--status failed --since 12h`},
		{"rerun --status failed --tag x --dry-run", exitOK, ids[0]},
		{"rerun --status failed --tag x", exitOK, ids[0]},
		{"rerun " + ids[0] + " " + ids[1], exitOK, ids[1]},
		{"cancel " + ids[1], exitOK, ids[1] + ` +settled`},
		{"cancel " + ids[1], exitFailure, ids[1] + ` +finished(?s:.*)refused`},
		{"cancel --schedule nightly --dry-run", exitOK, `4 runs would be changed; this is a dry run`},
		{"cancel --schedule nightly", exitOK, `4 runs\n`},
	} {
		said := command("runs " + c.args)
		if text := said.out + said.problems; said.code != c.code || !regexp.MustCompile(c.want).MatchString(text) {
			t.Errorf("tactus runs %s: exit %d: %s", c.args, said.code, text)
		}
	}
}

// TestBulkCommands disables two of three schedules by a tag, and then enables exactly those that were enabled before.
func TestBulkCommands(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(api.New(testenv.Database(t), "UTC", slog.New(slog.NewTextHandler(t.Output(), nil)), celery.Config{}))
	defer server.Close()
	command := func(args string) said { return tactus(t, append(strings.Fields(args), "--url", server.URL)...) }
	for _, flags := range []string{"--name a --tag x", "--name b --tag x --queue q", "--name c"} {
		command("schedule create --task app.t --every 86400 " + flags)
	}
	command("schedule disable b")
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"bulk disable", exitUsage, `--tag nightly, or --all`},
		{"bulk disable --tag x --dry-run", exitOK, `1 schedules would be changed, 1 are so already`},
		{"bulk disable --tag x --group release --reason release", exitOK, `(?s) a +done.*1 schedules done, 1 as they were.*--pause-group release`},
		{"list --enabled true --sort name", exitOK, `^ID[^\n]*\n\S+ +c `},
		{"bulk enable --pause-group release", exitOK, ` a +done`},
		{"disable a c", exitUsage, `unexpected argument c\n.*several schedules at once: tactus schedule bulk disable NAME NAME`},
		{"bulk pause a c", exitOK, `(?s)  done .*  done .*2 schedules done`},
		{"bulk resume a nobody", exitNotFound, `no schedule named "nobody"`},
		{"bulk resume a c", exitOK, `2 schedules done`},
		{"pause a", exitOK, `enabled +false`},
		{"resume a", exitOK, `enabled +true`},
		{"bulk retag --queue q --add-tag y --remove-tag x", exitOK, ` b +done`},
		{"bulk set --all --set {\"priority\":300}", exitFailure, `(?s)0 to 255.*3 schedules were refused`},
		{"bulk set --all --set {", exitUsage, `JSON object`},
		{"bulk disable --tag nobody --group release", exitNotFound, `0 schedules done(?s:.*)no schedule is chosen by these flags, and nothing was done`},
		{"bulk delete --tag nobody --dry-run", exitNotFound, `no schedule is chosen by these flags`},
		{"bulk delete --all", exitOK, `3 schedules done`},
		{"bulk delete --all", exitOK, `0 schedules done`},
	} {
		said := command("schedule " + c.args)
		if text := said.out + said.problems; said.code != c.code || !regexp.MustCompile(c.want).MatchString(text) {
			t.Errorf("tactus schedule %s: exit %d: %s", c.args, said.code, text)
		}
	}
}

// TestTailTellsWhatChanges gives tail the same run twice, and then in another state.
func TestTailTellsWhatChanges(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	told := map[string]string{}
	for _, status := range []string{"due", "due", "failed"} {
		page := runPage{Runs: []json.RawMessage{json.RawMessage(fmt.Sprintf(`{"id":"r","status":%q,"schedule_name":"nightly","error":"no"}`, status))}}
		var err error
		if told, err = (runsTailCmd{}).tell(console{out: &out}, page, told); err != nil {
			t.Fatal(err)
		}
	}
	if lines := strings.Split(out.String(), "\n"); len(lines) != 3 || !strings.Contains(lines[1], "failed     r  nightly  no") {
		t.Errorf("%s", out.String())
	}
}
