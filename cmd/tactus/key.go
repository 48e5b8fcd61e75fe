package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/user"
	"slices"
	"strconv"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
)

// keyCmd manages API keys: directly in the database if DATABASE_URL is set, so that the first key can be created;
// otherwise through the API, with the key of an admin.
type keyCmd struct {
	Create keyCreateCmd `cmd:"" help:"Make an API key, and print it this once."`
	List   keyListCmd   `cmd:"" help:"List the API keys, newest first."`
	Revoke keyRevokeCmd `cmd:"" help:"End an API key, in every process within about a second."`
	Rotate keyRotateCmd `cmd:"" help:"Replace an API key by a new one, and end it after an overlap."`
}

// keyStore says how to reach the keys.
type keyStore struct {
	clientFlags
	DatabaseURL secret `env:"DATABASE_URL" placeholder:"URL" help:"PostgreSQL, postgres://user:password@host:port/database; or DATABASE_URL_FILE, a file with it."`
}

// direct reports whether to use the database directly.
func (f keyStore) direct() bool { return f.DatabaseURL.isSet() && !f.Token.isSet() }

// in calls do with the keys of the database.
func (f keyStore) in(ctx context.Context, do func(*access.Keys) (any, error)) ([]byte, error) {
	pool, err := databaseFlags{DatabaseURL: f.DatabaseURL}.open(ctx)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	answer, err := do(access.NewKeys(pool))
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

// cliActor returns the name under which the machine knows the user of the program.
func cliActor() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return "cli:" + u.Username
	}
	return "cli"
}

type keyCreateCmd struct {
	keyStore
	Name    string        `arg:"" help:"Whose key it is; events name it as their actor."`
	Role    string        `enum:"read,write,admin" required:"" help:"read, write or admin; each includes those before it."`
	Scope   []string      `sep:"none" placeholder:"SCOPE" help:"Confine the key to schedules with a tag (tag:TAG) or whose names begin so (name:PREFIX); may be repeated."`
	Expires time.Duration `placeholder:"LENGTH" help:"How long until the key expires, such as 12h or 90d (never unless given)."`
}

// Run creates a key.
func (c keyCreateCmd) Run(ctx context.Context, to console) error {
	var expires *time.Time
	if c.Expires != 0 {
		at := time.Now().Add(c.Expires).UTC()
		expires = &at
	}
	answer, err := c.create(ctx, expires)
	if err != nil {
		return err
	}
	if c.Role == "admin" && len(c.Scope) > 0 {
		fmt.Fprintln(to.problems, "An admin with a scope may do in it what the role write may; keys are managed by admins without one.")
	}
	return c.issued(to, answer)
}

func (c keyCreateCmd) create(ctx context.Context, expires *time.Time) ([]byte, error) {
	if !c.direct() {
		body := map[string]any{"name": c.Name, "role": c.Role}
		if len(c.Scope) > 0 {
			body["scope"] = c.Scope
		}
		if expires != nil {
			body["expires_at"] = expires
		}
		return c.call(ctx, http.MethodPost, "/keys", body)
	}
	n := access.NewKey{Name: c.Name, Scope: c.Scope, ExpiresAt: expires, By: cliActor()}
	if err := n.Role.UnmarshalText([]byte(c.Role)); err != nil {
		return nil, usage("--role: %v", err)
	}
	return c.in(ctx, func(keys *access.Keys) (any, error) { return keys.Create(ctx, n) })
}

// issued prints a new key. Nobody can read it again afterwards.
func (f keyStore) issued(to console, answer []byte) error {
	if !f.tabular() {
		return f.show(to.out, answer)
	}
	var made struct{ ID, Key string }
	if err := json.Unmarshal(answer, &made); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	say(to.problems, "The key of id %s follows; it is shown this once.\n", made.ID)
	say(to.out, "%s\n", made.Key)
	return nil
}

type keyListCmd struct{ keyStore }

// Run lists keys.
func (c keyListCmd) Run(ctx context.Context, to console) error {
	answer, err := c.list(ctx)
	if err != nil {
		return err
	}
	return c.show(to.out, answer)
}

func (f keyStore) list(ctx context.Context) ([]byte, error) {
	if !f.direct() {
		return f.call(ctx, http.MethodGet, "/keys", nil)
	}
	return f.in(ctx, func(keys *access.Keys) (any, error) {
		all, err := keys.List(ctx)
		return map[string]any{"keys": append([]access.KeyInfo{}, all...)}, err
	})
}

// keys returns the keys, newest first.
func (f keyStore) keys(ctx context.Context) ([]access.KeyInfo, error) {
	answer, err := f.list(ctx)
	if err != nil {
		return nil, err
	}
	var all struct{ Keys []access.KeyInfo }
	if err := json.Unmarshal(answer, &all); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return all.Keys, nil
}

// id returns the id of a key, given its id or its name. If several active keys have the name, it prefers the one that
// no other key has replaced.
func (f keyStore) id(ctx context.Context, key string) (domain.ID, error) {
	if id, err := domain.ParseID(key); err == nil {
		return id, nil
	}
	all, err := f.keys(ctx)
	if err != nil {
		return domain.ID{}, err
	}
	var replaced *domain.ID
	for _, k := range all {
		switch {
		case k.Name != key || k.State != access.Active:
		case k.ReplacedBy == nil:
			return k.ID, nil
		case replaced == nil:
			replaced = &k.ID
		}
	}
	if replaced == nil {
		return domain.ID{}, missing(fmt.Sprintf("there is no active key named %q", key))
	}
	return *replaced, nil
}

type keyRevokeCmd struct {
	keyStore
	Key string `arg:"" help:"Id of the key, or a name: then all keys of the name that are not revoked, expired ones included."`
}

// Run revokes a key, or all keys of a name.
func (c keyRevokeCmd) Run(ctx context.Context, to console) error {
	var answer []byte
	id, err := domain.ParseID(c.Key)
	if err == nil {
		answer, err = c.revoke(ctx, id)
	} else {
		answer, err = c.revokeNamed(ctx)
	}
	if err != nil {
		return err
	}
	return c.show(to.out, answer)
}

func (c keyRevokeCmd) revoke(ctx context.Context, id domain.ID) ([]byte, error) {
	if c.direct() {
		return c.in(ctx, func(keys *access.Keys) (any, error) { return keys.Revoke(ctx, id) })
	}
	return c.call(ctx, http.MethodDelete, "/keys/"+id.String(), nil)
}

// revokeNamed revokes all keys of a name, expired ones included, until a look finds none that is left. A single look
// would miss the successor of a key that is rotated at the same moment: a revocation waits for the rotation, and the
// next look sees the successor.
func (c keyRevokeCmd) revokeNamed(ctx context.Context) (answer []byte, err error) {
	for {
		all, err := c.keys(ctx)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(k access.KeyInfo) bool { return k.Name == c.Key && k.State != access.Revoked })
		switch {
		case i < 0 && answer == nil:
			return nil, missing(fmt.Sprintf("there is no key named %q that is not revoked", c.Key))
		case i < 0:
			return answer, nil
		}
		if answer, err = c.revoke(ctx, all[i].ID); err != nil {
			return nil, err
		}
	}
}

type keyRotateCmd struct {
	keyStore
	Key     string        `arg:"" help:"Id or name of the key."`
	Overlap time.Duration `default:"24h" help:"How long the replaced key goes on."`
}

// Run rotates a key.
func (c keyRotateCmd) Run(ctx context.Context, to console) error {
	id, err := c.id(ctx, c.Key)
	if err != nil {
		return err
	}
	if c.Overlap < 0 {
		return usage("--overlap %s: want 0 or more", c.Overlap)
	}
	var answer []byte
	if c.direct() {
		answer, err = c.in(ctx, func(keys *access.Keys) (any, error) {
			return keys.Rotate(ctx, id, c.Overlap, nil, cliActor())
		})
	} else {
		body := map[string]json.Number{"overlap_seconds": json.Number(strconv.FormatFloat(c.Overlap.Seconds(), 'f', -1, 64))}
		answer, err = c.call(ctx, http.MethodPost, "/keys/"+id.String()+"/rotate", body)
	}
	if err != nil {
		return err
	}
	return c.issued(to, answer)
}
