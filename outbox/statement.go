package outbox

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
)

// form is what decides how a change is written.
type form struct{ creates, keyed, rings bool }

func formOf(c domain.Change, o option) form {
	return form{creates: c.Type == domain.ScheduleCreated, keyed: o.key != "", rings: o.ring}
}

// statement is SQL with its arguments by position, and what they are called.
type statement struct {
	sql   string
	names []string
}

func (s statement) arguments(values pgx.NamedArgs) []any {
	args := make([]any, len(s.names))
	for i, name := range s.names {
		args[i] = values[name]
	}
	return args
}

// statements has one for each form. A form does only what it must (a key that is not there cost a sixth of the server's
// time), and names become positions once, not at each write (an eighth of the writer's).
var statements = func() map[form]statement {
	all := map[form]statement{}
	for n := range 8 {
		f := form{creates: n&1 != 0, keyed: n&2 != 0, rings: n&4 != 0}
		all[f] = positional(f.sql())
	}
	return all
}()

func (f form) sql() string {
	sql := updateSchedule
	if f.creates {
		sql = insertSchedule
	}
	if f.keyed {
		sql += insertKey
	}
	if f.rings {
		return sql + insertEvent + ", (" + ScheduleBell + ")" // last, because it is for what has been written
	}
	return sql + insertEvent + ", null"
}

// positional lets pgx name the positions: it is given the name of each argument for its value.
func positional(sql string) statement {
	names, err := columns(domain.Change{}, option{})
	if err != nil {
		panic(fmt.Sprintf("the columns of nothing: %v", err))
	}
	for name := range names {
		names[name] = name
	}
	sql, args, err := names.RewriteQuery(context.Background(), nil, sql, nil)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", sql, err))
	}
	s := statement{sql: sql, names: make([]string, len(args))}
	for i, arg := range args {
		s.names[i] = arg.(string)
	}
	return s
}
