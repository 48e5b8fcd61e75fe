package python_upstream_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// TestOrderAndReminderCommitTogether runs the example against a database, as a user would.
func TestOrderAndReminderCommitTogether(t *testing.T) {
	t.Parallel()
	url := testenv.DatabaseURL(t)
	pool := testenv.Connect(t, url)
	if _, err := pool.Exec(t.Context(), `create table orders (id int primary key, remind_at timestamptz)`); err != nil {
		t.Fatal(err)
	}
	id, _ := orders(t, url, "place", "42", "2130-01-31T09:00:00+00:00")
	s, err := outbox.GetByName(t.Context(), pool, "order-42-reminder")
	if err != nil || s.ID.String() != strings.TrimSpace(id) || s.TaskName != "app.remind" || string(s.Kwargs) != `{"order":42}` && string(s.Kwargs) != `{"order": 42}` {
		t.Errorf("placed: %s %+v, %v", id, s, err)
	}
	if _, told := orders(t, url, "place", "43", "2020-01-31T09:00:00+00:00"); !strings.HasPrefix(told, "at_in_past at /run_at: ") {
		t.Errorf("refused: %s", told)
	}
	var kept int
	if err := pool.QueryRow(t.Context(), `select count(*) from orders`).Scan(&kept); err != nil || kept != 1 {
		t.Errorf("%d orders: the refused one is to leave nothing, %v", kept, err)
	}
	if gone, told := orders(t, url, "cancel", "42"); gone != "True\n" {
		t.Errorf("cancelled: %s %s", gone, told)
	}
	if _, err := outbox.GetByName(t.Context(), pool, "order-42-reminder"); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("cancelled, and the reminder is there: %v", err)
	}
}

// orders runs the example, and gives what it prints.
func orders(t *testing.T, url string, args ...string) (out, problems string) {
	t.Helper()
	python, err := servers.FindPython(t.Context(), servers.Config{Log: func(text string) { t.Log(text) }}, []string{"psycopg2"}, "python3-psycopg2")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("orders.py")
	if err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	cmd := python.Command(t.Context(), append([]string{"-c", string(text)}, args...)...) // who runs it may not read the folder
	cmd.Env = append(cmd.Env, "DATABASE_URL="+url)
	cmd.Stderr = &told
	printed, err := cmd.Output()
	if _, refused := errors.AsType[*exec.ExitError](err); err != nil && !refused {
		t.Fatal(err)
	}
	return string(printed), told.String()
}
