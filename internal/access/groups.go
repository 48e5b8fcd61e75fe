package access

import (
	"fmt"
	"strings"
)

// Groups says which role the members of a group have. The group * is of everybody who is known.
type Groups map[string]Role

// ParseGroups parses GROUP=ROLE, separated by commas.
func ParseGroups(text string) (Groups, error) {
	g := Groups{}
	for entry := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(entry) == "" {
			continue
		}
		group, role, ok := cutLast(entry, "=")
		var r Role
		if err := r.UnmarshalText([]byte(strings.TrimSpace(role))); !ok || err != nil || strings.TrimSpace(group) == "" {
			return nil, fmt.Errorf("%q: want GROUP=read, GROUP=write or GROUP=admin", entry)
		}
		g[strings.TrimSpace(group)] = r
	}
	return g, nil
}

// cutLast cuts around the last separator, because groups may be distinguished names, which have = in them.
func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}

// role returns the highest role of a member of groups; none if no group has one.
func (g Groups) role(groups []string) Role {
	role := g["*"]
	for _, group := range groups {
		role = max(role, g[strings.TrimSpace(group)])
	}
	return role
}
