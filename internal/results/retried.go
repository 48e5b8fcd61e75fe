package results

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
)

const countRetriesSQL = `update tactus.runs set retried = coalesce(retried, 0) + 1 where id in (select unnest(@runs::uuid[]))`

// countRetries counts that runs are going to be retried. The count is only shown to people. If it cannot be written,
// because the schema is older or the database fails, the answers are not recorded again for its sake.
func (c *Collector) countRetries(ctx context.Context, runs []domain.ID) {
	if len(runs) == 0 {
		return
	}
	if _, err := c.pool.Exec(ctx, countRetriesSQL, pgx.QueryExecModeCacheDescribe, pgx.NamedArgs{"runs": runs}); err != nil {
		c.log.Debug("cannot count retries", "err", err)
	}
}
