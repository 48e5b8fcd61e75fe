package relay_test

import (
	"fmt"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/internal/verify"
	"github.com/tactus-dev/tactus/relay"
)

// numbers are batch numbers that a stranger may write: a clock's nanoseconds, the greatest with eighteen digits, and
// the greatest bigints of PostgreSQL.
var numbers = []string{
	"1795943408348972553", "999999999999999999", "4611686018427387903", "4611686018427387904", "6917529027641081855",
	"9223372036854775807",
}

// TestForeignNumbers empties Redis, and appends an entry that looks like one of tactus before the relay appends. The
// relay goes on above its ID, or removes it.
func TestForeignNumbers(t *testing.T) {
	t.Parallel()
	for _, number := range numbers {
		t.Run(number, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r, _ := w.relay(t, relay.Config{}, w.events())
			w.put(t, "a", 3)
			w.awaitEvents(t)
			_, err := w.redis.TxPipelined(t.Context(), func(p goredis.Pipeliner) error {
				p.FlushDB(t.Context())
				return p.XAdd(t.Context(), &goredis.XAddArgs{Stream: redis.EventStream, ID: number + "-0", Values: []string{
					"_watermill_message_uuid", "x", "metadata", "x", "payload", `{"source":"/tactus"}`,
				}}).Err()
			})
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				published := r.Stats()[0].Published
				w.put(t, "a", 3)
				testenv.Eventually(t, "more is published", func() error {
					s := r.Stats()[0]
					report, err := verify.Run(t.Context(), w.pool, w.redis, verify.Config{Stream: redis.EventStream, Sink: eventSink})
					if err != nil || s.Problem != nil || s.Published < published+3 || report.Unpublished > 0 {
						return fmt.Errorf("%+v, %+v, %w", s, report, err)
					}
					return nil
				})
			}
		})
	}
}

// TestForeignNumbersInTheMarkOfTasks writes a foreign number into the mark of a task sink. Runs that fire later are
// handed over.
func TestForeignNumbersInTheMarkOfTasks(t *testing.T) {
	t.Parallel()
	for _, number := range append([]string{"01", "00"}, numbers...) {
		t.Run(number, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.carry(t, w.tasks(t))
			all := w.fire(t, "q", 3)
			w.awaitTasks(t, "q", all)
			w.sql(t, `update tactus.runs set status = 'succeeded', finished_at = now()`)
			if err := w.redis.HSet(t.Context(), "tactus:sink:"+taskSink, "last", number+"-1").Err(); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				all = append(all, w.fire(t, "q", 2)...)
				w.awaitTasks(t, "q", all)
			}
		})
	}
}
