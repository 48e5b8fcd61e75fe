package claims

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// notHeld is the condition that no schedule goes by itself to the stream of a key k.
const notHeld = `not exists (
    select from tactus.stream_claims c join tactus.schedules s on s.id = c.schedule_id
    where c.name = k.name and ` + mayFire + ` and ` + sqlexpr.TaskStream + ` = c.name)`

const (
	// leftSQL reads keys that schedules have left, behind the one of a name ($1).
	leftSQL = `
select k.name, k.noted_at from tactus.stream_keys k where k.name > $1 and ` + notHeld + ` order by k.name limit 1000`

	forgetKeysSQL = `
delete from tactus.stream_keys k using unnest($1::text[], $2::timestamptz[]) gone (name, noted_at)
where k.name = gone.name and k.noted_at = gone.noted_at and ` + notHeld
)

type leftKey struct {
	Name    string
	NotedAt time.Time
}

// ForgetGone forgets the keys of streams to which no schedule goes any more, as far as areGone says that Redis has no
// stream of the name. A key to which something is handed over meanwhile stays.
func ForgetGone(
	ctx context.Context, q postgres.Querier, areGone func(context.Context, []string) (map[string]bool, error),
) error {
	for after := ""; ; {
		left, err := postgres.Collect(ctx, q, pgx.RowToStructByPos[leftKey], leftSQL, after)
		if err = unlessMissing(err); err != nil {
			return fmt.Errorf("read the streams that schedules have left: %w", err)
		}
		if len(left) == 0 {
			return nil
		}
		after = left[len(left)-1].Name
		if err := forgetGone(ctx, q, left, areGone); err != nil {
			return err
		}
	}
}

func forgetGone(ctx context.Context, q postgres.Querier, left []leftKey,
	areGone func(context.Context, []string) (map[string]bool, error),
) error {
	names := make([]string, len(left))
	for i, k := range left {
		names[i] = k.Name
	}
	is, err := areGone(ctx, names)
	if err != nil {
		return err
	}
	var gone []string
	var noted []time.Time
	for _, k := range left {
		if is[k.Name] {
			gone, noted = append(gone, k.Name), append(noted, k.NotedAt)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return execute(ctx, q, "forget streams that are gone", forgetKeysSQL, gone, noted)
}
