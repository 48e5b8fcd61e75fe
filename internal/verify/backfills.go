package verify

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// backfillCheck compares the number of runs that backfills say they have made with the runs that exist. Runs are kept
// for at least 30 days, and for a day after they were made.
var backfillCheck = runCheck{BackfillDiffers, "%d runs of a backfill which says otherwise, of %s", runsOfBackfills}

const runsOfBackfills = `
select f.schedule_id, ` + noID + `, f.created_at, r.n from tactus.backfills f, lateral (
    select count(*) as n from tactus.runs where kind = 'backfill' and slot = f.id
) r where r.n <> f.fired and (f.from_at > clock_timestamp() - interval '30 days' or f.created_at > clock_timestamp() - interval '1 day')`

const anyBackfills = `select to_regclass('tactus.backfills') is not null`

// withBackfills adds backfillCheck to checks, unless the schema is that of the release before, which has no backfills.
func withBackfills(ctx context.Context, tx pgx.Tx, checks []runCheck) ([]runCheck, error) {
	var there bool
	if err := tx.QueryRow(ctx, anyBackfills).Scan(&there); err != nil {
		return nil, fmt.Errorf("look for backfills: %w", err)
	}
	if there {
		checks = append(slices.Clone(checks), backfillCheck)
	}
	return checks, nil
}
