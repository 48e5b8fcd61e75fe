package main

import (
	"regexp"
	"testing"
)

func TestRebuildCommand(t *testing.T) {
	t.Parallel()
	k := keep(t)
	k.schedules(t, "a", "b", "c")
	database := k.flags[:2]
	step := func(code int, want string, args ...string) {
		t.Helper()
		got := tactus(t, append(append([]string{"rebuild"}, args...), database...)...)
		if got.code != code || !regexp.MustCompile(`^`+want+`$`).MatchString(got.out) {
			t.Errorf("%v: %+v", args, got)
		}
	}
	step(exitOK, "3 schedules made from their events, 0 differ from tactus.schedules\n")
	if _, err := k.pool.Exec(t.Context(),
		`update tactus.schedules set category = 'by hand' where name = 'b'`); err != nil {
		t.Fatal(err)
	}
	const told = `[0-9a-f-]{36}/1  category is by hand, want \n3 schedules made from their events, 1 differ from tactus.schedules\n`
	step(exitFailure, told+"put them right with: tactus rebuild --swap\n")
	step(exitOK, told+"1 put right; the rows that were there are in tactus.schedules_replaced\n", "--swap")
	step(exitOK, "3 schedules made from their events, 0 differ from tactus.schedules\n", "--swap")
}
