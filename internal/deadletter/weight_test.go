package deadletter_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/deadletter"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestLargeLettersWaitForRoom puts back very many letters of large tasks at once: no more than may wait to be handed
// over are, and the others stay, and say why. When a sink has taken what was put back, they go on.
func TestLargeLettersWaitForRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.put("large", func(d *domain.Definition) { d.Kwargs = json.RawMessage(`{"k":"` + strings.Repeat("x", 250_000) + `"}`) })
	const many = 100
	for range many {
		w.trigger(s)
	}
	testenv.RunSink(t, w.pool, tasks)
	for _, sql := range []string{
		`insert into tactus.deadletters (source, reference, reason, data) select 'celery', id || '/1', 'x', '{}' from tactus.runs`,
		`update tactus.runs set status = 'failed', finished_at = now(), error = 'it could not be handed over: x'`,
	} {
		if _, err := w.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	retry := func() (again int) {
		t.Helper()
		letters, err := w.box.List(t.Context(), deadletter.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		done, err := w.box.Retry(t.Context(), letters)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range done {
			if o.Again {
				again++
			} else if o.Result != domain.ErrBacklog.Message {
				t.Errorf("it stays: %s", o.Result)
			}
		}
		return again
	}
	first := retry()
	if first < 16<<20/262_144 || first > 16<<20/250_000+1 {
		t.Errorf("%d are put back while a sink takes nothing", first)
	}
	if n := retry(); n != 0 {
		t.Errorf("%d more are", n)
	}
	testenv.SinkTakes(t, w.pool, tasks)
	testenv.Eventually(t, "the others are put back", func() error {
		first += retry()
		if first < many {
			return deadletter.ErrNone
		}
		return nil
	})
}
