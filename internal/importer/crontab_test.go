package importer_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestCrontab(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	text, err := os.ReadFile("testdata/crontab.txt")
	if err != nil {
		t.Fatal(err)
	}
	options := importer.CrontabOptions{Task: "app.run", Timezone: "UTC"}
	equal(t, bring(t, pool, importer.Crontab, crontab(t, string(text), options), "UTC"),
		"cron /usr/bin/report --all 85839efa | new | 0 9 13 * 5 Asia/Tokyo",
		"cron date +%F a43a1adc | new | */5 * * * * Asia/Tokyo",
		"cron backup 54d00d86 | new | 0 0 * * * Asia/Tokyo",
		"cron warm-up b64f4598 | refused | @reboot Asia/Tokyo | trigger_unsupported",
		"cron broken f526795c | refused | 0 9 * * 8 Asia/Tokyo | cron_syntax at /cron_expression",
		"cron backup 54d00d86 (2) | new | 0 10 * * * Asia/Tokyo")
	edited := crontab(t, strings.Replace(string(text), "0 10", "30 10", 1), options)
	again := bring(t, pool, importer.Crontab, edited, "UTC")
	if want := `cron backup 54d00d86 (2) | changed | 30 10 * * * Asia/Tokyo | cron_expression: "0 10 * * *" -> "30 10 * * *"`; again[5] != want || !strings.Contains(again[0], "| same |") {
		t.Errorf("got %s\nwant %s", strings.Join(again, "\n"), want)
	}
	date := named(t, pool, "cron date +%F a43a1adc")
	if want := `["date +%F"] {"env":{"MAILTO":"","PATH":"/usr/bin:/bin"},"stdin":"first line\nsecond line"} vixie`; fmt.Sprintf("%s %s %s", date.Args, date.Kwargs, date.CronDialect) != want {
		t.Errorf("%s %s %s, want %s", date.Args, date.Kwargs, date.CronDialect, want)
	}
}

// TestCrontabLines reads lines that can be taken for two things.
func TestCrontabLines(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	isUser := func(name string) bool { return name == "www-data" || name == "sun" }
	for _, c := range []struct {
		line    string
		options importer.CrontabOptions
		want    string
	}{
		{
			"0 9 * * * www-data  tidy up",
			importer.CrontabOptions{System: &yes},
			`0 9 * * * ["tidy up"] {"user":"www-data"} `,
		},
		{"0 9 * * * www-data  tidy up", importer.CrontabOptions{System: &no}, `0 9 * * * ["www-data  tidy up"] {} `},
		{"0 9 * * * www-data  tidy up", importer.CrontabOptions{}, `0 9 * * * ["www-data  tidy up"] {} system_unknown`},
		{"0 9 * * * www-data", importer.CrontabOptions{}, `0 9 * * * ["www-data"] {} `},
		{"@daily www-data tidy", importer.CrontabOptions{System: &yes}, `@daily ["tidy"] {"user":"www-data"} `},
		{"\ufeff*/6 * * * * * echo", importer.CrontabOptions{}, `*/6 * * * * ["* echo"] {} cron_syntax`},
		{"*/6 * * * * * echo", importer.CrontabOptions{Seconds: &yes}, `*/6 * * * * * ["echo"] {} `},
		{"*/6 * * * * * echo", importer.CrontabOptions{Seconds: &no}, `*/6 * * * * ["* echo"] {} `},
		{"*/6 * * * * * root echo", importer.CrontabOptions{System: &yes}, `*/6 * * * * ["* root echo"] {} cron_syntax`},
		{"*/6 * * * * * www-data echo", importer.CrontabOptions{System: &yes, Seconds: &yes}, `*/6 * * * * * ["echo"] {"user":"www-data"} `},
		{"0 5 9 * * mon-fri echo", importer.CrontabOptions{}, `0 5 9 * * ["mon-fri echo"] {} cron_syntax`},
		{"0 5 9 * * Mon,WED,5 echo", importer.CrontabOptions{}, `0 5 9 * * ["Mon,WED,5 echo"] {} cron_syntax`},
		{"0 5 9 * * sunday", importer.CrontabOptions{}, `0 5 9 * * ["sunday"] {} cron_syntax`},
		{"0 5 9 * * friL echo", importer.CrontabOptions{}, `0 5 9 * * ["friL echo"] {} cron_syntax`},
		{"0 5 9 * * mon#2 echo", importer.CrontabOptions{}, `0 5 9 * * ["mon#2 echo"] {} cron_syntax`},
		{"0 5 9 1 * ? echo", importer.CrontabOptions{}, `0 5 9 1 * ["? echo"] {} cron_syntax`},
		{"0 5 9 * * 5L 2027 echo", importer.CrontabOptions{}, `0 5 9 * * ["5L 2027 echo"] {} cron_syntax`},
		{"0 5 9 * * monitor echo", importer.CrontabOptions{}, `0 5 9 * * ["monitor echo"] {} `},
		{"0 5 9 * * sun echo", importer.CrontabOptions{System: &yes}, `0 5 9 * * ["echo"] {"user":"sun"} `}, // who is a user
		{"0 5 9 * * sun-report", importer.CrontabOptions{}, `0 5 9 * * ["sun-report"] {} `},
		{"0 9 * * * 7zip a", importer.CrontabOptions{}, `0 9 * * * ["7zip a"] {} `},
	} {
		c.options.IsUser = isUser
		e := crontab(t, c.line, c.options)[0]
		reason, _, _ := strings.Cut(e.Refused, ":")
		if got := fmt.Sprintf("%s %s %s %s", e.Definition.CronExpression, e.Definition.Args, e.Definition.Kwargs,
			reason); got != c.want {
			t.Errorf("%q: got %s, want %s", c.line, got, c.want)
		}
	}
}

// TestLinesThatCronRefuses has lines that cron never ran, which come in only if that is accepted, and others.
func TestLinesThatCronRefuses(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	for line, refused := range map[string]bool{
		"0 22-2 * * * a": true, "0 0 L * * b": true, "0 9 ? * * c": true, "5/10 * * * * d": true, "0 0 15W * * e": true,
		"0 9 * * 5#2 f": true, "*/5 0-23/2 1,15 jan-mar mon-fri g": false, "0 9 * * sun,1-5/2 h": false, "@daily i": false,
		"0 9 * * 7 j": false, "0 9 * * fri-sun k": true, "0 9 * * sat-mon l": true, "0 9 1 nov-feb * m": true,
		"0 9 1 JAN-dec Sun-sat n": false,
	} {
		entries := crontab(t, line, importer.CrontabOptions{Task: "t", Timezone: "UTC"})
		told := bringFrom(t, pool, importer.Source{Kind: importer.Crontab, Label: line}, entries, "UTC")[0]
		if strings.Contains(told, "| refused |") != refused || strings.HasSuffix(told, "| cron_refuses") != refused {
			t.Errorf("%q: %s", line, told)
		}
		told = bringFrom(t, pool, importer.Source{Kind: importer.Crontab, Label: line}, entries, "UTC", "cron_refuses")[0]
		if want := map[bool]string{true: "| new |", false: "| same |"}[refused]; !strings.Contains(told, want) {
			t.Errorf("%q, accepted: %s", line, told)
		}
	}
}

// TestFilesThatMayNameUsers reads lines that are understood by the rest of their file: the users may be another host's.
func TestFilesThatMayNameUsers(t *testing.T) {
	t.Parallel()
	options := importer.CrontabOptions{
		IsUser:    func(name string) bool { return name == "root" },
		IsProgram: func(name string) bool { return name == "cd" || name == "php" },
	}
	for text, want := range map[string]bool{
		"PATH=/bin\n0 9 * * * root x\n0 9 * * * deploy y\n0 9 * * * app cd /srv\n": true,
		"0 9 * * * deploy y\n0 9 * * * php x\n0 9 * * * root x\n":                  true,
		"# of another host\n0 9 * * * deploy y\n@daily app z a\n":                  true,
		"0 9 * * * deploy y\n0 9 * * * php artisan\n":                              false,
		"0 9 * * * deploy y\n0 9 * * * ./run it\n":                                 false,
		"0 9 * * * deploy\n":           false,
		"0 9 * * * cd /srv && run\n":   false,
		"0 9 * * * Deploy the thing\n": false,
	} {
		for _, e := range crontab(t, text, options) {
			if refused := strings.HasPrefix(e.Refused, "system_unknown"); refused != want {
				t.Errorf("%q: %s is refused: %v (%s)", text, e.Definition.Args, refused, e.Refused)
			}
		}
		no := options
		no.System = new(bool)
		for _, e := range crontab(t, text, no) {
			if e.Refused != "" {
				t.Errorf("%q, which names no users: %s", text, e.Refused)
			}
		}
	}
}
