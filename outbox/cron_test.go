package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// reading is what comes of an expression: its canonical form, its zone, its interval, or the code of its fault.
type reading struct {
	Canonical, Zone string
	Every           float64
	Code            string
}

func readByGo(expression string, seconds bool, dialect string) (r reading) {
	spec, err := cron.Parse(expression, cron.Options{Dialect: cron.Dialect(dialect), Seconds: seconds})
	if e, ok := errors.AsType[*cron.Error](err); ok {
		return reading{Code: e.Code}
	}
	if every, ok := spec.Every(); ok {
		return reading{Zone: spec.Zone(), Every: every.Seconds()}
	}
	return reading{Canonical: spec.String(), Zone: spec.Zone()}
}

func readBySQL(t interface{ Fatalf(string, ...any) }, pool *pgxpool.Pool, expression string, seconds bool, dialect string) (r reading) {
	err := pool.QueryRow(context.Background(), `select coalesce(canonical, ''), case when fault is null then coalesce(zone, '') else '' end, coalesce(every, 0)::float8, coalesce(fault->>'code', '')
		from tactus.cron_read($1, $2, $3)`, expression, seconds, dialect).Scan(&r.Canonical, &r.Zone, &r.Every, &r.Code)
	if err != nil {
		t.Fatalf("%q: %v", expression, err)
	}
	return r
}

// TestSQLReadsCronAsTheEngineDoes holds the two parsers against each other, in both directions, on expressions that are
// nearly right.
func TestSQLReadsCronAsTheEngineDoes(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	for _, c := range []string{
		"", " ", "* * * * *", "0 9 * * MON-FRI", "0 9 * * fri-mon", "@hourly", "@Daily", "@weekly x", "@every 90s", "@every 1h30m", "@every 1.5s", "@every -1s", "@every 0s",
		"@every .5s", "@every 1", "@every", "@every 1h 2m", "@never", "TZ=Asia/Tokyo 0 9 * * *", "CRON_TZ=X @daily", "TZ= 0 9 * * *", "TZ=Asia/Tokyo", "tz=X * * * * *",
		"0 9 L * *", "0 9 l-3 * *", "0 9 L-31 * *", "0 9 LW * *", "0 9 WL * *", "0 9 15w * *", "0 9 0W * *", "0 9 32W * *", "0 9 L-x * *", "0 9 * * L", "0 9 * * 5L",
		"0 9 * * friL", "0 9 * * 7L", "0 9 * * 5#3", "0 9 * * fri#6", "0 9 * * 8#1", "0 9 * * 5#", "0 9 * * #5", "0 9 * * 0-7", "0 9 * * 7", "0 9 * * 5-7", "0 9 * * 7-2", "0 9 * * 7/2",
		"0 9 31 2 *", "0 9 30 2 *", "0 9 29 2 *", "0 9 29 2 1", "0 9 31 4,6 *", "0 9 L-30 2 *", "0 9 L-28 2 *", "0 9 L-29 2 *", "0 9 LW * 6", "0 9 15W * 0", "0 9 31W 2 *", "0 9 31W 4 *",
		"0 9 30 2 5#5", "0 9 * 2 5#5", "0 9 8-14 * 5#1", "0 9 1-7 * 5#1", "0 9 1 * 5L", "0 9 31 2 5", "0 9 ? * ?", "*/7 */999 * * *", "*/0 * * * *", "*/1000 * * * *", "*/ * * * *", "/5 * * * *",
		"1//2 * * * *", "1-2-3 * * * *", "1- * * * *", "-1 * * * *", ",1 * * * *", "1, * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * 0 *", "* * * jan,FEBRUARY,Dec *",
		"22-2 * * * *", "5/10 * * * *", "5/1 * * * *", "5-5/2 * * * *", "*/1 * * * *", "01 009 * * *", "0001 * * * *", "* * * *", "* * * * * *", "0 0 0 0 0 0", "0\t9\t*\t*\t*", "0 9 * * *\n", "0\u00a09 * * *", "０ 9 * * *",
		"0 9 * * ma", "0 9 * * tues", "é 9 * * *", "0 9 * * K", "* * 31 2 1-5", "0 0 1-31 * 1", "0 0 */2 * 1",
	} {
		for _, dialect := range []string{"celery", "vixie"} {
			for _, seconds := range []bool{false, true} {
				if want, got := readByGo(c, seconds, dialect), readBySQL(t, pool, c, seconds, dialect); want != got {
					t.Errorf("%q (%s, %v): the engine %+v, SQL %+v", c, dialect, seconds, want, got)
				}
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		seconds, dialect := rapid.Bool().Draw(t, "seconds"), rapid.SampledFrom([]string{"celery", "vixie"}).Draw(t, "dialect")
		expression := drawCron(t, seconds)
		if want, got := readByGo(expression, seconds, dialect), readBySQL(t, pool, expression, seconds, dialect); want != got {
			t.Fatalf("%q (%s, %v): the engine %+v, SQL %+v", expression, dialect, seconds, want, got)
		}
	})
}

// drawCron draws an expression whose every item is likely, but not certain, to be right.
func drawCron(t *rapid.T, seconds bool) string {
	value := rapid.OneOf(
		rapid.Map(rapid.IntRange(0, 62), func(n int) string { return fmt.Sprint(n) }),
		rapid.SampledFrom([]string{"*", "?", "1", "2", "L", "LW", "L-3", "L-29", "15W", "31W", "5L", "5#3", "1#5", "mon", "Sunday", "feb", "FEB", "30", "31", "29", "7", "0", "", "-", "x"}),
	)
	item := rapid.Custom(func(t *rapid.T) string {
		text := value.Draw(t, "value")
		if rapid.IntRange(0, 3).Draw(t, "range") == 0 {
			text += "-" + value.Draw(t, "to")
		}
		if rapid.IntRange(0, 4).Draw(t, "step") == 0 {
			text += "/" + rapid.SampledFrom([]string{"2", "5", "0", "40", "1", "x"}).Draw(t, "by")
		}
		return text
	})
	field := rapid.Map(rapid.SliceOfN(item, 1, 2), func(items []string) string { return strings.Join(items, ",") })
	count := 5
	if seconds {
		count = 6
	}
	fields := rapid.SliceOfN(field, count, count).Draw(t, "fields")
	for i := range fields { // most are of no interest, or nothing would be right
		if rapid.IntRange(0, 2).Draw(t, "plain") > 0 {
			fields[i] = rapid.SampledFrom([]string{"*", "1", "2", "*/2", "1-3"}).Draw(t, "field")
		}
	}
	return strings.Join(fields, " ")
}
