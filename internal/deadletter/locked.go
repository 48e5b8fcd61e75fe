package deadletter

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// A letter that somebody has locked is passed over, and so is one whose run is locked for longer than a moment: whoever
// holds the lock may hold it for hours, and the letters behind it would wait.
const (
	lockWait  = `set_config('lock_timeout', '1s', true) is not null`
	listedSQL = `exists (select from tactus.deadletters where id = @id and dropped_at is null)`
)

func skipped(l Letter) Outcome {
	return Outcome{Letter: l, Locked: true, Result: "somebody has locked it or its run: try again when the lock is gone"}
}

// lockTimedOut reports whether a statement failed because it would have had to wait for a lock.
func lockTimedOut(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "55P03"
}
