package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// forms are all forms of all URLs, good and broken, with what must never be seen marked by SECRET.
var forms = map[string][]string{
	"DATABASE_URL": {
		"postgres://ann:SECRET@127.0.0.1:1/db?connect_timeout=1",
		"postgres://ann@127.0.0.1:1/db?password=SECRET",
		"postgres://ann@127.0.0.1:1/db?sslmode=disable&sslpassword=SECRET&password=SECRET",
		"postgresql://ann:SECRET@127.0.0.1:1,127.0.0.1:2/db",
		"postgres:///db?host=/nowhere&password=SECRET",
		"host=127.0.0.1 port=1 user=ann password=SECRET dbname=db",
		`host=127.0.0.1 port=1 user=ann password='SECRET SE\'CRET' sslpassword = SECRET`,
		"postgres://ann:SECRET/SECRET@127.0.0.1:1/db",
		"postgres://ann:12?SECRET@127.0.0.1:1/db",
		"postgres://ann:12/SECRET@127.0.0.1:1/db",
		"postgres://ann:SECRET#SECRET@127.0.0.1:1/db",
		"postgres://ann:SECRET%zzSECRET@127.0.0.1:1/db",
		"postgres://ann:SECRET@127.0.0.1:SECRET/db",
		"postgres://ann:SECRET`: SECRET@127.0.0.1:x/db",
		"postgres://ann@127.0.0.1:1/db?password=SECRET&sslmode=SECRET",
		"host=127.0.0.1 password=SECRET SECRET port=x",
		"postgres://ann:a@SECRET@127.0.0.1:1/db",
		"postgres://ann:a@SECRET/SECRET@127.0.0.1:1/db",
		"postgres://ann:a@SECRET?SECRET@127.0.0.1:1/db",
		"postgres://ann:a@SECRET#SECRET@127.0.0.1:1/db",
		"postgres://ann:a@SECRET%40127.0.0.1:1/db",
		"postgres://ann:a@127.0.0.1:1,SECRET@127.0.0.1:1/db",
		"host=SECRET@127.0.0.1 port=1 user=ann",
		"password=SECRET SECRET",
		"SECRET",
	},
	"REDIS_URL": {
		"redis://:SECRET@127.0.0.1:1/0", "redis://ann:SECRET@127.0.0.1:1",
		"rediss://ann:SECRET@127.0.0.1:1/0?ssl_cert_reqs=none",
		"redis://127.0.0.1:1/0?password=SECRET", "redis://SECRET@127.0.0.1:1/0",
		"unix://ann:SECRET@/nowhere.sock?db=1", "unix:///nowhere.sock?password=SECRET",
		"redis+sentinel://ann:SECRET@127.0.0.1:1,127.0.0.1:2/main/0?sentinel_password=SECRET",
		"rediss+sentinel://ann:SECRET@127.0.0.1:1/main?sentinel_username=ann&sentinel_password=SECRET@SECRET",
		"redis+cluster://ann:SECRET@127.0.0.1:1,127.0.0.1:2",
		"sentinel://:SECRET@127.0.0.1:1/0;sentinel://:SECRET@127.0.0.1:2/0",
		"redis://:SECRET/SECRET@127.0.0.1:1/0", "redis://:12/SECRET@127.0.0.1:1/0",
		"redis://:SECRET?SECRET@127.0.0.1:1/0", "redis://:12?SECRET@127.0.0.1:1/0",
		"redis://:SECRET;SECRET@127.0.0.1:1/0", "redis://:SECRET#SECRET@127.0.0.1:1/0",
		"redis://:SECRET%zz@127.0.0.1:1/0",
		"redis+sentinel://:SECRET/SECRET@127.0.0.1:1/main", "redis+cluster://ann:SECRET/SECRET@127.0.0.1:1",
		"redis+cluster://ann:12/SECRET@127.0.0.1:1",
		"redis://:a@SECRET@127.0.0.1:1/0", "redis://:a@SECRET/SECRET@127.0.0.1:1/0",
		"redis://:a@SECRET?SECRET@127.0.0.1:1/0", "redis://:a@SECRET#SECRET@127.0.0.1:1/0",
		"redis+sentinel://:a@SECRET@127.0.0.1:1/main", "redis+cluster://:a@SECRET@127.0.0.1:1",
		"http://ann:SECRET@127.0.0.1", "ann:SECRET@127.0.0.1:1", "SECRET",
	},
	"TACTUS_URL": {
		"https://ann:SECRET@127.0.0.1:1", "https://SECRET@127.0.0.1:1", "http://:SECRET%zz@127.0.0.1:1",
		"http://ann:a@SECRET@127.0.0.1:1",
		"http://ann:a@SECRET/SECRET@127.0.0.1:1", "http://ann:12/SECRET@127.0.0.1:1",
		"http://127.0.0.1:1/?token=SECRET", "http://ann:SECRET@[::1:1",
		"SECRET:x@127.0.0.1:1", "ann:SECRET@127.0.0.1:1", "SECRET",
	},
}

// TestSecretsCannotBePrinted tries every way of printing on every form.
func TestSecretsCannotBePrinted(t *testing.T) {
	t.Parallel()
	for _, texts := range forms {
		for _, text := range texts {
			s := secretOf(text)
			var seen bytes.Buffer
			within := struct {
				Open   secret
				closed secret
				list   []secret
				m      map[string]any
			}{s, s, []secret{s}, map[string]any{"x": s}}
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p"} {
				fmt.Fprintf(&seen, verb+verb+verb, s, &s, within)
			}
			fmt.Fprint(&seen, s, within.closed, within.list)
			slog.New(slog.NewTextHandler(&seen, nil)).Info("x", "s", s, "within", within, "error", fmt.Errorf("%v", s))
			slog.New(slog.NewJSONHandler(&seen, nil)).Info("x", "s", s, "within", within)
			raw, err := json.Marshal(map[string]any{"s": s, "within": within})
			if err != nil {
				t.Fatal(err)
			}
			seen.Write(raw)
			if found := seen.String(); strings.Contains(found, "SECRET") ||
				strings.Contains(found, fmt.Sprintf("%x", "SECRET")) {
				t.Errorf("%s:\n%s", text, found)
			}
			if s.reveal() != text {
				t.Errorf("%q is revealed of %q", s.reveal(), text)
			}
		}
	}
	for text, want := range map[string]string{
		"postgres://ann:x@h:1/db?sslmode=disable": "postgres://xxxxx@h:1/db?xxxxx",
		"host=h port=1 user=ann password=x":       "host=h port=1 dbname=",
		"redis+sentinel://:x@a:1,[::1]:2/main/0":  "redis+sentinel://xxxxx@a:1,[::1]:2/main/0",
		"sentinel://:x@a:1/0;sentinel://:y@b:2/0": "sentinel://xxxxx@a:1/0;sentinel://xxxxx@b:2/0",
		"redis://h:6379/0":                        "redis://h:6379/0",
		"unix:///run/redis.sock?db=1":             "unix:///run/redis.sock?xxxxx",
		"redis://:a/b@h/0":                        hidden,
		"":                                        "",
	} {
		if got := secretOf(text).String(); got != want {
			t.Errorf("%q for %q, want %q", got, text, want)
		}
	}
}

// TestFaultsDoNotCiteSecrets gives commands settings that they cannot use.
func TestFaultsDoNotCiteSecrets(t *testing.T) {
	t.Parallel()
	for _, text := range forms["DATABASE_URL"] {
		for _, args := range [][]string{
			{"migrate", "--database-url", text},
			{"verify", "--database-url", text, "--redis-url", "redis://127.0.0.1:1"},
			{
				"relay", "--database-url", "postgres://127.0.0.1:1/x", "--redis-url", "redis://127.0.0.1:1",
				"--listen-url", text, "--http-addr=x",
			},
		} {
			if got := tactus(t, args...); got.code == exitOK || strings.Contains(got.out+got.problems, "SECRET") {
				t.Errorf("%v: %+v", args, got)
			}
		}
	}
	for _, text := range forms["REDIS_URL"] {
		s := secretOf(text)
		if _, err := redis.Connect(text); err != nil && strings.Contains(s.fault(err).Error(), "SECRET") {
			t.Errorf("%s: %v", text, s.fault(err))
		}
		const database = "--database-url=postgres://127.0.0.1:1/x"
		for _, args := range [][]string{
			{"verify", database, "--redis-url", text},
			{"redeliver", database, "--redis-url=redis://127.0.0.1:1", "--celery-broker-url", text},
			{"import", "redbeat", database, "--redbeat-redis-url", text},
			{"beat", database, "--redis-url=redis://127.0.0.1:1", "--celery-result-backend", text, "--http-addr=x"},
		} {
			if got := tactus(t, args...); got.code == exitOK || strings.Contains(got.out+got.problems, "SECRET") {
				t.Errorf("%v: %+v", args, got)
			}
		}
	}
	for _, text := range forms["TACTUS_URL"] {
		for _, args := range [][]string{
			{"schedule", "list", "--url", text},
			{"route", "list", "--url", text},
			{"health", text},
		} {
			if got := tactus(t, args...); got.code == exitOK || strings.Contains(strings.ToUpper(got.out+got.problems),
				"SECRET") {
				t.Errorf("%v: %+v", args, got)
			}
		}
	}
}

// TestUnescapedPasswordsAreRefused checks that a URL in which part of an unescaped password would be the host is not
// dialed, and that the message says what to do.
func TestUnescapedPasswordsAreRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"doctor", "--database-url=postgres://u:a@SECRET@127.0.0.1:1/x"},
		{"api", "--database-url=postgres://u:a@SECRET@127.0.0.1:1/x"},
		{
			"relay", "--listen-url=postgres://u:a@SECRET@127.0.0.1:1/x", "--database-url=postgres://127.0.0.1:1/x",
			"--redis-url=redis://127.0.0.1:1",
		},
		{"beat", "--database-url=postgres://127.0.0.1:1/x", "--redis-url=redis://:a@SECRET@127.0.0.1:1"},
		{"schedule", "list", "--url=http://u:a@SECRET@127.0.0.1:1"},
	} {
		if got := tactus(t, args...); got.code != exitUsage || strings.Contains(got.out+got.problems, "SECRET") ||
			!strings.Contains(got.problems, "_URL: the URL cannot be read: write special characters") {
			t.Errorf("%v: %+v", args, got)
		}
	}
	for _, text := range []string{
		"postgres://u%40corp:p%40@db_1.example.org:5432,[::1]:5433,h/x?sslmode=disable", "postgres:///x?host=/run/a@b",
		"postgres://%2Frun%2Fpg/x", "postgres:///x?user=ann@corp",
		"redis+sentinel://:x@a:1,[::1]:2/main/0", "unix://u:p@/run/redis.sock", "unix:///run/r@1.sock",
		"postgres://bücher.example/x", "host=h user=a@b",
		"sentinel://:x@a:1/0;sentinel://:y@b:2/0", "none",
	} {
		if err := secretOf(text).checkHosts(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestPasswordsAreNotLogged starts processes with marked passwords, which they are given by files.
func TestPasswordsAreNotLogged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var env []string
	database, events := testenv.DatabaseURL(t), testenv.RedisURL(t)
	for name, text := range map[string]string{
		"DATABASE_URL": database + "&sslpassword=SECRET", "REDIS_URL": events, "TACTUS_LISTEN_URL": database,
		"CELERY_BROKER_URL": events, "CELERY_RESULT_BACKEND": events,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		env = append(env, name+"_FILE="+path)
	}
	passwords := []string{"SECRET", between(database, "tactus:", "@"), between(events, "://:", "@")}
	for _, process := range []string{"api", "relay", "beat"} {
		p := testenv.Program{Env: env}.Start(t, process, "--http-addr", "127.0.0.1:0")
		p.AwaitReady()
		code, log := p.Stop(), p.Log()
		if code != exitOK || !strings.Contains(log, "postgres://xxxxx@127.0.0.1:") {
			t.Errorf("%s: exit code %d: %s", process, code, log)
		}
		for _, password := range passwords {
			if password == "" || strings.Contains(log, password) {
				t.Errorf("%s tells %q: %s", process, password, log)
			}
		}
	}
}

func between(text, left, right string) string {
	_, text, _ = strings.Cut(text, left)
	text, _, _ = strings.Cut(text, right)
	return text
}

// TestSecretsComeFromFiles checks that each secret setting has a _FILE variant, that its help says so, and that a
// missing file is reported.
func TestSecretsComeFromFiles(t *testing.T) {
	eachFlag(t, func(command string, f *kong.Flag) {
		if !strings.HasPrefix(f.Target.Type().String(), "main.secret") {
			if strings.Contains(f.Help, "password") {
				t.Errorf("%s: --%s can be printed", command, f.Name)
			}
			return
		}
		if len(f.Envs) != 1 || !strings.Contains(f.Help, f.Envs[0]+"_FILE") {
			t.Errorf("%s: --%s does not tell of its file", command, f.Name)
		}
	})
	t.Setenv("DATABASE_URL", "")
	t.Setenv("DATABASE_URL_FILE", "/nowhere")
	if got := tactus(t, "migrate"); got.code != exitUsage || !strings.Contains(got.problems, "DATABASE_URL_FILE") {
		t.Errorf("%+v", got)
	}
	t.Setenv("DATABASE_URL", "postgres://127.0.0.1:1/x")
	if got := tactus(t, "migrate"); got.code != exitUsage || !strings.Contains(got.problems, "both") {
		t.Errorf("%+v", got)
	}
}
