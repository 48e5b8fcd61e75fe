package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestMigrateSaysWhenASuperuserDoes migrates as a plain role, then has the superuser own a function that others call.
func TestMigrateSaysWhenASuperuserDoes(t *testing.T) {
	t.Parallel()
	superuser := testenv.EmptyURL(t)
	owner, plain := testenv.Role(t, superuser)
	testenv.Execute(t, superuser,
		`do $$ begin execute format('grant create on database %I to `+owner+`', current_database()); end $$`)
	migrate := func(url string, says bool) {
		t.Helper()
		var out, problems bytes.Buffer
		code := run([]string{"migrate", "--database-url", url}, &out, &problems)
		if code != exitOK || strings.Contains(problems.String(), "is a superuser") != says ||
			!strings.Contains(out.String(), "schema version") {
			t.Errorf("exit %d: %s%s", code, out.String(), problems.String())
		}
	}
	migrate(plain, false)
	migrate(superuser, true)
	testenv.Execute(t, superuser, `alter function tactus.adopt_statement() owner to current_user`)
	migrate(plain, true)
}
