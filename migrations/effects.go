package migrations

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// effectsText says what each migration does to the schema, as PostgreSQL itself told when the migrations ran one after
// the other on an empty database (go test ./migrations -run Effects -update). A line is one of
//
//	0001 column runs redelivered
//	0073 lock runs AccessExclusiveLock index
//
// The first is a column that the migration makes and that the newest schema still has. The second is the strongest lock
// on a table that was there before, if that lock stops writers, and what is done under it: index (one is built), scan
// (a constraint is checked), rewrite (the table is written anew), or nothing that takes long.
//
//go:embed effects.txt
var effectsText string

// column is a column that a migration has made.
type column struct {
	version     int64
	table, name string
}

// locked is a table that a migration locks against writers.
type locked struct {
	version     int64
	table, mode string
	work        []string
}

type effects struct {
	columns []column
	locks   []locked
}

var allEffects = sync.OnceValues(func() (all effects, err error) {
	for line := range strings.Lines(effectsText) {
		words := strings.Fields(line)
		if len(words) < 4 {
			return all, fmt.Errorf("effects.txt: %q is no effect", line)
		}
		version, err := strconv.ParseInt(words[0], 10, 64)
		if err != nil {
			return all, fmt.Errorf("effects.txt: %q: %w", line, err)
		}
		switch words[1] {
		case "column":
			all.columns = append(all.columns, column{version, words[2], words[3]})
		case "lock":
			all.locks = append(all.locks, locked{version, words[2], words[3], words[4:]})
		default:
			return all, fmt.Errorf("effects.txt: %q is no effect", line)
		}
	}
	return all, nil
})
