package notify_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/deadletter"
	"github.com/tactus-dev/tactus/internal/notify"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// everyTable selects each table with a row that contains a text; a partition counts as its table.
const everyTable = `
do $$
declare one regclass; found bigint;
begin
    create temporary table seen (name text) on commit drop;
    for one in select oid from pg_class where relnamespace = 'tactus'::regnamespace and relkind in ('r', 'p') and not relispartition loop
        execute format('select count(*) from %s x where x::text like ''%%hush%%''', one) into found;
        if found > 0 then insert into seen values (one::text); end if;
    end loop;
end $$`

// TestSecretsAreInOneTable makes rules with secret addresses, headers and keys, whose notifications are sent, refused
// and set aside; then it changes and deletes the rules. The secrets are in one table, and neither in another one nor in
// the log.
func TestSecretsAreInOneTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "127.0.0.0/8")
	to := receive(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "gone") {
			w.WriteHeader(http.StatusGone)
		}
	})
	const rest = `"on":["failed"],"headers":{"Authorization":"Bearer hush"}`
	w.rule("taken", `{"to":"http","url":"`+to.url+`/hush?token=hush",`+rest+`}`)
	w.rule("gone", `{"to":"http","url":"`+to.url+`/hush/gone",`+rest+`}`)
	w.rule("closed", `{"to":"http","url":"http://ann:hush@127.0.0.1:1/hush",`+rest+`}`)
	w.rule("private", `{"to":"http","url":"http://10.255.255.1/hush",`+rest+`}`)
	w.rule("signed", `{"on":["failed"],"to":"webhook","url":"`+to.url+`/hush","secret":"whsec_aHVzaGh1c2hodXNoaHVzaGh1c2hodXNoaHVzaA=="}`)
	w.ends(w.schedule("s"), "failed", "")
	testenv.Eventually(t, "one is set aside, one is refused", func() error {
		letters, err := w.box().List(t.Context(), deadletter.Filter{})
		if err == nil && len(letters) == 0 {
			err = fmt.Errorf("%d letters", len(letters))
		}
		for _, name := range []string{"closed", "private"} {
			tested := notify.Tested{}
			if err == nil {
				tested, err = w.rules.Test(t.Context(), name)
			}
			if err == nil && tested.Outcome != "failed" {
				err = fmt.Errorf("%s: %+v", name, tested)
			}
			if strings.Contains(tested.Error, "hush") {
				t.Errorf("%+v", tested)
			}
		}
		return err
	})
	if _, codes := w.put("taken", `{"to":"http","url":"`+to.url+`/other/hush",`+rest+`}`); codes != nil {
		t.Errorf("%v", codes)
	}
	if strings.Contains(w.logs.String(), "hush") {
		t.Errorf("the log: %s", w.logs)
	}
	var seen []string
	err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), everyTable); err != nil {
			return err
		}
		return tx.QueryRow(t.Context(), `select array_agg(name) from seen`).Scan(&seen)
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen, []string{"tactus.notification_secrets"}) {
		t.Errorf("secrets are in %q", seen)
	}
}
