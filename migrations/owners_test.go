package migrations_test

import (
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/migrations"
)

// TestSchemaInOtherHands has somebody who may create schemas make the schema tactus first, or come to own something in
// it, or be let create in it. Whoever has a hand in it could put functions there that run with the rights of tactus'
// owner, so neither migrating nor any process goes on, and each says whom it met.
func TestSchemaInOtherHands(t *testing.T) {
	t.Parallel()
	superuser := testenv.EmptyURL(t)
	m := newManual(t, superuser)
	refused := func(what, by string) {
		t.Helper()
		err := migrations.Up(t.Context(), m.as("owner"))
		if err == nil || !strings.Contains(err.Error(), by) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: migrate: %v", what, err)
		}
		if what == "owns the schema" {
			return
		}
		pool := testenv.Connect(t, m.as("owner"))
		if err := migrations.Ready(t.Context(), pool); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: ready: %v", what, err)
		}
	}
	upstream := m.names.Replace("tactus_upstream")
	run := func(sql string) {
		t.Helper()
		testenv.Execute(t, superuser, m.names.Replace(sql))
	}
	// The owner is a member of a group, whose other members are strangers; and of one with no other member.
	run(`create role tactus_owner_team; grant tactus_owner_team to tactus_owner, tactus_upstream`)
	run(`create role tactus_owner_alone; grant tactus_owner_alone to tactus_owner`)
	t.Cleanup(func() {
		run(`drop owned by tactus_owner_team, tactus_owner_alone cascade; drop role tactus_owner_team, tactus_owner_alone`)
	})
	run(`create schema tactus authorization tactus_upstream; grant all on schema tactus to tactus_owner`)
	refused("owns the schema", upstream)
	run(`drop schema tactus`)
	if err := migrations.Up(t.Context(), m.as("owner")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, do, undo string }{
		{"may create in", `grant create on schema tactus to tactus_upstream`, `revoke create on schema tactus from tactus_upstream`},
		{"everybody may create in", `grant create on schema tactus to public`, `revoke create on schema tactus from public`},
		{"owns tactus.new_id()", `alter function tactus.new_id() owner to tactus_upstream`, `alter function tactus.new_id() owner to tactus_owner`},
		{"owns tactus.new_id()", `alter function tactus.new_id() owner to tactus_owner_team`, `alter function tactus.new_id() owner to tactus_owner`},
		{"owns tactus.runs", `alter table tactus.runs owner to tactus_upstream`, `alter table tactus.runs owner to tactus_owner`},
	} {
		run(c.do)
		refused(c.what, "")
		run(c.undo)
	}
	if err := migrations.Up(t.Context(), m.as("owner")); err != nil {
		t.Error(err)
	}
	run(`alter function tactus.new_id() owner to tactus_owner_alone`)
	if err := migrations.Up(t.Context(), m.as("owner")); err != nil {
		t.Error(err)
	}
	run(`alter function tactus.new_id() owner to tactus_owner`)
	run(`alter schema tactus owner to ` + m.names.Replace("tactus_owner"))
	if err := migrations.Ready(t.Context(), testenv.Connect(t, m.as("owner"))); err != nil {
		t.Error(err)
	}
}
