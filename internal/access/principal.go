package access

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// Role says what a principal may do. Each role includes those below it.
type Role int

// Roles. The zero Role may do nothing.
const (
	Read  Role = iota + 1 // see
	Write                 // change schedules, run them
	Admin                 // manage keys and what concerns the whole installation
)

var roleNames = map[Role]string{Read: "read", Write: "write", Admin: "admin"}

func (r Role) String() string { return roleNames[r] }

// MarshalText implements encoding.TextMarshaler.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Role) UnmarshalText(text []byte) error {
	for role, name := range roleNames {
		if name == string(text) {
			*r = role
			return nil
		}
	}
	return fmt.Errorf("%.40q is no role: want read, write or admin", text)
}

// Scope lists what a principal is confined to: tag:TAG for the schedules with a tag, name:PREFIX for those whose names
// begin so. A schedule is in scope if one entry fits. An empty Scope has all schedules.
type Scope []string

const (
	tagScope  = "tag:"
	nameScope = "name:"
	maxScope  = 50 // entries
)

// Check returns what is wrong with a scope that somebody wrote.
func (s Scope) Check() error {
	if len(s) > maxScope {
		return fmt.Errorf("a scope has at most %d entries", maxScope)
	}
	for _, entry := range s {
		rest, isTag := strings.CutPrefix(entry, tagScope)
		if !isTag {
			rest, isTag = strings.CutPrefix(entry, nameScope)
		}
		if !isTag || rest == "" || len(entry) > 300 || strings.Contains(entry, "\x00") {
			return fmt.Errorf("%.300q is no scope: want tag:TAG, or name:PREFIX", entry)
		}
	}
	return nil
}

// Tags returns the tags whose schedules are in scope.
func (s Scope) Tags() []string { return s.of(tagScope) }

// Prefixes returns the beginnings of the names of schedules in scope.
func (s Scope) Prefixes() []string { return s.of(nameScope) }

func (s Scope) of(kind string) []string {
	found := []string{}
	for _, entry := range s {
		if rest, ok := strings.CutPrefix(entry, kind); ok {
			found = append(found, rest)
		}
	}
	return found
}

// Has reports whether a schedule of this name and these tags is in scope.
func (s Scope) Has(name string, tags []string) bool {
	if len(s) == 0 {
		return true
	}
	for _, entry := range s {
		if prefix, ok := strings.CutPrefix(entry, nameScope); ok && strings.HasPrefix(name, prefix) {
			return true
		}
		if tag, ok := strings.CutPrefix(entry, tagScope); ok && slices.Contains(tags, tag) {
			return true
		}
	}
	return false
}

// Kind says by what a principal is known.
type Kind string

// Kinds of principals.
const (
	Nobody      Kind = ""            // no credential came
	Anonymous   Kind = "anonymous"   // the process lets everybody do everything (TACTUS_AUTH=none)
	Key         Kind = "key"         // an API key
	Subject     Kind = "subject"     // OpenID Connect
	Proxy       Kind = "proxy"       // the user whom a trusted proxy names
	Certificate Kind = "certificate" // the subject of a client's certificate
)

// Principal is who sent a request.
type Principal struct {
	Kind  Kind      `json:"kind"`
	ID    domain.ID `json:"id,omitzero"` // of the key
	Name  string    `json:"name"`
	Role  Role      `json:"role"`
	Scope Scope     `json:"scope,omitempty"`
}

// Actor returns the name of a principal in events and logs: key:deploy, subject:alice@example.org.
func (p Principal) Actor() string {
	if p.Name == "" {
		return string(p.Kind)
	}
	return string(p.Kind) + ":" + p.Name
}

// Sees reports whether a schedule of this name and these tags is in the principal's scope.
func (p Principal) Sees(name string, tags []string) bool { return p.Scope.Has(name, tags) }

// writing returns a context in which p can write only to what is in its scope.
func (p Principal) writing(ctx context.Context) context.Context {
	if len(p.Scope) == 0 {
		return ctx
	}
	return outbox.WithPermit(ctx, func(name string, tags []string) error {
		if p.Sees(name, tags) {
			return nil
		}
		return &domain.Error{
			Kind: domain.Forbidden, Code: ErrOutOfScope.Code,
			Message: fmt.Sprintf("%s may write only schedules in its scope: %s", p.Actor(), strings.Join(p.Scope, ", ")),
		}
	})
}

type principalKey struct{}

// With returns the context of a request by p.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// From returns the principal of a request. Without a guard in front it is Anonymous, who may do everything.
func From(ctx context.Context) Principal {
	if p, ok := ctx.Value(principalKey{}).(Principal); ok {
		return p
	}
	return anonymous
}

var anonymous = Principal{Kind: Anonymous, Role: Admin}

// Refusals of a principal. problem.go has their answers.
var (
	errNobody     = &domain.Error{Kind: domain.Unauthenticated, Code: "credentials_missing", Field: "Authorization", Message: "say who you are: send an API key as Authorization: Bearer KEY (tactus: --token or TACTUS_TOKEN)"}
	ErrOutOfScope = &domain.Error{Kind: domain.Forbidden, Code: "scope_forbidden", Message: "this is outside the scope of your key"}
)

// Permit is what a handler demands of its callers. A handler that honours scopes shows and changes only what is in the
// principal's scope; any other refuses principals with a scope.
type Permit struct {
	Role   Role
	Scoped bool
}

// Demand returns why the principal of a request may not do what needs p, or nil.
func (p Permit) Demand(ctx context.Context) error {
	who := From(ctx)
	switch {
	case who.Kind == Nobody:
		return errNobody
	case who.Role == 0:
		return &domain.Error{
			Kind: domain.Forbidden, Code: "role_forbidden",
			Message: who.Actor() + " has no role here: give one of their groups, or everybody (*), a role (TACTUS_GROUP_ROLES)",
		}
	case who.Role < p.Role || p.Role == 0:
		return &domain.Error{
			Kind: domain.Forbidden, Code: "role_forbidden",
			Message: fmt.Sprintf("%s has the role %s, and this needs %s", who.Actor(), who.Role, max(p.Role, Read)),
		}
	case len(who.Scope) > 0 && !p.Scoped:
		return &domain.Error{
			Kind: domain.Forbidden, Code: ErrOutOfScope.Code,
			Message: fmt.Sprintf("%s is confined to %s, and this concerns all schedules", who.Actor(), strings.Join(who.Scope, ", ")),
		}
	}
	return nil
}
