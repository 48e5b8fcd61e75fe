package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestDoctorTellsOfOtherZoneData asks an installation in which one process goes by older data.
func TestDoctorTellsOfOtherZoneData(t *testing.T) {
	t.Parallel()
	url := testenv.DatabaseURL(t)
	ask := func() (code int, told string) {
		var out, problems bytes.Buffer
		code = run([]string{"doctor", "--database-url", url}, &out, &problems)
		return code, out.String() + problems.String()
	}
	if code, told := ask(); code != exitOK || !strings.Contains(told, "time zone data: this program has "+zones()[:5]) {
		t.Errorf("%d: %s", code, told)
	}
	pool := testenv.Connect(t, url)
	if _, err := pool.Exec(t.Context(),
		`insert into tactus.zone_processes values ('api of elsewhere', '2020a', clock_timestamp())`); err != nil {
		t.Fatal(err)
	}
	if code, told := ask(); code != exitFailure ||
		!strings.Contains(told, "api of elsewhere goes by 2020a, which is older") {
		t.Errorf("%d: %s", code, told)
	}
}
