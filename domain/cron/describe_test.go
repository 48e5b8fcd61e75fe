package cron_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain/cron"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const describeFile = "testdata/describe.tsv"

// TestDescribe reads a table of dialect, expression (six fields have seconds), English and Japanese. With -update it
// rewrites the two languages: read what it wrote.
func TestDescribe(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(describeFile)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) < 60 {
		t.Errorf("%d cases, want 60", len(lines))
	}
	var got []string
	for _, line := range lines {
		columns := strings.Split(line, "\t")
		spec := parse(t, columns[1], cron.Dialect(columns[0]))
		got = append(got, strings.Join([]string{columns[0], columns[1], spec.Describe(cron.English), spec.Describe(cron.Japanese)}, "\t"))
	}
	if *update {
		if err := os.WriteFile(describeFile, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(lines, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDocument holds the examples of docs/cron.md.
func TestDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/cron.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| `(.+)` \\| (.+) \\|$").FindAllStringSubmatch(string(text), -1)
	if len(examples) < 8 {
		t.Errorf("%d examples", len(examples))
	}
	for _, e := range examples {
		if got := parse(t, e[2], cron.Dialect(e[1])).Describe(cron.English); got != e[3] {
			t.Errorf("%s, %s: %s, want %s", e[1], e[2], got, e[3])
		}
	}
}

func TestDescribeIn(t *testing.T) {
	t.Parallel()
	spec := parse(t, "30 9 * * mon-fri", cron.Celery)
	for language, want := range map[cron.Language]string{
		cron.English:  "At 09:30, Monday to Friday, Asia/Tokyo",
		cron.Japanese: "月曜日から金曜日、09:30、Asia/Tokyo",
		"tlh":         "At 09:30, Monday to Friday, Asia/Tokyo", // a language nobody taught it
	} {
		if got := spec.DescribeIn(language, "Asia/Tokyo"); got != want {
			t.Errorf("%s: %s, want %s", language, got, want)
		}
	}
	if got := (cron.Spec{}).Describe(cron.English); got != "Never" {
		t.Errorf("the zero Spec: %s", got)
	}
}

// TestDescribeIsExact holds that two expressions that read the same are due at the same times, in every language.
func TestDescribeIsExact(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(20260301, 3))
	seen := map[string][]string{}
	for range 20_000 {
		dialect := cron.Dialects[r.IntN(4)]
		// One field in two is *, so that different expressions often mean the same.
		fields := strings.Fields(first(random(r, dialect)))
		for i := range fields {
			if r.IntN(2) == 0 && fields[i] != "?" {
				fields[i] = "*"
			}
		}
		expression := strings.Join(fields, " ")
		spec, err := cron.Parse(expression, cron.Options{Dialect: dialect})
		if err != nil {
			continue
		}
		dues := duesOf(spec)
		for _, language := range []cron.Language{cron.English, cron.Japanese} {
			text := spec.Describe(language)
			if earlier, ok := seen[text]; ok && !slices.Equal(earlier, dues) {
				t.Fatalf("%s (%s) is %q, which another expression with other due times is too", expression, dialect, text)
			}
			seen[text] = dues
		}
	}
}

func first(text string, _ rule) string { return text }

// duesOf are due times spread over 30 years.
func duesOf(spec cron.Spec) (dues []string) {
	schedule := spec.In(time.UTC, "", "")
	for at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2030; at = at.Add(1997*time.Hour + 13*time.Minute) {
		due, _ := schedule.Next(at)
		dues = append(dues, fmt.Sprint(due.Unix()))
	}
	return dues
}

func parse(t testing.TB, expression string, dialect cron.Dialect) cron.Spec {
	t.Helper()
	spec, err := cron.Parse(expression, cron.Options{Dialect: dialect, Seconds: len(strings.Fields(expression)) == 6 && dialect != cron.AWS})
	if err != nil {
		t.Fatal(err)
	}
	return spec
}
