package tactus

import (
	"encoding/json"
	"strings"
)

// Day is a day of a calendar, or a range of days or times.
type Day struct {
	From     string `json:"from"`               // the first day (2027-01-01), or a time: local, or with an offset
	To       string `json:"to,omitempty"`       // the last day; of a range of times, the time before which it ends
	Timezone string `json:"timezone,omitempty"` // IANA name; that of the schedule unless given
	Reason   string `json:"reason,omitempty"`   // why, as it is shown
	Rrule    string `json:"rrule,omitempty"`    // repeats the range (RFC 5545)
}

// UnmarshalJSON also reads a day that is a text.
func (d *Day) UnmarshalJSON(text []byte) error {
	if strings.HasPrefix(strings.TrimSpace(string(text)), `"`) {
		*d = Day{}
		return json.Unmarshal(text, &d.From)
	}
	type plain Day
	return json.Unmarshal(text, (*plain)(d))
}
