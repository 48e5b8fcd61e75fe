package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Code returns the SQLSTATE of an error of PostgreSQL's, or nothing.
func Code(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// LockTimedOut reports whether a statement failed because it would have had to wait for a lock.
func LockTimedOut(err error) bool { return Code(err) == "55P03" }

// Canceled reports whether a statement was canceled, because somebody asked for that or it took longer than it may.
func Canceled(err error) bool { return Code(err) == "57014" }

// RefusedData reports whether PostgreSQL refused a statement for the data in it: a data exception (class 22) or a limit
// of the program (class 54). Any other error is about the database, and the statement may succeed later.
func RefusedData(err error) bool {
	code := Code(err)
	return strings.HasPrefix(code, "22") || strings.HasPrefix(code, "54")
}

// RefusedRow reports whether PostgreSQL refused a statement for a row that it reads or writes: for its data, by a
// constraint, or by a trigger that somebody has made.
func RefusedRow(err error) bool {
	code := Code(err)
	return RefusedData(err) || strings.HasPrefix(code, "23") || strings.HasPrefix(code, "P0")
}
