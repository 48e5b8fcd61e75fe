package results

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestSweepReadsWhatSomethingCanBecomeOf has a run that cannot have left a result and cannot be concluded yet. A sweep
// does not read it; without a result backend, a sweep reads only runs that can be concluded.
func TestSweepReadsWhatSomethingCanBecomeOf(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	schedule := s.schedule(t, domain.Definition{})
	s.run(t, schedule, domain.Due, time.Hour)
	sent := s.run(t, schedule, domain.Sent, time.Hour)
	started := s.run(t, schedule, domain.Started, time.Hour)
	expired := s.run(t, schedule, domain.Due, time.Hour)
	s.exec(t, `update tactus.runs set expires_at = now() - interval '1 minute' where id = $1`, expired)
	silent := s.run(t, schedule, domain.Due, 25*time.Hour)
	for name, c := range map[string]struct {
		backend redis.UniversalClient
		want    []domain.ID
	}{
		"with a backend":    {testenv.Redis(t), []domain.ID{sent, started, expired, silent}},
		"without a backend": {nil, []domain.ID{expired, silent}},
	} {
		runs, err := s.collector(t, c.backend, nil, Config{}).page(t.Context(), 0, ever, openRun{})
		if err != nil {
			t.Fatal(err)
		}
		if len(runs) != len(c.want) {
			t.Errorf("%s: %d runs are read, want %d", name, len(runs), len(c.want))
		}
		for _, r := range runs {
			if !slices.Contains(c.want, r.ID) {
				t.Errorf("%s: %+v is read", name, r)
			}
		}
	}
}

// asked is a hook of a backend's client. It notes, in order, the runs whose results are read, and calls back before
// each read.
type asked struct {
	runs   []string
	before func(round int)
	rounds int
}

func (a *asked) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (a *asked) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (a *asked) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if key, ok := cmd.Args()[1].(string); ok && cmd.Name() == "strlen" {
				a.runs = append(a.runs, strings.TrimPrefix(key, celery.ResultPrefix))
			}
		}
		if a.before != nil {
			a.before(a.rounds)
		}
		a.rounds++
		return next(ctx, cmds)
	}
}

// TestYoungRunsWaitForNoOldOnes sweeps over many old runs that never answer. A young run is read before them, and one
// that is handed over meanwhile is read between their pages.
func TestYoungRunsWaitForNoOldOnes(t *testing.T) {
	t.Parallel()
	for _, age := range []time.Duration{time.Hour, 5 * time.Minute} { // each sweep reads those that are minutes old
		t.Run(age.String(), func(t *testing.T) {
			t.Parallel()
			youngWaitForNone(t, age)
		})
	}
}

func youngWaitForNone(t *testing.T, age time.Duration) {
	s, backend := newSite(t), testenv.Redis(t)
	schedule := s.schedule(t, domain.Definition{})
	s.exec(t, `insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version, fired_at)
		select i.id, $1, now() - n * interval '1 s', i.id, 'manual', 'sent', 1, now() - $3::interval - n * interval '0.1 s'
		from generate_series(1, $2::int) n, lateral (select gen_random_uuid() as id where n > 0) i`, schedule, 5*pageSize, age)
	first := s.run(t, schedule, domain.Sent, time.Second)
	var second domain.ID
	hook := &asked{before: func(round int) {
		if round == 2 { // the second page of old ones
			second = s.run(t, schedule, domain.Sent, 0)
		}
	}}
	backend.AddHook(hook)
	if err := s.collector(t, backend, nil, Config{Every: 1}).Sweep(t.Context(), ever); err != nil {
		t.Fatal(err)
	}
	if at := slices.Index(hook.runs, first.String()); at != 0 {
		t.Errorf("the young run is read after %d others", at)
	}
	if at := slices.Index(hook.runs, second.String()); at < 0 || at > 3*pageSize+3 {
		t.Errorf("the run that came meanwhile is read after %d others", at)
	}
}

// TestSweepsLookFurtherWhileNobodyListens has a run of three minutes: most sweeps pass it over, unless the only way to
// learn of its result is a sweep.
func TestSweepsLookFurtherWhileNobodyListens(t *testing.T) {
	t.Parallel()
	s, backend := newSite(t), testenv.Redis(t)
	run := s.run(t, s.schedule(t, domain.Definition{}), domain.Sent, 3*time.Minute)
	answerAs(t, backend, run, succeeded(run, "1"), false)
	c := s.collector(t, backend, nil, Config{})
	for _, listening := range []bool{true, false} {
		c.noteHearing(channels{events: true}, !listening) // listening to events is not listening to results
		c.noteHearing(channels{}, listening)
		if err := c.Sweep(t.Context(), oldest(1)); err != nil {
			t.Fatal(err)
		}
		if got := s.row(t, run).Status == "succeeded"; got == listening {
			t.Errorf("listening %t: the result is found %t", listening, got)
		}
	}
}
