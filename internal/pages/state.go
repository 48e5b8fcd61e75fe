package pages

import "github.com/tactus-dev/tactus/domain"

// state is how a page shows a state: a mark, a word, and the CSS class of a colour.
type state struct{ Mark, Word, Class string }

// marks differ by more than their colour.
var marks = map[domain.RunStatus]state{
	domain.Due:       {"◷", "due", ""},
	domain.Sent:      {"◷", "sent", ""},
	domain.Started:   {"▶\ufe0e", "started", ""},
	domain.Retrying:  {"↻", "retrying", "attention"},
	domain.Succeeded: {"✓", "succeeded", ""},
	domain.Failed:    {"✕", "failed", "trouble"},
	domain.Revoked:   {"✕", "revoked", "attention"},
	domain.Expired:   {"‥", "expired", "attention"},
	domain.Skipped:   {"⊘", "skipped", ""},
	domain.Excluded:  {"⊘", "excluded", ""},
	domain.MissedRun: {"‥", "missed", "attention"},
	domain.Unknown:   {"?", "unknown", "attention"},
}

func stateOf(lang string, status domain.RunStatus) state {
	s, ok := marks[status]
	if !ok {
		return state{"?", string(status), "attention"}
	}
	s.Word = translate(lang, s.Word)
	return s
}
