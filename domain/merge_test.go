package domain_test

import (
	"testing"

	"github.com/tactus-dev/tactus/domain"
)

// TestMergeKwargs: kwargs is merged as any object is, task_params replaces it whole, and carrying both back changes
// nothing but what was changed.
func TestMergeKwargs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ patch, kwargs, params string }{
		{`{"kwargs": {"b": 2}}`, `{"a":1,"b":2,"n":1.50}`, ``},
		{`{"kwargs": {"a": null}}`, `{"n":1.50}`, ``},
		{`{"kwargs": null}`, ``, ``},
		{`{"task_params": {"b": 2}}`, ``, `{"b":2}`},
		{`{"kwargs": {"n": 1.50, "a": 1}, "task_params": {"a": 1, "n": 1.50}}`, `{"a":1,"n":1.50}`, ``},
		{`{"kwargs": {"n": 2, "a": 1}, "task_params": {"a": 1, "n": 1.50}}`, `{"a":1,"n":2}`, ``},
		{`{"kwargs": {"n": 1.50, "a": 1}, "task_params": {"a": 3}}`, ``, `{"a":3}`},
	} {
		before := domain.Definition{TaskName: "t", CronExpression: "* * * * *", Kwargs: []byte(`{"a":1,"n":1.50}`)}
		after, err := before.Merge([]byte(c.patch))
		if err != nil {
			t.Errorf("%s: %v", c.patch, err)
			continue
		}
		if string(after.Kwargs) != c.kwargs || string(after.TaskParams) != c.params {
			t.Errorf("%s: kwargs %s, task_params %s", c.patch, after.Kwargs, after.TaskParams)
		}
	}
}
