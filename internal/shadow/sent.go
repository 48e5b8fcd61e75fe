package shadow

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/outbox"
)

// task is what events say about a task.
type task struct {
	name, args, kwargs string
	sender             string
	to                 string // a queue, or exchange/routing key; empty when not known
	sent, received     *time.Time
}

// taskOf converts an event. It returns false for an event that says nothing about the sending of a task, for a task
// that another task has called, and for a retry, which a worker has sent.
func taskOf(e celery.Event) (task, bool) {
	if e.TaskID == "" || e.ParentID != "" || e.Retries > 0 {
		return task{}, false
	}
	t := task{name: stored(e.Name), args: stored(e.Args), kwargs: stored(e.Kwargs)}
	switch e.Type {
	case "task-sent":
		t.sender, t.sent, t.to = stored(e.Hostname), &e.Time, stored(destination(e.Queue, e.Exchange, e.RoutingKey))
	case "task-received":
		t.received = &e.Time
	default:
		return task{}, false
	}
	return t, true
}

// destination returns where a task goes as one text: a queue, or exchange/routing key.
func destination(queue, exchange, routingKey string) string {
	if exchange == "" {
		return cmp.Or(routingKey, queue)
	}
	return exchange + "/" + routingKey
}

// and merges what two events say about the same task.
func (t task) and(other task) task {
	if t.name == "" || other.sent != nil && t.sent == nil {
		t.name, t.args, t.kwargs, t.sender, t.sent, t.to = other.name, other.args, other.kwargs, other.sender,
			other.sent, other.to
	}
	if t.received == nil {
		t.received = other.received
	}
	return t
}

// pooled runs a statement without leaving anything in the session, which a pooler may give to another client.
const pooled = pgx.QueryExecModeCacheDescribe

// most is the most bytes of a text that are stored. Celery shows fewer of arguments.
const most = 2048

// stored returns what is stored of a text.
func stored(text string) string { return postgres.Storable(text[:min(len(text), most)]) }

// session is a time in which a watcher listens.
type session struct{ id domain.ID }

const beginWatchSQL = `insert into tactus.shadow_watches (id, since, until)
	values ($1, clock_timestamp(), clock_timestamp())`

// begin records the start of a watch.
func begin(ctx context.Context, pool *pgxpool.Pool) (session, error) {
	s := session{outbox.NewID()}
	if _, err := pool.Exec(ctx, beginWatchSQL, pooled, s.id); err != nil {
		return s, fmt.Errorf("begin to watch: %w", err)
	}
	return s, nil
}

// keepHeardSQL records tasks, and that the watcher has listened until now. A task may have two events, which may arrive
// in any order and at several watchers.
const keepHeardSQL = `
with watch as (
    update tactus.shadow_watches set until = clock_timestamp() where id = @id
)
insert into tactus.shadow_sent as s (task_id, task_name, args, kwargs, sender, sent_at, received_at, destination)
select * from unnest(@ids::text[], @names::text[], @args::text[], @kwargs::text[], @senders::text[],
    @sent::timestamptz[], @received::timestamptz[], @to::text[])
on conflict (task_id) do update set
    sender = case when s.sender = '' then excluded.sender else s.sender end,
    destination = case when s.destination = '' then excluded.destination else s.destination end,
    sent_at = coalesce(s.sent_at, excluded.sent_at), received_at = coalesce(s.received_at, excluded.received_at)`

// clipped returns tasks by their shortened ids, merging tasks whose ids become equal: one statement may name an id only
// once.
func clipped(heard map[string]task) map[string]task {
	kept := make(map[string]task, len(heard))
	for id, t := range heard {
		kept[stored(id)] = kept[stored(id)].and(t)
	}
	return kept
}

// keep records the tasks that were heard.
func (s session) keep(ctx context.Context, pool *pgxpool.Pool, heard map[string]task) error {
	var ids, names, args, kwargs, senders, to []string
	var sent, received []*time.Time
	for id, t := range clipped(heard) {
		ids, names, args, kwargs, senders = append(ids, id), append(names, t.name), append(args, t.args),
			append(kwargs, t.kwargs), append(senders, t.sender)
		sent, received, to = append(sent, t.sent), append(received, t.received), append(to, t.to)
	}
	_, err := pool.Exec(ctx, keepHeardSQL, pooled, pgx.NamedArgs{
		"id": s.id, "ids": ids, "names": names, "args": args, "kwargs": kwargs, "senders": senders, "sent": sent,
		"received": received, "to": to,
	})
	if err != nil {
		return fmt.Errorf("record what was sent: %w", err)
	}
	return nil
}
