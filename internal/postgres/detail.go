package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// WithDependents adds to an error what stands in the way of a table's being dropped or changed, such as the view of
// somebody else: PostgreSQL names it beside its message.
func WithDependents(err error) error {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || e.Detail == "" || e.Code != "2BP01" && e.Code != "0A000" { // others may cite what users wrote
		return err
	}
	return fmt.Errorf("%w: %s: drop that first", err, strings.ReplaceAll(e.Detail, "\n", ", "))
}
