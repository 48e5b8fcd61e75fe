package domain_test

import (
	"testing"

	"github.com/tactus-dev/tactus/domain"
)

// TestNewTextsOfRules compares a rule with the one before.
func TestNewTextsOfRules(t *testing.T) {
	t.Parallel()
	before := domain.NotificationRule{Description: "\u009b", Names: []string{"a", "\u2028*"}}
	if faults := before.NewTexts(before); faults != nil {
		t.Errorf("as it was: %v", faults)
	}
	after := domain.NotificationRule{
		Description: "\u0085", Names: []string{"\u2028*", "\u2029*"}, Tags: []string{"\u2028*"}, Tasks: []string{"ü"},
	}
	var got []string
	for _, f := range after.NewTexts(before) {
		got = append(got, f.Code+" "+f.Field)
	}
	want := []string{"text_invalid /description", "text_invalid /names/1", "text_invalid /tags/0"}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("%v, want %v", got, want)
	}
}
