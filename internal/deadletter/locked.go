package deadletter

import (
	"context"

	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// A letter that somebody has locked is passed over, and so is one whose run is locked for longer than a moment: whoever
// holds the lock may hold it for hours, and the letters behind it would wait.
const (
	lockWait  = `set_config('lock_timeout', '1s', true) is not null`
	listedSQL = `exists (select from tactus.deadletters where id = @id and dropped_at is null)`
)

// countsLockedSQL reports whether somebody has locked the whole table of the counts. Who writes to it would wait before
// a lock_timeout that the statement sets is in force.
var countsLockedSQL = `select ` + sqlexpr.WritersWait("tactus.schedule_counts")

func (b *Box) countsLocked(ctx context.Context) (locked bool, err error) {
	err = b.Pool.QueryRow(ctx, countsLockedSQL).Scan(&locked)
	return locked, err
}

func skipped(l Letter) Outcome {
	return Outcome{Letter: l, Locked: true, Result: "somebody has locked it or its run: try again when the lock is gone"}
}
