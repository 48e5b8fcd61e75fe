package deadletter

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/relay"
)

// positions finds the positions of events. It scans the topic: the log has no index by schedule, and an operator's rare
// request does not justify one.
const positions = `
select d.id, coalesce(o.position, 0) from tactus.deadletters d
left join tactus.outbox o on o.topic = 'schedule'
    and o.aggregate_id = split_part(d.reference, '/', 1)::uuid and o.version = split_part(d.reference, '/', 2)::bigint
where d.id = any ($1::bigint[]) and d.source = $2 and d.dropped_at is null`

// retryEvents puts all letters of events back by one new epoch.
func (b *Box) retryEvents(ctx context.Context, letters []Letter) (done []Outcome, err error) {
	if len(letters) == 0 {
		return nil, nil
	}
	found, err := b.positions(ctx, letters)
	if err != nil {
		return nil, err
	}
	var from int64
	var ids []int64
	var going []Letter
	for _, l := range letters {
		switch position, there := found[l.row()]; {
		case !there:
			done = append(done, kept(l, ErrNone.Error()))
		case position == 0:
			done = append(done, kept(l, "its event is no longer in the log"))
		default:
			if from == 0 || position < from {
				from = position
			}
			ids, going = append(ids, l.row()), append(going, l)
		}
	}
	if len(going) == 0 {
		return done, nil
	}
	if err := relay.Reopen(ctx, b.Pool, b.Events, from, ids); err != nil {
		return done, err
	}
	for _, l := range going {
		done = append(done, again(l, "a new epoch publishes it, and all events since"))
	}
	return done, nil
}

func (b *Box) positions(ctx context.Context, letters []Letter) (map[int64]int64, error) {
	ids := make([]int64, len(letters))
	for i, l := range letters {
		ids[i] = l.row()
	}
	rows, err := b.Pool.Query(ctx, positions, ids, b.Events.Name)
	if err != nil {
		return nil, fmt.Errorf("look for events: %w", err)
	}
	found := map[int64]int64{}
	var id, position int64
	if _, err := pgx.ForEachRow(rows, []any{&id, &position},
		func() error { found[id] = position; return nil }); err != nil {
		return nil, fmt.Errorf("look for events: %w", err)
	}
	return found, nil
}
