package processes

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/migrations"
)

// TestRollingUpgradeAndBack runs the former release; then both on the former schema; both on this release's schema;
// this release alone; and the former one again. Schedules fire every second meanwhile. Nothing is lost, and nothing
// comes twice.
func TestRollingUpgradeAndBack(t *testing.T) {
	t.Parallel()
	former := releaseBefore(t)
	url := testenv.EmptyURL(t)
	migrate := func(program string) {
		t.Helper()
		p := testenv.Program{Path: program, Env: []string{"DATABASE_URL=" + url}}.Start(t, "migrate")
		if code := p.Wait(); code != exitOK {
			t.Fatalf("migrate ended with %d: %s", code, p.Log())
		}
	}
	migrate(former)
	c := New(t, url, testenv.RedisURL(t))
	start := func(program, process, name string) *testenv.Process {
		t.Helper()
		p := testenv.Program{Path: program, Env: append(c.Env, "TACTUS_BEAT_NAME="+name)}.
			Start(t, process, "--http-addr", "127.0.0.1:0")
		p.AwaitReady()
		return p
	}
	all := func(program, name string) (processes []*testenv.Process) {
		for _, process := range []string{"api", "relay", "beat"} {
			processes = append(processes, start(program, process, name))
		}
		return processes
	}
	stop := func(processes []*testenv.Process) {
		t.Helper()
		for _, p := range processes {
			if code := p.Stop(); code != exitOK {
				t.Errorf("a process ended with %d: %s", code, p.Log())
			}
		}
	}
	began := time.Now()
	var schedules []domain.Schedule
	made := func(by *testenv.Process) { // by an api, and fires from then on
		t.Helper()
		name := fmt.Sprintf("s%d", len(schedules))
		status, body := Ask(t, "POST", by.URL()+"/api/v1/schedules",
			fmt.Sprintf(`{"name":%q,"interval_seconds":1,"task_name":"t","queue":"work"}`, name))
		if status != 201 {
			t.Fatalf("create: %d %s", status, body)
		}
		var s struct{ ID domain.ID }
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			t.Fatal(err)
		}
		schedules = append(schedules, domain.Schedule{ID: s.ID, Definition: domain.Definition{Name: name}})
	}
	goOn := func() {
		t.Helper()
		for _, s := range schedules {
			c.Fires(s, c.Runs(s)+2)
		}
	}
	old := all(former, "old")
	made(old[0])
	goOn()

	if err := migrations.Ready(t.Context(), c.Pool); err == nil {
		early := all("", "early") // this release on the schema of the one before
		made(early[0])
		goOn()
		stop(early)
	} else {
		early := testenv.Program{Env: c.Env}.Start(t, "api", "--http-addr", "127.0.0.1:0")
		notReady(t, early, "the schema lacks")
		stop([]*testenv.Process{early})
	}
	migrate("")
	made(old[0])
	goOn()
	recent := all("", "recent")
	made(recent[0])
	stop(old)
	goOn()
	migrate(former) // of a release that does not know the newest migration
	back := all(former, "back")
	stop(recent)
	made(back[0])
	goOn()
	stop(back[2:]) // the beat
	testenv.Eventually(t, "all are handed over", func() error {
		var due int
		if err := c.Pool.QueryRow(t.Context(), `select count(*) from tactus.runs where status = 'due'`).Scan(&due); err != nil {
			return err
		}
		return above(-int64(due), -1)
	})
	stop(back[:2])
	c.handedOverOnce("work")
	last := start("", "beat", "recent") // settles what came due meanwhile, for verify
	relay := start("", "relay", "")
	c.Verify(began, c.Settled(), time.Minute)
	stop([]*testenv.Process{last, relay})
}

// handedOverOnce checks that a queue has one task for each run.
func (c *Cluster) handedOverOnce(queue string) {
	c.Helper()
	var runs, twice int64
	if err := c.Pool.QueryRow(c.Context(), `select count(*), count(*) - count(distinct (schedule_id, due_at)) from tactus.runs
		where status = 'sent'`).Scan(&runs, &twice); err != nil {
		c.Fatal(err)
	}
	tasks, err := testenv.Client(c, c.Redis).LLen(c.Context(), queue).Result()
	if err != nil || tasks != runs || twice > 0 || runs < 10 {
		c.Errorf("%d tasks for %d runs, of which %d are for a due time of another; %v", tasks, runs, twice, err)
	}
}

// releaseBefore builds the program of the former release: that of the newest tag or, while there is no tag, of the
// commit before the newest migration.
func releaseBefore(t *testing.T) (path string) {
	t.Helper()
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = filepath.Join("..", "..")
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	}
	commit, err := git("describe", "--tags", "--abbrev=0", "HEAD^")
	if err != nil {
		var added string
		added, err = git("log", "-1", "--format=%H", "--diff-filter=A", "--", "migrations/*.sql")
		if err == nil {
			commit, err = git("rev-parse", "--verify", "--quiet", added+"^")
		}
	}
	if err != nil {
		t.Skip("not a Git checkout with its history: the release before is not there to be built")
	}
	dir, archive := t.TempDir(), filepath.Join(t.TempDir(), "release.tar")
	if _, err := git("archive", "--output="+archive, commit); err != nil {
		t.Fatalf("archive %s: %v", commit, err)
	}
	if out, err := exec.CommandContext(t.Context(), "tar", "-xf", archive, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("unpack %s: %v: %s", commit, err, out)
	}
	path = filepath.Join(dir, "tactus")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, "./cmd/tactus")
	cmd.Dir, cmd.Env = dir, append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the release before: %v: %s", err, out)
	}
	return path
}
