package domain_test

import (
	"strings"
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

// TestRuleFaults holds what is wrong with what a rule tells of.
func TestRuleFaults(t *testing.T) {
	t.Parallel()
	for on, want := range map[string]string{
		`["failed","failed"]`:                                   "choice_repeated /on/1",
		`["failed","x","failed","x"]`:                           "choice_invalid /on/1, choice_repeated /on/2, choice_repeated /on/3",
		`["failed"` + strings.Repeat(`,"failed"`, 28_000) + `]`: "too_many /on",
	} {
		_, _, err := domain.DecodeNotificationRule("r", []byte(`{"on":`+on+`,"to":"slack","url":"https://h.example/"}`))
		var got []string
		for _, f := range domain.FaultsOf(err) {
			got = append(got, f.Code+" "+f.Field)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%.50s: %v, want %s", on, got, want)
		}
	}
}
