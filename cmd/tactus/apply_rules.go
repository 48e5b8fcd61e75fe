package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// one returns the singular of a kind.
func one(kind string) string { return strings.ReplaceAll(strings.TrimSuffix(kind, "s"), "_", " ") }

// secretMembers are the members of a notification rule that may refer to variables of the environment, so that secrets
// need not be in files: url: ${TACTUS_RULE_ON_CALL}.
var secretMembers = []string{"url", "secret", "headers"}

// fillPrefix begins the names of these variables. Without it, the author of a file could make apply send them any
// variable of its environment, such as TACTUS_TOKEN.
const fillPrefix = "TACTUS_RULE_"

// fillIn replaces variables in the secret members of a notification rule by their values.
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
			continue // checkItem reports it
		}
		if text, ok := value.(string); ok && member == "url" {
			i.template = text
		}
		filled, err := json.Marshal(filledIn(value, func(why string) {
			faults.add(i.place.at("/"+member), "%s: %s", i.Name, why)
		}))
		if err == nil {
			i.members[member] = filled
		}
	}
}

// filledIn returns a text, or an object, with variables replaced by their values. It calls refuse for variables that
// are not set.
func filledIn(value any, refuse func(why string)) any {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			v[name] = filledIn(inner, refuse)
		}
	case string:
		var out strings.Builder
		for {
			before, rest, found := strings.Cut(v, "${")
			name, behind, ends := strings.Cut(rest, "}")
			if !found || !ends {
				return out.String() + v
			}
			text, set := "", true
			if !strings.HasPrefix(name, fillPrefix) {
				refuse(fmt.Sprintf("${%s} is not filled in: only variables whose names begin with %s are, so that no "+
					"file takes a password of whoever applies it: give it such a name", name, fillPrefix))
			} else if text, set = os.LookupEnv(name); !set {
				refuse(fmt.Sprintf("the variable %s is not set", name))
			}
			out.WriteString(before + text)
			v = behind
		}
	}
	return value
}

// shownAddress returns the part of an address with variables that may be shown: the scheme and host if the file itself
// has them, otherwise the names of the variables.
func shownAddress(template string) string {
	said, _, _ := strings.Cut(template, "${")
	if _, behind, ok := strings.Cut(said, "://"); ok && strings.ContainsAny(behind, "/?#") {
		return domain.ShownURL(said)
	}
	return "from " + strings.Join(variable.FindAllString(template, -1), ", ")
}

var variable = regexp.MustCompile(`\$\{[^}]*\}`)

// ruleContent returns the parts of a rule in a file that may be shown.
func ruleContent(r domain.NotificationRule) domain.NotificationRule {
	r.ID, r.Version, r.CreatedAt, r.UpdatedAt = domain.ID{}, 0, time.Time{}, time.Time{}
	return r
}

// planRule compares the visible parts of a notification rule. A rule with a secret is always sent, and the server finds
// out whether it changes.
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
	wanted.URL = domain.ShownURL(secrets.URL)
	switch {
	case secrets.URL == "" && wanted.To != domain.Stream:
		wanted.URL = kept.URL
	case i.template != "" && wanted.URL != kept.URL:
		wanted.URL = shownAddress(i.template)
	}
	if err := c.ofOthers(i.Kind, kept.Source, &wanted.Source); err != nil {
		return err
	}
	one.always = secrets.URL != "" || secrets.Key != "" || secrets.Headers != nil
	if kept.Version == 0 {
		return one.compare(false, struct{}{}, ruleContent(wanted))
	}
	return one.compare(true, ruleContent(kept), ruleContent(wanted))
}
