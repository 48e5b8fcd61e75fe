package deadletter

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// FromNotifications is the source of notifications that their destinations did not take.
const FromNotifications = "notifications"

// deliverAgain turns a letter back into a delivery, unless its rule is gone.
const deliverAgain = `
with letter as materialized (
    select id, data::json as kept from tactus.deadletters
    where id = @id and source = '` + FromNotifications + `' and dropped_at is null and ` + lockWait + ` for update
        skip locked
),
rule as (
    select r.id from letter join tactus.notification_rules r on r.id = (letter.kept->>'rule_id')::uuid and
        r.deleted_at is null
),
delivery as (
    insert into tactus.notification_deliveries (rule_id, kind, gathers, count, documents, due_at)
    select rule.id, letter.kept->>'kind', false, (letter.kept->>'count')::bigint,
        array(select value::text from json_array_elements(letter.kept->'happenings')), clock_timestamp() from letter,
            rule
    returning id
),
gone as (delete from tactus.deadletters where id = @id and exists (select from delivery))
select exists (select from letter), exists (select from delivery), ` + listedSQL

// retryNotification makes the courier deliver a notification again.
func (b *Box) retryNotification(ctx context.Context, l Letter) (Outcome, error) {
	var there, done, listed bool
	err := b.Pool.QueryRow(ctx, deliverAgain, pgx.NamedArgs{"id": l.row()}).Scan(&there, &done, &listed)
	switch {
	case err != nil:
		return Outcome{}, fmt.Errorf("deliver again: %w", err)
	case !there && listed:
		return skipped(l), nil
	case !there:
		return kept(l, ErrNone.Error()), nil
	case !done:
		return kept(l, "its notification rule is no more"), nil
	}
	return again(l, "the relay delivers it"), nil
}
