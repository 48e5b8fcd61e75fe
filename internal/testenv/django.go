package testenv

import (
	_ "embed"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/servers"
)

//go:embed django.py
var djangoProject string

// Django runs Python with the models of a real django-celery-beat at hand, in the database of a URL (never through a
// pooler), and returns what it prints.
func Django(t testing.TB, url, code string) string {
	t.Helper()
	python := djangoPython(t)
	at, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	var problems strings.Builder
	cmd := python.Command(t.Context(), "-W", "ignore", "-c", djangoProject)
	cmd.Env = append(cmd.Env, "PGHOST="+at.Host, "PGPORT="+strconv.Itoa(int(at.Port)), "PGDATABASE="+at.Database,
		"PGUSER="+at.User, "PGPASSWORD="+at.Password)
	cmd.Stdin, cmd.Stderr = strings.NewReader(code), &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", code, err, problems.String())
	}
	return string(out)
}

// djangoPython is a Python with django-celery-beat.
func djangoPython(t testing.TB) servers.Python {
	t.Helper()
	python, err := servers.FindPython(t.Context(), servers.Config{Log: func(text string) { t.Log(text) }},
		[]string{"django_celery_beat", "psycopg2", "redis"}, "python3-django-celery-beat", "python3-psycopg2", "python3-redis")
	if err != nil {
		t.Fatal(err)
	}
	return python
}
