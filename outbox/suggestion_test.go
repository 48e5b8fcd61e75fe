package outbox_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestFunctionsSuggestAsGoDoes names members that there are not: SQL suggests the ones that Go does.
func TestFunctionsSuggestAsGoDoes(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	names := []string{"at", "cron", "crontab", "Every", "interval", "TASK", "tz", "x", "arg", "args_", "tas", "exc", "cronexp", "interval-seconds", "misfire"}
	for field := range reflect.TypeFor[domain.Definition]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, strings.ToUpper(name), strings.ReplaceAll(name, "_", "-")+"-", name[:len(name)-1])
	}
	for _, name := range names {
		_, err := domain.Decode([]byte(`{"` + name + `": null}`))
		if err == nil {
			continue // it is one
		}
		want := strings.TrimPrefix(domain.FaultsOf(err)[0].Message, "there is no such member")
		var got string
		if err := pool.QueryRow(t.Context(), `select tactus.suggestion($1)`, name).Scan(&got); err != nil || got != want {
			t.Errorf("%s: SQL says %q, Go %q: %v", name, got, want, err)
		}
	}
}
