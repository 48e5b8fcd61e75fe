package domain_test

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

func TestExecutionPolicy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy  string
		ignores bool
		overlap string
		warns   int
	}{
		{"", false, "", 0},
		{domain.OverlapAllow, true, "", 0},
		{domain.OverlapSkip, false, domain.OverlapSkip, 0},
		{domain.OverlapQueue, false, domain.OverlapQueue, 0},
		{domain.OverlapQueue, true, domain.OverlapQueue, 1},
	} {
		d := domain.Definition{TaskName: "t", CronExpression: "* * * * *", ExecutionPolicy: c.policy, IgnoreResult: c.ignores}
		normal, warnings, err := d.Normalize(domain.Context{Timezone: "UTC", Now: time.Now()})
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		read, err := domain.ParsePolicy(normal.Policy().String())
		if err != nil || read.Overlap != c.overlap {
			t.Errorf("%+v: the policy says %q, %v", c, read.Overlap, err)
		}
		if len(warnings) != c.warns || len(normal.Warnings()) != c.warns {
			t.Errorf("%+v: %v, %v", c, warnings, normal.Warnings())
		}
	}
}
