package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestMigrateSaysWhenASuperuserDoes migrates as a superuser; as a plain role, in whose schema no superuser migrates;
// and as that role again, when the superuser owns a function that others call.
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
	migrate(testenv.EmptyURL(t), true)
	migrate(plain, false)
	var problems bytes.Buffer
	if code := run([]string{"migrate", "--database-url", superuser}, io.Discard, &problems); code == exitOK || !strings.Contains(problems.String(), "connect as that role") {
		t.Errorf("exit %d: %s", code, problems.String())
	}
	testenv.Execute(t, superuser, `alter function tactus.adopt_statement() owner to current_user`)
	migrate(plain, true)
}
