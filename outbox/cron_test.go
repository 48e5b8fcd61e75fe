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
		"0 9 L-3W * *", "0 9 l-0w * *", "0 9 L-30W 2 *", "0 9 L-31W * *", "0 9 L-W * *", "0 9 L-3ww * *",
		// Quartz and AWS.
		"0 0 12 * * ?", "0 0 12 ? * MON-FRI", "0 0 12 ? * 2-6", "0 0 12 ? * 1", "0 0 12 ? * 0", "0 0 12 ? * 8", "0 0 12 ? * L", "0 0 12 ? * l,2", "0 0 12 ? * 6L", "0 0 12 ? * friL",
		"0 0 12 ? * 6#3,1#5", "0 0 12 ? * 0#3", "0 0 12 ? * 6-2", "0 0 12 ? * 6/2", "0 0 12 ? * /2", "0 /5 * * * ?", "0 / * * * ?", "0 0 12 5C * ?", "0 0 12 ? * ?", "0 0 12 * * *",
		"0 ? 12 * * ?", "0 0 12 1,? * ?", "0 0 12 ?/2 * *", "0 0 12 L-3W * ?", "0 0 12 * * ? *", "0 0 12 * * ? 2027", "0 0 12 * * ? 2027-2030,2040", "0 0 12 * * ? 2030-2027",
		"0 0 12 * * ? 2027/2", "0 0 12 * * ? /2", "0 0 12 * * ? */7", "0 0 12 * * ? /1", "0 0 12 * * ? *,2027", "0 0 12 * * ? 1969", "0 0 12 * * ? 2100", "0 0 12 * * ? 2200", "0 0 12 * * ? 27", "0 0 12 * * ? ?",
		"0 0 0 29 2 ? 2027", "0 0 0 29 2 ? 2027-2029", "0 0 0 29 2 ? 2100", "0 0 0 ? 2 1#5 2026", "0 0 0 ? 2 7#5 2027-2040", "0 0 0 31 4 ? 2027", "0 0 0 L-30 4,6 ? 2027", "0 0 0 ? 1 2 2027",
		"0 12 * * ? *", "0 12 ? * L 2026", "0 12 * * ? 2199", "0 12 * * ? 2200", "0 12 29 2 ? 2027", "cron(0 12 * * ? *)", " CRON( 0 12 ? * MON-FRI  * ) ", "cron(0 12 * * ?)", "cron(0 12 * * ? *", "cron (0 12 * * ? *)",
		"cron(0 12 * * ? *) x", "cron()", "cron(", "(0 12 * * ? *)", "x(0 12 * * ? *)", "TZ=Asia/Tokyo cron(0 12 * * ? *)", "TZ=Asia/Tokyo", "TZ=A(b 0 12 * * ? *", "rate(5 minutes)", "rate(1 minute)", "Rate( 1  HOURS )", "rate(0 days)",
		"rate(99999 days)", "rate(100000 days)", "rate(1.5 hours)", "rate(5)", "rate(5 minutess)", "rate(-5 minutes)", "at(2026-11-20T13:00:00)", "at( 2026-11-20T13:00:00 )", "at(2026-02-29T13:00:00)", "at(2028-02-29T13:00:00)",
		"at(2026-11-20T24:00:00)", "at(2026-11-20T13:00:00Z)", "at(2026-11-20 13:00:00)", "at(2026-11-20T13:00)", "at(2026-11-20T13:00:00.5)", "at(0000-02-29T00:00:00)",
	} {
		for _, dialect := range []string{"celery", "vixie", "quartz", "aws"} {
			for _, seconds := range []bool{false, true} {
				if want, got := readByGo(c, seconds, dialect), readBySQL(t, pool, c, seconds, dialect); want != got {
					t.Errorf("%q (%s, %v): the engine %+v, SQL %+v", c, dialect, seconds, want, got)
				}
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		seconds, dialect := rapid.Bool().Draw(t, "seconds"), rapid.SampledFrom([]string{"celery", "vixie", "quartz", "aws"}).Draw(t, "dialect")
		expression := drawCron(t, seconds)
		if dialect == "quartz" || dialect == "aws" {
			seconds = false
			expression = drawStrict(t, dialect)
		}
		if want, got := readByGo(expression, seconds, dialect), readBySQL(t, pool, expression, seconds, dialect); want != got {
			t.Fatalf("%q (%s, %v): the engine %+v, SQL %+v", expression, dialect, seconds, want, got)
		}
	})
}

// drawStrict draws an expression of Quartz or AWS, in whose day fields a ? is likely to be where it must.
func drawStrict(t *rapid.T, dialect string) string {
	fields := strings.Fields(drawCron(t, dialect == "quartz"))
	dow := len(fields) - 1
	if rapid.IntRange(0, 9).Draw(t, "question") > 0 {
		fields[rapid.SampledFrom([]int{dow, dow - 2}).Draw(t, "day field")] = "?"
	}
	if dialect == "aws" || rapid.Bool().Draw(t, "with a year") {
		fields = append(fields, rapid.SampledFrom([]string{"*", "*", "2027", "2026-2030", "2027/4", "*/3", "2029,2031", "2101", "27", "?", "2030-2027", "/2"}).Draw(t, "year"))
	}
	text := strings.Join(fields, " ")
	if dialect == "aws" && rapid.Bool().Draw(t, "called") {
		text = "cron(" + text + ")"
	}
	return text
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
