package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/processes"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestLogs starts a relay that logs as JSON and finds no Redis: every line is JSON, those of libraries, too. A caller
// with the right to do so changes the level while it runs.
func TestLogs(t *testing.T) {
	t.Parallel()
	database := testenv.DirectURL(t)
	key := func(role string) string {
		return strings.TrimSpace(tactus(t, "key", "create", role, "--role="+role, "--database-url="+database).out)
	}
	admin, writer := key("admin"), key("write")
	p := testenv.Program{Env: []string{
		"DATABASE_URL=" + database, "REDIS_URL=redis://127.0.0.1:1/0", "TACTUS_AUTH=keys", "TACTUS_LOG_FORMAT=json",
	}}.Start(t, "relay", "--http-addr=127.0.0.1:0")
	started := p.AwaitLog(`"msg":"relay started","http":"([^"]+)"`)
	url := started[1]
	p.AwaitLog(`"level":"WARN","msg":"go-redis","err":"[^"]*connection refused`)
	for line := range strings.SplitSeq(strings.TrimSpace(p.Log()), "\n") {
		var said struct{ Time, Level, Msg string }
		if err := json.Unmarshal([]byte(line), &said); err != nil || said.Time == "" || said.Level == "" || said.Msg == "" {
			t.Errorf("a line that is no JSON: %s", line)
		}
	}
	if strings.Contains(p.Log(), `"DEBUG"`) {
		t.Errorf("it logs what it was not asked for:\n%s", p.Log())
	}

	inAnHour := func(out string) bool {
		until, err := time.Parse("debug until "+time.RFC3339+"\n", out)
		return err == nil && time.Until(until).Abs() < 61*time.Minute && time.Until(until) > 0
	}
	level := func(key string, args ...string) said {
		return tactus(t, append([]string{"log-level", "--url=" + url, "--token=" + key}, args...)...)
	}
	if got := level(writer); got.code != exitOK || got.out != "info\n" {
		t.Errorf("who may write sees %+v", got)
	}
	if got := level(writer, "debug"); got.code != exitFailure || !strings.Contains(got.problems, "this needs admin") {
		t.Errorf("who may not change it is answered %+v", got)
	}
	if got := level("wrong", "debug"); got.code != exitFailure {
		t.Errorf("a stranger is answered %+v", got)
	}
	if got := level(admin, "loud", "--for=200h"); got.code != exitFailure || !strings.Contains(got.problems, "loud") ||
		!strings.Contains(got.problems, "200h") {
		t.Errorf("what cannot be is answered %+v", got)
	}
	if got := level(admin, "--for=1h"); got.code != exitUsage {
		t.Errorf("a time without a level is answered %+v", got)
	}
	if got := level(admin, "debug", "--for=1h"); got.code != exitOK || !inAnHour(got.out) {
		t.Errorf("an administrator is answered %+v", got)
	}
	p.AwaitLog(`"msg":"the level of the log changes","from":"INFO","to":"DEBUG"`)
	if got := level(writer); !inAnHour(got.out) {
		t.Errorf("then it is %+v", got)
	}
	if got := level(admin, "warn"); got.out != "warn\n" {
		t.Errorf("until it is changed again it is %+v", got)
	}
	if code := p.Stop(); code != exitOK {
		t.Errorf("stopped with %d", code)
	}
}

// TestRunsAreSummedUpInTheLog fires some runs. At the level info, the log has their sum, and not each step.
func TestRunsAreSummedUpInTheLog(t *testing.T) {
	t.Parallel()
	c := processes.New(t, testenv.DirectURL(t), testenv.RedisURL(t), "TACTUS_LOG_LEVEL=info")
	relay, beat := c.Start("relay"), c.Beat("b")
	c.Create(`{"name": "often", "task_name": "app.t", "interval_seconds": 1}`)
	testenv.Eventually(t, "three runs are handed over", func() error {
		var sent int
		if err := c.Pool.QueryRow(t.Context(), `select count(*) from tactus.runs where status = 'sent'`).Scan(&sent); err != nil || sent < 3 {
			return fmt.Errorf("%d, %w", sent, err)
		}
		return nil
	})
	for name, p := range map[string]*testenv.Process{"beat": beat, "relay": relay} {
		if code := p.Stop(); code != exitOK {
			t.Errorf("%s stopped with %d", name, code)
		}
	}
	beat.AwaitLog(`msg="what was done" runs=\d+ .*events=\d+ synced=\d+ late=`)
	relay.AwaitLog(`msg=published .*events=\d+`)
	for _, step := range []string{"msg=fired", `msg="event received"`, "msg=synced"} {
		if strings.Contains(beat.Log(), step) {
			t.Errorf("the log tells single steps: %s", beat.Log())
		}
	}
}
