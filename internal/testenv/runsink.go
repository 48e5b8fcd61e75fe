package testenv

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// RunSink registers a sink of runs that has taken everything so far, and takes no more until SinkTakes says so: the log
// is as a relay leaves it whose broker takes its time.
func RunSink(t testing.TB, pool *pgxpool.Pool, name string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), `
		with sink as (
			insert into tactus.relay_sinks (sink, topic, epoch, timeline, system_identifier, confirmed_batch, confirmed_place)
				values ($1, 'run', 'e', '1', '1', 7, 1)
		)
		insert into tactus.relay_batches (sink, number, epoch, previous, snapshot, row_count, first_position, last_position)
			values ($1, 7, 'e', '1:1:', '1:1:', 1, 0, 0)`, name); err != nil {
		t.Fatal(err)
	}
	SinkTakes(t, pool, name)
}

// SinkTakes has a sink of RunSink take all that is recorded.
func SinkTakes(t testing.TB, pool *pgxpool.Pool, name string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), `update tactus.relay_batches set last_position = (
		select coalesce(max(position), 0) from tactus.outbox where topic = 'run') where sink = $1`, name); err != nil {
		t.Fatal(err)
	}
}
