package outbox

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// form tells which of the statements writes a change.
type form struct{ creates, keyed, own, rings, ends, halts bool }

func formOf(c domain.Change, o option) form {
	return form{creates: c.Type == domain.ScheduleCreated, keyed: o.key != "", own: o.own, rings: o.ring, ends: last(c) != nil, halts: c.Halts}
}

// statement is SQL with positional arguments, each computed from what is written.
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

// statements has a statement for each form, which does only what the form needs: inserting no key where there is none
// saved a sixth of the server's time. Names become positions here, and not at each write, which took an eighth of the
// writer's time.
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

// change returns the SQL that makes or changes the row.
func (f form) change() string {
	switch {
	case f.halts:
		return f.haltingChange()
	case !f.creates:
		return f.choose(updateSchedule, updateUntilPast, updateOwn, updateOwnUntilPast)
	}
	return f.choose(insertUnlessTaken, insertUnlessTakenOrPast, insertSchedule, insertUntilPast)
}

// choose returns the SQL for a caller's transaction or for one of our own, in the variant for schedules that end or
// not.
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

// positional has pgx turn names into positions, by giving it the name of each argument as its value.
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
