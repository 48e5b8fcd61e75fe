package outbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// comparedRoutes compares each name with each pattern, as the first version of tactus.route_of did.
const comparedRoutes = `
select name, coalesce((select r.pattern from tactus.routes r where r.pattern = name and r.pattern !~ '[*?]' and r.deleted_at is null),
    (select r.pattern from tactus.routes r where r.pattern ~ '[*?]' and r.deleted_at is null
        and name like replace(replace(replace(replace(replace(r.pattern, '!', '!!'), '%', '!%'), '_', '!_'), '*', '%'), '?', '_') escape '!'
        order by length(r.pattern) desc, r.pattern collate "C" limit 1), ''),
    coalesce((tactus.route_of(name)).pattern, '')
from unnest($1::text[]) as name`

// TestRoutesByTheirBeginnings compares tactus.route_of with a search that looks at every pattern, for random patterns
// and names of few characters, among them those that have a meaning to LIKE.
func TestRoutesByTheirBeginnings(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	text := func(alphabet string) string {
		characters, b := []rune(alphabet), strings.Builder{}
		for range 1 + r.IntN(7) {
			b.WriteRune(characters[r.IntN(len(characters))])
		}
		return b.String()
	}
	for range 400 {
		pattern := text(`ab.é!%_\***???`)
		putRoutes(t, pool, domain.Route{Pattern: pattern, Queue: "q"})
		if r.IntN(4) == 0 {
			if err := outbox.DeleteRoute(t.Context(), pool, pattern); err != nil {
				t.Fatal(err)
			}
		}
	}
	names := []string{"", strings.Repeat("a", 300), strings.Repeat("é", 201)}
	for range 3000 {
		names = append(names, text(`aab.é!%_\*?`))
	}
	rows, err := pool.Query(t.Context(), comparedRoutes, names)
	if err != nil {
		t.Fatal(err)
	}
	var name, want, got string
	routed := map[string]bool{}
	if _, err := pgx.ForEachRow(rows, []any{&name, &want, &got}, func() error {
		routed[want] = true
		if got != want {
			t.Errorf("%q goes by %q, want %q", name, got, want)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(routed) < 20 {
		t.Errorf("only the routes %v were found: the test is weak", routed)
	}
}

// TestNoRouteCanFail writes what no program of ours does into a row, and looks routes up.
func TestNoRouteCanFail(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	putRoutes(t, pool, domain.Route{Pattern: "app.*", Queue: "ours"})
	for _, sql := range []string{
		`insert into tactus.routes (pattern, version, matches, source, queue, ignore_result, updated_at) values ('app.x*', 1, 'app.x!', '', 'theirs', false, now())`,
		`insert into tactus.routes (pattern, version, matches, source, queue, ignore_result, updated_at) values ('app!', 1, 'app!', '', 'theirs', false, now())`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Log(err) // refused: as good
		}
	}
	routes, err := outbox.RoutesOf(t.Context(), pool, []string{"app.y", "app.x"})
	if err != nil || routes["app.y"].Queue != "ours" {
		t.Errorf("%+v, %v", routes, err)
	}
}

// TestRoutesCostTheSame looks the routes of tasks up among few and among many: names, and patterns with different
// beginnings.
func TestRoutesCostTheSame(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	for n := range 10 {
		putRoutes(t, pool, domain.Route{Pattern: fmt.Sprintf("app%d.*", n), Queue: "q"}, domain.Route{Pattern: fmt.Sprintf("app%d.task", n), Queue: "q"})
	}
	few := lookUp(t, pool)
	fillRoutes(t, pool, 9000-10, 1000-10)
	many := lookUp(t, pool)
	t.Logf("a look-up reads %d blocks among 20 routes, and %d among 10,000", few, many)
	if few == 0 || many > 5*few {
		t.Errorf("it reads %d blocks among 20 routes, and %d among 10,000", few, many)
	}
	if _, err := pool.Exec(t.Context(), `update tactus.routes set deleted_at = now() where beginning is not null;
		insert into tactus.routes (pattern, version, source, queue, ignore_result, updated_at)
		select format('*t%s*', n), 1, '', 'q', false, now() from generate_series(1, 1000) n`); err != nil {
		t.Fatal(err)
	}
	if worst := lookUp(t, pool); worst > 300 {
		t.Errorf("it reads %d blocks among 1,000 patterns that any name may match", worst)
	} else {
		t.Logf("%d among 1,000 patterns that any name may match", worst)
	}
}

// fillRoutes adds routes with a statement.
func fillRoutes(t *testing.T, pool *pgxpool.Pool, names, patterns int) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), `
insert into tactus.routes (pattern, version, source, queue, ignore_result, updated_at)
select format('app.module%s.task', n), 1, '', 'q', false, now() from generate_series(1, $1) n
union all select format('app.other%s.*', n), 1, '', 'q', false, now() from generate_series(1, $2) n`, names, patterns); err != nil {
		t.Fatal(err)
	}
}

// lookUp returns how many blocks a look-up reads: a first one has planned the function's statement before.
func lookUp(t *testing.T, pool *pgxpool.Pool) int {
	t.Helper()
	const lookUps = 1000
	var explained []struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		}
	}
	for range 2 {
		var text []byte
		if err := pool.QueryRow(t.Context(), fmt.Sprintf(`explain (analyze, buffers, format json)
			select count((tactus.route_of('app.other' || n || '.task')).pattern) from generate_series(1, %d) n`, lookUps)).Scan(&text); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &explained); err != nil {
			t.Fatal(err)
		}
	}
	return (explained[0].Plan.Hit + explained[0].Plan.Read) / lookUps
}

// TestRoutesAreBounded has as many routes as there may be, and then one more of each kind.
func TestRoutesAreBounded(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	fillRoutes(t, pool, 8999, 1000)
	more := func(pattern string) error {
		_, err := outbox.PutRoute(t.Context(), pool, domain.Route{Pattern: pattern, Queue: "other"}, "", nil)
		return err
	}
	if err := more("one.more.*"); !errors.Is(err, domain.ErrTooManyRoutes) {
		t.Errorf("a pattern beyond the limit: %v", err)
	}
	if err := more("one.more"); err != nil {
		t.Errorf("a name within the limit: %v", err)
	}
	if err := more("two.more"); !errors.Is(err, domain.ErrTooManyRoutes) {
		t.Errorf("a name beyond the limit: %v", err)
	}
	for _, pattern := range []string{"one.more", "app.other1.*"} {
		if err := more(pattern); err != nil {
			t.Errorf("a change of what is there: %v", err)
		}
	}
	if err := outbox.DeleteRoute(t.Context(), pool, "app.other1.*"); err != nil {
		t.Fatal(err)
	}
	if err := more("one.more.*"); err != nil {
		t.Errorf("in the place of one that was deleted: %v", err)
	}
	if err := more("app.other1.*"); !errors.Is(err, domain.ErrTooManyRoutes) {
		t.Errorf("one that was deleted, and is beyond the limit now: %v", err)
	}
}

// TestARouteAddsLittle has a route whose queue has six megabytes, which somebody wrote by hand: that is refused. One
// that is older than the bound adds nothing to a task, and can be deleted.
func TestARouteAddsLittle(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	long := strings.Repeat("q", 6_000_000)
	if err := (domain.Route{Pattern: "app.task", Queue: long}).Check(nil); err == nil {
		t.Error("the domain takes it")
	}
	putRoutes(t, pool, domain.Route{Pattern: "app.task", Queue: "q"})
	if _, err := pool.Exec(t.Context(), `update tactus.routes set queue = $1`, long); err == nil {
		t.Error("a hand can write it")
	}
	if _, err := pool.Exec(t.Context(), `alter table tactus.routes drop constraint routes_short`); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `update tactus.routes set queue = $1`, long); err != nil {
		t.Fatal(err)
	}
	var size int
	if err := pool.QueryRow(t.Context(), `select octet_length(tactus.routed(d, d)::text) from (select '{"task_name":"app.task"}'::json d) one`).Scan(&size); err != nil || size > 1000 {
		t.Errorf("a task has %d bytes, %v", size, err)
	}
	if _, err := pool.Exec(t.Context(), `alter table tactus.routes add constraint routes_short check (deleted_at is not null or octet_length(queue) <= 1024) not valid`); err != nil {
		t.Fatal(err)
	}
	if err := outbox.DeleteRoute(t.Context(), pool, "app.task"); err != nil {
		t.Errorf("it cannot be deleted: %v", err)
	}
}
