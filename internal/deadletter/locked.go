package deadletter

import (
	"context"

	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// A locked letter is passed over, and so is one whose run stays locked for longer than a moment. The lock may be held
// for hours, and the other letters would have to wait.
const (
	lockWait  = `set_config('lock_timeout', '1s', true) is not null`
	listedSQL = `exists (select from tactus.deadletters where id = @id and dropped_at is null)`
)

// countsLockedSQL reports whether the whole table of the counts is locked. A statement that writes to it would wait
// while it is planned, before a lock_timeout that it sets itself takes effect.
var countsLockedSQL = `select ` + sqlexpr.WritersWait("tactus.schedule_counts")

func (b *Box) countsLocked(ctx context.Context) (locked bool, err error) {
	err = b.Pool.QueryRow(ctx, countsLockedSQL).Scan(&locked)
	return locked, err
}

func skipped(l Letter) Outcome {
	return Outcome{Letter: l, Locked: true, Result: "somebody has locked it or its run: try again when the lock is gone"}
}
