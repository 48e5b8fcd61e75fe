package testenv

import (
	"context"
	"fmt"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Role makes a role that may log in and has no other right, and names the database of a superuser's URL as that role
// reaches it. The role, and what it owns in that database, go with t.
func Role(t testing.TB, superuser string) (name, as string) {
	t.Helper()
	at, err := url.Parse(superuser)
	if err != nil {
		t.Fatal(err)
	}
	name = fmt.Sprintf("role_%s_%d", databaseOf(t, superuser), databases.Add(1))
	at.User = url.UserPassword(name, "secret")
	Execute(t, superuser, fmt.Sprintf(`create role %s login password 'secret'`, name))
	t.Cleanup(func() { Execute(t, superuser, `drop owned by `+name+` cascade`, `drop role `+name) })
	return name, at.String()
}

// Execute runs statements, each by itself, on a connection of its own.
func Execute(t testing.TB, url string, statements ...string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // it also cleans up
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}
