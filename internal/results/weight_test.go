package results

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// weighed notes the bytes of the values in the largest answer to MGET, among the answers with more than one value.
type weighed struct{ most atomic.Int64 }

func (w *weighed) DialHook(next redis.DialHook) redis.DialHook { return next }

func (w *weighed) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (w *weighed) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if answer, ok := cmd.(*redis.SliceCmd); ok && len(answer.Val()) > 1 {
			total := int64(0)
			for _, value := range answer.Val() {
				text, _ := value.(string)
				total += int64(len(text))
			}
			w.most.Store(max(w.most.Load(), total))
		}
		return err
	}
}

// TestLargeResultsAreReadFewAtATime has many runs with large results, one whose result is too large to be read at all,
// and one whose key is not a string. All others are recorded, and no read returns more bytes than its limit.
func TestLargeResultsAreReadFewAtATime(t *testing.T) {
	t.Parallel()
	s, backend := newSite(t), testenv.Redis(t)
	schedule := s.schedule(t, domain.Definition{})
	large := `"` + strings.Repeat("x", mostAtOnce/3) + `"`
	var runs []domain.ID
	for range 20 {
		id := s.run(t, schedule, domain.Sent, time.Hour)
		answerAs(t, backend, id, succeeded(id, large), false)
		runs = append(runs, id)
	}
	tooLarge, hash := s.run(t, schedule, domain.Sent, time.Hour), s.run(t, schedule, domain.Sent, time.Hour)
	answerAs(t, backend, tooLarge, succeeded(tooLarge, `"`+strings.Repeat("x", largestResult)+`"`), false)
	if err := backend.HSet(t.Context(), celery.ResultPrefix+hash.String(), "a", "b").Err(); err != nil {
		t.Fatal(err)
	}
	var w weighed
	backend.AddHook(&w)
	c := s.collector(t, backend, nil, Config{Timeout: time.Minute})
	if err := c.Sweep(t.Context(), ever); err != nil {
		t.Fatal(err)
	}
	for _, id := range runs {
		if r := s.row(t, id); r.Status != string(domain.Succeeded) {
			t.Errorf("%+v", r)
		}
	}
	if r := s.row(t, tooLarge); r.Status != string(domain.Unknown) || !strings.Contains(r.Reason, "at most 33554432 are read") {
		t.Errorf("%+v", r)
	}
	if r := s.row(t, hash); r.Status != string(domain.Unknown) {
		t.Errorf("%+v", r)
	}
	if most := w.most.Load(); most == 0 || most > mostAtOnce {
		t.Errorf("%d bytes were read at once, at most %d may be", most, mostAtOnce)
	}
}

// TestWhatWaitsIsWeighed hears more messages than there is room for. The collector asks for a sweep, which finds the
// others, and there is room again once the messages are read.
func TestWhatWaitsIsWeighed(t *testing.T) {
	t.Parallel()
	c := newSite(t).collector(t, nil, nil, Config{})
	payload := strings.Repeat("x", 3<<20)
	for range 100 {
		c.enqueue(heard{payload: payload})
	}
	if n := len(c.inbox); n != mostWaiting/len(payload) {
		t.Errorf("%d messages wait", n)
	}
	select {
	case <-c.gap:
	default:
		t.Error("no sweep is asked for")
	}
	var batch []heard
	for len(c.inbox) > 0 {
		batch = append(batch, <-c.inbox)
	}
	c.read(batch)
	if left := c.waiting.Load(); left != 0 {
		t.Errorf("%d bytes are counted though nothing waits", left)
	}
}

// TestChannelsOfOthers distinguishes the channels of tactus' runs from those of other applications on the same backend.
func TestChannelsOfOthers(t *testing.T) {
	t.Parallel()
	c := newSite(t).collector(t, nil, nil, Config{KeyPrefix: "app:"})
	own := outbox.NewID()
	for channel, want := range map[string]bool{
		"app:celery-task-meta-1d51d243-5ac5-40c9-8f5f-cc16073ab450": false,
		"app:celery-task-meta-":                false,
		"app:celery-task-meta-" + own.String(): true,
	} {
		if c.oursOn(channel) != want {
			t.Errorf("%s is ours: %v", channel, !want)
		}
	}
}

// TestLargeWaitingRunsAreReleasedInParts has many waiting runs of large tasks, and behind them one of a small task; all
// of them may be released. Each statement copies only a few of the large tasks, so the small one waits for one such
// statement at most. While a sink takes nothing, the large ones continue to wait and small ones do not.
func TestLargeWaitingRunsAreReleasedInParts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.collector(t, nil, nil, Config{})
	ready := func(many int, text string) (waiting []domain.ID) {
		for range many {
			schedule, running, one := s.queue(t)
			s.exec(t, `update tactus.schedules set task = $2::text::json where id = $1`, schedule, `{"task_name":"t","kwargs":{"k":"`+text+`"}}`)
			s.exec(t, `update tactus.runs set finished_at = now(), status = 'succeeded' where id = $1`, running)
			waiting = append(waiting, one)
		}
		return waiting
	}
	large := strings.Repeat("x", 250_000)
	const many = 30
	ready(many, large)
	small := ready(1, "x")[0]
	for range 2 {
		if _, err := c.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if s.waits(t, small) {
		t.Error("the small one waits for all large ones")
	}
	for c.more {
		if _, err := c.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	testenv.RunSink(t, s.pool, "celery")
	ready(80, large)
	small = ready(1, "x")[0]
	c = s.collector(t, nil, nil, Config{})
	left := func() (n int) {
		t.Helper()
		for c.more = true; c.more; {
			if _, err := c.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.pool.QueryRow(t.Context(), `select count(*) from tactus.runs where waiting`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := left(); n < 80-16<<20/250_000-8 || n > 80-16<<20/250_000+1 {
		t.Errorf("%d large ones wait while a sink takes nothing", n)
	}
	if s.waits(t, small) {
		t.Error("the small one waits for a sink")
	}
	testenv.SinkTakes(t, s.pool, "celery")
	testenv.Eventually(t, "all are released", func() error {
		if n := left(); n > 0 {
			return fmt.Errorf("%d are not", n)
		}
		return nil
	})
	var most, runs int
	if err := s.pool.QueryRow(t.Context(), `select max(bytes), sum(runs) from (select sum(octet_length(data::text))::int as bytes, count(*)::int as runs
		from tactus.outbox where topic = 'run' group by xid) s`).Scan(&most, &runs); err != nil || most > 3<<20 || runs != many+82 {
		t.Errorf("a statement copies %d bytes, %d runs are released: %v", most, runs, err)
	}
}

// TestAnswersAreRecordedInParts records large answers by statements that have few of them.
func TestAnswersAreRecordedInParts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.collector(t, nil, nil, Config{})
	schedule := s.schedule(t, domain.Definition{})
	var answers []answer
	for range 200 {
		answers = append(answers, answer{
			run: s.run(t, schedule, domain.Sent, time.Minute), status: domain.Failed, final: true, err: "x",
			traceback: strings.Repeat("x", maxTraceback), result: []byte(`"` + strings.Repeat("x", maxResult-2) + `"`),
		})
	}
	if _, err := c.write(t.Context(), answers); err != nil {
		t.Fatal(err)
	}
	var most, all int
	if err := s.pool.QueryRow(t.Context(), `select max(bytes), sum(runs) from (
		select sum(octet_length(result::text) + octet_length(traceback))::int as bytes, count(*)::int as runs
		from tactus.runs where finished_at is not null group by xmin::text) s`).Scan(&most, &all); err != nil || most > mostWritten || all != len(answers) {
		t.Errorf("a statement has %d bytes, %d are recorded: %v", most, all, err)
	}
}
