package redis

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/relay"
)

// target has what decides whether a message can be handed over.
type target struct {
	kind, key string
	size      int // of the payload, of which an exchange makes copies
}

func targetOf(m *message.Message) target {
	t := target{kind: m.Metadata.Get(kindKey), key: m.Metadata.Get(keyKey)}
	if t.kind == kindExchange {
		t.size = len(m.Payload)
	}
	return t
}

// also returns the entries behind a refused one that would be refused as well. An append ends at the first refused
// entry. If there were thousands of them, each with a key or an exchange of its own, and each had to be tried by an
// append, the entries between them would have to wait.
func (s *TaskSink) also(ctx context.Context, r *relay.Refused, entries []relay.Entry) (all []relay.RefusedEntry) {
	reasons := map[target]string{} // empty for targets that would be accepted
	var unknown []target
	var rest []relay.Entry
	for _, e := range entries {
		if e.Message == nil || e.ID.Compare(r.ID) < 0 {
			continue
		}
		t := targetOf(e.Message)
		if e.ID == r.ID {
			if _, err := s.encode(e); err == nil && t.kind != kindExchange {
				reasons[t] = r.Reason // Redis refuses the key, and so all entries for this key
			}
			continue
		}
		rest = append(rest, e)
		if _, known := reasons[t]; known {
			continue
		}
		reasons[t] = ""
		if err := s.checkAddress(e.Message); err != nil {
			reasons[t] = err.Error()
		} else {
			unknown = append(unknown, t)
		}
	}
	s.look(ctx, r.Real, unknown, reasons)
	for _, e := range rest {
		if reason := reasons[targetOf(e.Message)]; reason != "" {
			all = append(all, relay.RefusedEntry{ID: e.ID, Reason: reason})
		}
	}
	return all
}

// look asks Redis which targets would be refused, and adds the reasons. If Redis does not answer, it adds none, and the
// relay tries the entries.
func (s *TaskSink) look(ctx context.Context, at relay.Mark, targets []target, reasons map[target]string) {
	if len(targets) == 0 {
		return
	}
	args := []any{at.Epoch, at.Last.String()}
	for _, t := range targets {
		args = append(args, t.kind, t.key, t.size)
	}
	named, err := taskLook.Run(ctx, s.client, s.keys, args...).Slice()
	if err != nil {
		return
	}
	for i := 0; i+1 < len(named); i += 2 {
		n, isNumber := named[i].(int64)
		reason, isText := named[i+1].(string)
		if isNumber && isText && n > 0 && int(n) <= len(targets) {
			reasons[targets[n-1]] = reason
		}
	}
}
