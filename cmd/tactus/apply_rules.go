package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// one is what one thing of a kind is called.
func one(kind string) string { return strings.ReplaceAll(strings.TrimSuffix(kind, "s"), "_", " ") }

// secretMembers are those of a notification rule that may name variables of the environment, so that a file need not
// have them: url: ${ON_CALL_URL}.
var secretMembers = []string{"url", "secret", "headers"}

// fillIn puts the values of variables into the secret members of a notification rule.
func fillIn(i *item, faults *wrong) {
	if i.Kind != rulesMember {
		return
	}
	for _, member := range secretMembers {
		raw := i.members[member]
		if !strings.Contains(string(raw), "${") {
			continue
		}
		var value any
		if json.Unmarshal(raw, &value) != nil {
			continue // checkItem says so
		}
		filled, err := json.Marshal(filledIn(value, func(name string) {
			faults.add(i.place.at("/"+member), "%s: the variable %s is not set", i.Name, name)
		}))
		if err == nil {
			i.members[member] = filled
		}
	}
}

// filledIn is a text, or the members of an object, with the values of variables.
func filledIn(value any, missing func(name string)) any {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			v[name] = filledIn(inner, missing)
		}
	case string:
		var out strings.Builder
		for {
			before, rest, found := strings.Cut(v, "${")
			name, behind, ends := strings.Cut(rest, "}")
			if !found || !ends {
				return out.String() + v
			}
			text, set := os.LookupEnv(name)
			if !set {
				missing(name)
			}
			out.WriteString(before + text)
			v = behind
		}
	}
	return value
}

// ruleContent is what may be seen of a rule that a file describes.
func ruleContent(r domain.NotificationRule) domain.NotificationRule {
	r.ID, r.Version, r.CreatedAt, r.UpdatedAt = domain.ID{}, 0, time.Time{}, time.Time{}
	return r
}

// planRule compares a notification rule, as far as it can be seen. One with a secret is sent always, and the server
// finds out whether it changes.
func (c applyCmd) planRule(ctx context.Context, i item, one *step) error {
	one.body = i.body()
	wanted, secrets, err := domain.DecodeNotificationRule(i.Name, one.body)
	if err != nil {
		return err
	}
	var kept domain.NotificationRule
	answer, err := c.call(ctx, http.MethodGet, one.path, nil)
	if refused, ok := errors.AsType[*refusal](err); ok && refused.status == http.StatusNotFound {
		answer, err = []byte("{}"), nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, &kept); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if wanted.URL = domain.ShownURL(secrets.URL); secrets.URL == "" && wanted.To != domain.Stream {
		wanted.URL = kept.URL
	}
	one.always = secrets.URL != "" || secrets.Key != "" || secrets.Headers != nil
	if kept.Version == 0 {
		return one.compare(false, struct{}{}, ruleContent(wanted))
	}
	return one.compare(true, ruleContent(kept), ruleContent(wanted))
}
