package poison

import (
	"strings"
	"testing"
)

// TestSpoiled has a row whose definition somebody has changed by hand: the list shows it, as invalid, and all the
// others.
func TestSpoiled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"good", "U+0000", "a whole pair"} {
		w.put(soon(named(name)))
	}
	w.sql(`update tactus.schedules set definition = '{"name":1,"kwargs":[]}', policy = 'spoiled' where name = 'U+0000'`)
	var list struct {
		Schedules []struct {
			InvalidReason string `json:"invalid_reason"`
		}
	}
	w.get("/schedules", &list)
	invalid := 0
	for _, s := range list.Schedules {
		if strings.Contains(s.InvalidReason, "cannot be read") {
			invalid++
		}
	}
	if len(list.Schedules) != 3 || invalid != 1 {
		t.Errorf("%+v", list)
	}
}
