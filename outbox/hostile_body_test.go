package outbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// hostileBodies are JSON that parsers disagree about. Of those that are alike the faults are the same, too; of all
// others, whether there are any.
func hostileBodies() (alike, others []string) {
	body := func(members string) string { return `{"task_name":"a",` + members + `}` }
	ok := func(members string) string { return body(`"cron_expression":"0 9 * * *",` + members) }
	for _, depth := range []int{50, 90, 99, 100, 101, 110, 500, 998, 999, 1000, 1001, 5000, 9_997, 9_998, 9_999, 10_000, 10_001, 12_000, 60_000, 130_000} {
		open, shut := strings.Repeat("[", depth), strings.Repeat("]", depth)
		objects, ends := strings.Repeat(`{"a":`, depth), strings.Repeat("}", depth)
		bodies := &alike
		if depth > 900 { // some parser has given up before it came to the member
			bodies = &others
		}
		*bodies = append(*bodies, ok(`"args":`+open+shut), ok(`"kwargs":{"a":`+open+shut+`}`), ok(`"headers":{"a":`+open+shut+`}`), ok(`"tags":`+open+shut), ok(`"name":`+open+shut), ok(`"stranger":`+open+shut), open+shut)
		if depth < 40_000 {
			*bodies = append(*bodies, ok(`"kwargs":`+objects+"1"+ends), ok(`"args":`+open+strings.Repeat("1", 3000)+shut))
		}
	}
	for _, number := range []string{"1e400", "-1e400", "1e-400", "1e131071", "1e131072", "1e200000", "1e-200000", "1e9223372036854775808", strings.Repeat("9", 1000), strings.Repeat("9", 140_000), "-0", "9223372036854775807", "9223372036854775808", "1e18", "1e19"} {
		for _, member := range []string{"args", "kwargs", "priority", "max_runs", "jitter_seconds", "misfire_grace_seconds", "expires_seconds", "name", "enabled", "stranger"} {
			value := number
			switch member {
			case "args":
				value = "[" + number + "]"
			case "kwargs":
				value = `{"a":` + number + "}"
			}
			others = append(others, ok(fmt.Sprintf("%q:%s", member, value)))
		}
		others = append(others, body(`"interval_seconds":`+number))
	}
	for _, text := range []string{`\u0000`, `a\u0000b`, `\ud800`, `\udc00x`, `\ud83c\udf5c`, `\u0001`, `\u007f`, `\u2028`, `\\u0000`} {
		for _, member := range []string{"name", "description", "category", "task_name", "queue", "stream", "exchange", "routing_key", "shadow", "timezone", "starts_at", "execution_policy", "cron_dialect"} {
			others = append(others, ok(fmt.Sprintf(`%q:"%s"`, member, text)))
		}
		others = append(others, ok(`"tags":["`+text+`"]`), ok(`"`+text+`":1`), body(`"cron_expression":"`+text+`"`), body(`"run_at":"`+text+`"`), body(`"preset_name":"`+text+`"`))
		alike = append(alike, ok(`"args":["`+text+`"]`), ok(`"kwargs":{"a":"`+text+`"}`), ok(`"kwargs":{"`+text+`":1}`), ok(`"headers":{"a":"`+text+`"}`), ok(`"headers":{"`+text+`":1}`))
	}
	for _, member := range []string{"priority", "max_runs", "jitter_seconds", "misfire_grace_seconds", "misfire_window_seconds", "expires_seconds", "time_limit_seconds", "soft_time_limit_seconds"} {
		for _, number := range []string{"-0", "-0.0", "0.0", "60.0", "6e1", "1E1", "6000e-2", "600e-1000000", "60." + strings.Repeat("0", 20_000)} {
			alike = append(alike, ok(fmt.Sprintf("%q:%s", member, number)))
		}
		alike = append(alike, ok(fmt.Sprintf(`%q:60.0,%q:60`, member, member)))
	}
	zeros := strings.Repeat("0", 20_000)
	for _, number := range []string{"60.0", "6e1", "6000e-2", "-0.0", "60.00000000000000000001", "6000000000000000000001e-20", "0.99999999999999999999", "60.5", "1e-999999999"} {
		others = append(others, body(`"interval_seconds":`+number))
	}
	alike = append(alike, body(`"interval_seconds":60.`+zeros), body(`"interval_seconds":60.`+zeros+"1"), body(`"interval_seconds":0.`+zeros+"1"),
		ok(`"n\u0061me":"x"`), ok(`"n\u0061me":1`), ok(`"kw\u0061rgs":{"a":1}`), ok(`"str\u0061nger":1`), ok(`"name":"a","n\u0061me":"b"`), ok(`"n\u0061me":"b","name":"a"`), ok(`"i\u0064":"x"`))
	return append(alike,
		ok(`"name":"x","name":"y"`), ok(`"name":1,"name":"y"`), ok(`"name":"y","name":1`), ok(`"args":[1],"args":[2]`), ok(`"args":1,"args":[2]`), ok(`"kwargs":{"a":1,"a":2}`), ok(`"headers":{"a":1,"a":2}`),
		body(`"interval_seconds":60,"interval_seconds":"x"`), body(`"interval_seconds":"x","interval_seconds":60`), ok(`"":1`), ok(`"kwargs":{"":1}`), ok(`"headers":{"":1}`),
		ok(`"kwargs":null,"args":null,"name":null,"tags":null,"headers":null`), ok(`"Name":"x"`), ok(`"NAME":"x","name":"y"`),
		ok(`"args":[1,]`), ok(`"args":[01]`), ok(`"args":[.5]`), ok(`"args":[+1]`), ok(`"args":[NaN]`),
		ok(`"args":["	"]`), ok(`"args":["\x"]`), ok(`"args":["\u00"]`), ok(`"args":[1]`)+"x", ok(`"args":[1]`)+" \n", "\ufeff"+ok(`"args":[1]`), "\v"+ok(`"args":[1]`), "", " ", "null", `"{}"`, "true", "1", "[{}]", "{"), append(others, ok(`"tags":[null]`), strings.Repeat("[", 300_000), strings.Repeat(`{"a":`, 60_000))
}

// TestFunctionsReadHostileBodiesAsGoDoes gives put_schedule and Go JSON that parsers disagree about: both take the same
// of it, keep the same, and find the same faults in the rest.
func TestFunctionsReadHostileBodiesAsGoDoes(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	alike, others := hostileBodies()
	for n, text := range append(alike, others...) {
		d, err := domain.Decode([]byte(text))
		if err == nil {
			d, _, err = d.Normalize(domain.Context{Now: time.Now(), Check: handover.Limits{}.Check})
		}
		want := found(err)
		var id domain.ID
		var got []string
		sqlErr := pool.QueryRow(t.Context(), `select tactus.put_schedule($1)`, text).Scan(&id)
		if refused, is := errors.AsType[*pgconn.PgError](sqlErr); is {
			got = told(t, refused)
		} else if sqlErr != nil {
			t.Fatal(sqlErr)
		}
		if n < len(alike) && !cmp.Equal(sorted(want), sorted(got)) || (len(want) > 0) != (len(got) > 0) {
			t.Errorf("%s: Go finds %v, SQL %v", brief(text), want, got)
		}
		if err != nil || sqlErr != nil {
			continue
		}
		kept, err := outbox.Get(t.Context(), pool, id)
		if err != nil {
			t.Errorf("%s: %v", brief(text), err)
		} else if a, b := documents(t, kept.Definition), documents(t, d); a != b {
			t.Errorf("%s: Go keeps %.300s, SQL %.300s", brief(text), b, a)
		}
	}
}

func found(err error) (list []string) {
	for _, f := range domain.FaultsOf(err) {
		list = append(list, f.Code+" "+f.Field)
	}
	return list
}

// told are the faults of a refusal by SQL; what is none comes as it is.
func told(t *testing.T, refused *pgconn.PgError) (list []string) {
	t.Helper()
	var faults []struct{ Code, Location string }
	if refused.Code != "22023" {
		t.Errorf("SQL fails: %s %.300s", refused.Code, refused.Message)
		return []string{refused.Code}
	}
	if err := json.Unmarshal([]byte(refused.Detail), &faults); err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		list = append(list, f.Code+" "+f.Location)
	}
	return list
}

// documents is what goes to the worker, as it is kept.
func documents(t *testing.T, d domain.Definition) string {
	t.Helper()
	raw, err := json.Marshal(d.Task())
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// brief is the two ends of a text.
func brief(text string) string {
	if len(text) > 160 {
		text = text[:90] + fmt.Sprintf("... %d bytes ...", len(text)) + text[len(text)-50:]
	}
	return fmt.Sprintf("%q", text)
}

// TestFunctionsKeepNamesOfTaskParams has names with escapes, and with backslashes that are none.
func TestFunctionsKeepNamesOfTaskParams(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	for _, name := range []string{`d\u0061te`, `a\\u0062`, `a\\b`, `a\\\\u0061`, `\"`, `\b`, `\u0000`} {
		var id domain.ID
		body := `{"task_name":"a","cron_expression":"0 9 * * *","task_params":{"` + name + `":1}}`
		if err := pool.QueryRow(t.Context(), `select tactus.put_schedule($1)`, body).Scan(&id); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s, err := outbox.Get(t.Context(), pool, id)
		if err != nil {
			t.Fatal(err)
		}
		var want string
		var got map[string]any
		if err := json.Unmarshal([]byte(`"`+name+`"`), &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(s.Kwargs, &got); err != nil || got[want] != 1.0 {
			t.Errorf("%s: %s, %v", name, s.Kwargs, err)
		}
	}
}
