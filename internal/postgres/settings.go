package postgres

import (
	"context"
	"fmt"
	"maps"

	"github.com/jackc/pgx/v5"
)

// followed come with the start of a session, which goes before what an administrator has set. Poolers follow them: each
// transaction gets a session that has them. They are what texts of values depend on.
var followed = map[string]string{
	"client_encoding":             "UTF8",
	"DateStyle":                   "ISO",
	"TimeZone":                    "UTC",
	"standard_conforming_strings": "on",
}

// own are the other settings of a session that is ours alone. Statements are short, or take as long as they must: where
// one must not wait for long it says so itself. Not every server knows all.
var own = map[string]string{
	"IntervalStyle":                       "postgres",
	"bytea_output":                        "hex",
	"array_nulls":                         "on",
	"extra_float_digits":                  "1",
	"search_path":                         "pg_catalog, pg_temp", // whatever else is meant is written with its schema
	"default_transaction_isolation":       "read committed",
	"default_transaction_deferrable":      "off",
	"statement_timeout":                   "0",
	"lock_timeout":                        "0",
	"idle_in_transaction_session_timeout": "0",
	"transaction_timeout":                 "0",
	"idle_session_timeout":                "0",

	// A way of planning that is switched off costs so much where there is no other that every statement is compiled.
	"jit":                        "off",
	"enable_bitmapscan":          "on",
	"enable_gathermerge":         "on",
	"enable_hashagg":             "on",
	"enable_hashjoin":            "on",
	"enable_incremental_sort":    "on",
	"enable_indexonlyscan":       "on",
	"enable_indexscan":           "on",
	"enable_material":            "on",
	"enable_memoize":             "on",
	"enable_mergejoin":           "on",
	"enable_nestloop":            "on",
	"enable_parallel_append":     "on",
	"enable_partition_pruning":   "on",
	"enable_presorted_aggregate": "on",
	"enable_seqscan":             "on",
	"enable_sort":                "on",
	"enable_tidscan":             "on",
}

// with returns settings, but those that were said otherwise.
func with(settings, said map[string]string) map[string]string {
	all := maps.Clone(settings)
	maps.Copy(all, said)
	return all
}

const setKnown = `
select pg_catalog.set_config(s.name, given.value, false)
from unnest($1::text[], $2::text[]) given (name, value)
join pg_catalog.pg_settings s on pg_catalog.lower(s.name) operator(pg_catalog.=) pg_catalog.lower(given.name)`

// mostCancelled is how often the settings are made before it is told that an administrator's statement_timeout, which
// ends with them, is too short even for that.
const mostCancelled = 20

// set gives a session of ours its settings, those of the URL aside.
func set(ctx context.Context, conn *pgx.Conn, settings, said map[string]string) error {
	var names, values []string
	for name, value := range settings {
		if _, ok := said[name]; !ok {
			names, values = append(names, name), append(values, value)
		}
	}
	_, err := conn.Exec(ctx, setKnown, pgx.QueryExecModeExec, names, values)
	for n := 1; n < mostCancelled && Canceled(err); n++ {
		_, err = conn.Exec(ctx, setKnown, pgx.QueryExecModeExec, names, values)
	}
	if err != nil {
		return fmt.Errorf("make a session's settings: %w", err)
	}
	return nil
}
