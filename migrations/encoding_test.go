package migrations_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/migrations"
)

// TestOtherEncodingsAreRefused tries databases that cannot keep every character, before anything is made in them.
func TestOtherEncodingsAreRefused(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"LATIN1", "SQL_ASCII"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			url := testenv.EmptyURL(t)
			conn, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.WithoutCancel(t.Context()))
			name := conn.Config().Database + "_" + strings.ToLower(encoding)
			if _, err := conn.Exec(t.Context(), "create database "+name+" encoding '"+encoding+"' locale 'C' template template0"); err != nil {
				t.Fatal(err)
			}
			defer conn.Exec(context.WithoutCancel(t.Context()), "drop database "+name+" with (force)") // with the server at the latest
			other := strings.Replace(url, "/"+conn.Config().Database, "/"+name, 1)
			if err := migrations.Up(t.Context(), other); err == nil || !strings.Contains(err.Error(), encoding) || !strings.Contains(err.Error(), "UTF8") {
				t.Errorf("it is told that %v", err)
			}
			there, err := pgx.Connect(t.Context(), other)
			if err != nil {
				t.Fatal(err)
			}
			defer there.Close(context.WithoutCancel(t.Context()))
			var schemas int
			if err := there.QueryRow(t.Context(), `select count(*) from pg_namespace where nspname = 'tactus'`).Scan(&schemas); err != nil || schemas != 0 {
				t.Errorf("%d schemas were made, %v", schemas, err)
			}
		})
	}
}
