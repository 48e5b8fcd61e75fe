package main

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/processes"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestSinkThatIsGone finds an unserved sink in the metrics of a relay, and forgets it; sinks that are served cannot be
// forgotten.
func TestSinkThatIsGone(t *testing.T) {
	t.Parallel()
	c := processes.New(t, testenv.DatabaseURL(t), testenv.RedisURL(t))
	p := c.Start("relay")
	testenv.Eventually(t, "the relay serves its sinks", func() error {
		var n int
		if err := c.Pool.QueryRow(t.Context(), `select count(*) from tactus.relay_sinks`).Scan(&n); err != nil ||
			n == 3 {
			return err
		}
		return errors.New("not yet")
	})
	if _, err := c.Pool.Exec(t.Context(),
		`insert into tactus.relay_sinks (sink, topic, epoch, timeline, system_identifier, registered_at)
		values ('gone', 'run', 'e', 't', 's', now() - interval '1 day')`); err != nil {
		t.Fatal(err)
	}
	silent := regexp.MustCompile(
		`tactus_relay_sink_silent_seconds\{sink="gone"\} 864\d\d|tactus_relay_sink_silent_seconds\{sink="gone"\} 8\.64\d*e\+04`)
	testenv.Eventually(t, "the sink is seen", func() error { // left out when reading takes too long
		status, body := get(t, p.URL()+"/metrics")
		if status != http.StatusOK || !silent.MatchString(body) ||
			!strings.Contains(body, "tactus_relay_unpublished_notices_total 0") {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	for _, step := range []struct {
		sink, want string
		code       int
	}{
		{"events", "a relay serves the sink", exitFailure},
		{"none", "no sink of that name", exitFailure},
		{"gone", "forgot gone", exitOK},
		{"gone", "no sink of that name", exitFailure},
	} {
		got := tactus(t, "relay", "--forget", step.sink, "--database-url", c.URL)
		if got.code != step.code || !strings.Contains(got.out+got.problems, step.want) {
			t.Errorf("%s: %+v", step.sink, got)
		}
	}
	if got := tactus(t, "relay", "--forget", "gone"); got.code != exitUsage {
		t.Errorf("without a database: %+v", got)
	}
}
