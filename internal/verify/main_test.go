package verify_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/internal/verify"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	stream = "tactus:events"
	sink   = "events"
)

// world is a log and a stream to check.
type world struct {
	pool  *pgxpool.Pool
	redis *redis.Client
	store *outbox.Store
	epoch string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	pool := testenv.Database(t)
	return &world{pool, testenv.Redis(t), outbox.NewStore(pool, "", handover.Limits{}.Check), "first"}
}

// filled returns a world with three schedules of five versions each, one of them deleted, and all of them published.
func filled(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	for _, name := range []string{"a", "b", "c"} {
		w.change(t, name, 5)
	}
	c, err := outbox.GetByName(t.Context(), w.pool, "c")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.Delete(t.Context(), c.ID, 0); err != nil {
		t.Fatal(err)
	}
	w.publish(t)
	return w
}

func definition(name string, i int) domain.Definition {
	return domain.Definition{
		Name: name, CronExpression: "*/5 * * * *", TaskName: "app.task", Description: fmt.Sprint("<change> ", i),
		Category: "reports", Tags: []string{"x", "y"}, MaxRuns: 7, Kwargs: []byte(`{"big":12345678901234567890}`),
	}
}

// change writes n versions of a schedule.
func (w *world) change(t *testing.T, name string, n int) (s domain.Schedule) {
	t.Helper()
	for i := range n {
		var err error
		if s, _, err = w.store.Put(t.Context(), definition(name, i)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// publish publishes the next batch as a relay does: the rows that the last batch's snapshot had not seen.
func (w *world) publish(t *testing.T) {
	t.Helper()
	if err := publish(t.Context(), w); err != nil {
		t.Fatal(err)
	}
}

func publish(ctx context.Context, w *world) error {
	var number int64
	previous := outbox.Nothing
	err := w.pool.QueryRow(ctx, `select number, snapshot::text from tactus.relay_batches order by number desc limit 1`).Scan(&number, &previous)
	if err != nil && err != pgx.ErrNoRows {
		return err
	}
	snapshot, err := outbox.Current(ctx, w.pool)
	if err != nil {
		return err
	}
	rows, err := rowsBetween(ctx, w.pool, previous, snapshot)
	if err != nil || len(rows) == 0 {
		return err
	}
	number++
	_, err = w.pool.Exec(ctx, `insert into tactus.relay_batches (sink, number, epoch, previous, snapshot, row_count) values ($1, $2, $3, $4, $5, $6)`,
		sink, number, w.epoch, previous, snapshot, len(rows))
	if err != nil {
		return err
	}
	for i, row := range rows {
		if err := add(ctx, w.redis, fmt.Sprintf("%d-%d", number, i+1), row, w.epoch); err != nil {
			return err
		}
	}
	return nil
}

func rowsBetween(ctx context.Context, pool *pgxpool.Pool, previous, snapshot outbox.Snapshot) (all []outbox.Row, err error) {
	for row, err := range testenv.ReadLog(ctx, pool, outbox.Schedules, previous, snapshot) {
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, nil
}

func add(ctx context.Context, client redis.Cmdable, id string, row outbox.Row, epoch string) error {
	m, err := cloudevents.Schedule(row, epoch)
	if err != nil {
		return err
	}
	values := []any{"_watermill_message_uuid", m.UUID, "metadata", "", "payload", []byte(m.Payload)}
	return client.XAdd(ctx, &redis.XAddArgs{Stream: stream, ID: id, Values: values}).Err()
}

func (w *world) sql(t *testing.T, sql string, args ...any) {
	t.Helper()
	tag, err := w.pool.Exec(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if tag.RowsAffected() == 0 && !strings.HasPrefix(sql, "drop") {
		t.Fatalf("%s: changed nothing, so the test shows nothing", sql)
	}
}

func (w *world) check(t *testing.T, config verify.Config) *verify.Report {
	t.Helper()
	config.Stream, config.Sink = stream, sink
	report, err := verify.Run(t.Context(), w.pool, w.redis, config)
	if err != nil {
		t.Fatal(err)
	}
	return report
}
