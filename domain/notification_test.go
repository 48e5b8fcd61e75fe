package domain_test

import (
	"testing"

	"github.com/tactus-dev/tactus/domain"
)

// TestRuleFits holds which schedules a rule means: those that fit each list that it has.
func TestRuleFits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule domain.NotificationRule
		name string
		want bool
	}{
		{domain.NotificationRule{}, "any", true},
		{domain.NotificationRule{Names: []string{"a", "b"}}, "b", true},
		{domain.NotificationRule{Names: []string{"a"}}, "ab", false},
		{domain.NotificationRule{Names: []string{"*"}}, "", true},
		{domain.NotificationRule{Names: []string{"a*"}}, "a", true},
		{domain.NotificationRule{Names: []string{"*b"}}, "ab", true},
		{domain.NotificationRule{Names: []string{"a*b*c"}}, "a-b-b-c", true},
		{domain.NotificationRule{Names: []string{"a*b*c"}}, "a-c-b", false},
		{domain.NotificationRule{Names: []string{"aa*aa"}}, "aaa", false},
		{domain.NotificationRule{Names: []string{"a"}, Tags: []string{"x"}}, "a", false},
		{domain.NotificationRule{Names: []string{"a"}, Tags: []string{"x", "t"}}, "a", true},
		{domain.NotificationRule{Tasks: []string{"app.*"}}, "a", true},
		{domain.NotificationRule{Tasks: []string{"other.*"}}, "a", false},
	} {
		if got := c.rule.Fits(c.name, []string{"t"}, "app.task"); got != c.want {
			t.Errorf("%+v fits %q: %v", c.rule, c.name, got)
		}
	}
}
