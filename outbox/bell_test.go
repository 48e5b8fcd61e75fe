package outbox_test

import (
	"testing"

	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// nobodyCanBeNotified has every commit of a transaction that notifies fail, as it does while somebody in the cluster
// listens and does not read: the queue of notifications is full, which PostgreSQL finds out when it commits.
const nobodyCanBeNotified = `
create schema own;
create table own.bells (text text);
create function own.full() returns trigger language plpgsql as
    'begin raise exception ''too many notifications in the NOTIFY queue'' using errcode = ''54000''; end';
create constraint trigger full_at_commit after insert on own.bells deferrable initially deferred
    for each row execute function own.full();
create function own.pg_notify(text, text) returns void language sql as 'insert into own.bells values ($1 || $2)';
do $$ begin execute format('alter database %I set search_path = own, pg_catalog', current_database()); end $$`

// TestWritesWhileNobodyCanBeNotified writes in every way that rings.
func TestWritesWhileNobodyCanBeNotified(t *testing.T) {
	t.Parallel()
	direct := testenv.DirectURL(t)
	if _, err := testenv.Connect(t, direct).Exec(t.Context(), nobodyCanBeNotified); err != nil {
		t.Fatal(err)
	}
	pool := testenv.Connect(t, testenv.Pooled(t, direct))
	if err := outbox.Ring(t.Context(), pool); err == nil {
		t.Fatal("it rang")
	}
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	s, err := store.Create(t.Context(), definition("s"), "key", []byte("request"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Merge(t.Context(), s.ID, 0, []byte(`{"description":"new"}`)); err != nil {
		t.Error(err)
	}
	if _, err := store.Trigger(t.Context(), s.ID); err != nil {
		t.Error(err)
	}
	if err := store.Delete(t.Context(), s.ID, 0); err != nil {
		t.Error(err)
	}
	var events, bells int
	err = pool.QueryRow(t.Context(), `select (select count(*) from tactus.outbox), (select count(*) from own.bells)`).
		Scan(&events, &bells)
	if err != nil || events != 4 || bells != 0 {
		t.Errorf("%d events and %d bells, %v", events, bells, err)
	}
}
