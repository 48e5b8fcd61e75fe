package testenv

import (
	"context"
	_ "embed"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/servers"
)

//go:embed django.py
var djangoProject string

// django has the template of DjangoURL once a test has asked for it.
var django struct {
	sync.Mutex
	template string
}

// DjangoURL makes a migrated database for t that has the tables of django-celery-beat, too, and names it as DirectURL
// does. Django's migrations take seconds, so they run once in a test process.
func DjangoURL(t testing.TB) string {
	t.Helper()
	template := djangoTemplate(t)
	return cloneURL(t, func(*sharedPostgres) string { return template })
}

func djangoTemplate(t testing.TB) string {
	t.Helper()
	django.Lock()
	defer django.Unlock()
	if django.template != "" {
		return django.template
	}
	url, drop, err := clone(t.Context(), func(s *sharedPostgres) string { return s.template })
	if err != nil {
		t.Fatal(err)
	}
	onClose(func(context.Context) error { return drop() })
	Django(t, url, `call_command("migrate", verbosity=0)`)
	django.template = databaseOf(t, url)
	return django.template
}

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
