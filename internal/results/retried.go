package results

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
)

const countRetriesSQL = `update tactus.runs set retried = coalesce(retried, 0) + 1 where id in (select unnest(@runs::uuid[]))`

// countRetries counts that runs are going to be tried again. The count only tells people how a run went, so that it
// fails on a schema that has no such column, or with the database, is no reason to record an answer once more.
func (c *Collector) countRetries(ctx context.Context, runs []domain.ID) {
	if len(runs) == 0 {
		return
	}
	if _, err := c.pool.Exec(ctx, countRetriesSQL, pgx.QueryExecModeCacheDescribe, pgx.NamedArgs{"runs": runs}); err != nil {
		c.log.Debug("cannot count retries", "err", err)
	}
}
