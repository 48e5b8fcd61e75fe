package outbox

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// form is what decides how a change is written.
type form struct{ creates, keyed, own, rings, ends, halts bool }

func formOf(c domain.Change, o option) form {
	return form{creates: c.Type == domain.ScheduleCreated, keyed: o.key != "", own: o.own, rings: o.ring, ends: last(c) != nil, halts: c.Halts}
}

// statement is SQL with its arguments by position, each taken from what is written.
type statement struct {
	sql  string
	args []func(*written) any
}

func (s statement) arguments(w *written) []any {
	args := make([]any, len(s.args))
	for i, of := range s.args {
		args[i] = of(w)
	}
	return args
}

// statements has one for each form. A form does only what it must (a key that is not there cost a sixth of the server's
// time), and names become positions once, not at each write (an eighth of the writer's).
var statements = func() map[form]statement {
	all := map[form]statement{}
	for n := range 64 {
		f := form{creates: n&1 != 0, keyed: n&2 != 0, own: n&4 != 0, rings: n&8 != 0, ends: n&16 != 0, halts: n&32 != 0}
		all[f] = positional(f.sql())
	}
	return all
}()

func (f form) sql() string {
	sql := f.change()
	if f.keyed {
		sql += insertKey
	}
	if f.rings {
		return sql + insertEvent + ", " + sqlexpr.RingSchedules // last, because it is for what has been written
	}
	return sql + insertEvent + ", null"
}

// change is what makes the row.
func (f form) change() string {
	switch {
	case f.halts:
		return f.haltingChange()
	case !f.creates:
		return f.choose(updateSchedule, updateUntilPast, updateOwn, updateOwnUntilPast)
	}
	return f.choose(insertUnlessTaken, insertUnlessTakenOrPast, insertSchedule, insertUntilPast)
}

// choose returns the statement for a caller's transaction or for one of its own, perhaps of what may be past.
func (f form) choose(within, withinEnding, own, ownEnding string) string {
	switch {
	case f.own && f.ends:
		return ownEnding
	case f.own:
		return own
	case f.ends:
		return withinEnding
	}
	return within
}

// positional lets pgx name the positions: it is given the name of each argument for its value.
func positional(sql string) statement {
	names := pgx.NamedArgs{}
	for name := range arguments {
		names[name] = name
	}
	sql, used, err := names.RewriteQuery(context.Background(), nil, sql, nil)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", sql, err))
	}
	s := statement{sql: sql}
	for _, name := range used {
		s.args = append(s.args, arguments[name.(string)])
	}
	return s
}
