package results

import (
	"context"
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

// weighed notes how many bytes the values of the largest answer to MGET had that held more than one.
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

// TestLargeResultsAreReadFewAtATime has many runs whose results are large, one whose result is larger than is read at
// all, and one whose key is no text. All others are recorded, and never more is read at once than is said.
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

// TestWhatWaitsIsWeighed has more heard than is kept: what has no room is found by a sweep, and room comes back as
// messages are read.
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

// TestChannelsOfOthers tells the channels of our runs from those of other applications on the same backend.
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
