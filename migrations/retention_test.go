package migrations_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestRetentionNamesEveryTable compares docs/retention.md with the tables of the schema.
func TestRetentionNamesEveryTable(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/retention.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(string(text), "## PostgreSQL")
	tables, _, _ = strings.Cut(tables, "## Redis")
	var named []string
	for line := range strings.Lines(tables) {
		columns := strings.Split(line, "|")
		if len(columns) < 3 {
			continue
		}
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(columns[1], -1) {
			named = append(named, name[1])
		}
	}
	slices.Sort(named)
	conn, err := pgx.Connect(t.Context(), testenv.DirectURL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	there := linesOf(t, conn, `select relname from pg_class where relnamespace = 'tactus'::regnamespace
		and relkind in ('r', 'p') and not relispartition order by relname collate "C"`)
	if diff := cmp.Diff(there, slices.Compact(named)); diff != "" {
		t.Errorf("the tables of the schema, and those that docs/retention.md names (-there +named):\n%s", diff)
	}
}
