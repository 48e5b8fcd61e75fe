package adopt_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/adopt"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// writingAttacks are what the owner of an adopted table may do to it so that writing to last_run_at runs code. X is the
// schema; told is what the refusal says.
var writingAttacks = map[string]struct{ sql, told string }{
	"trigger": {
		`create trigger t before update on X.celery_beat_schedules for each row execute function X.evil_row()`,
		"trigger t of UPSTREAM on X.celery_beat_schedules",
	},
	"condition": {
		`create trigger t before update on X.celery_beat_schedules for each row when (X.evil_true())
			execute function suppress_redundant_updates_trigger()`,
		"trigger t of UPSTREAM on X.celery_beat_schedules",
	},
	"rule": {
		`create rule r as on update to X.celery_beat_schedules do also select X.evil('x')`,
		"rule r of UPSTREAM on X.celery_beat_schedules",
	},
	"trigger_of_a_child": {
		`create table X.child () inherits (X.celery_beat_schedules);
		with moved as (delete from only X.celery_beat_schedules returning *) insert into X.child select * from moved;
		create trigger t before update on X.child for each row execute function X.evil_row()`,
		"trigger t of UPSTREAM on X.child",
	},
	"trigger_of_a_partition": {
		`create table X.parts (like X.celery_beat_schedules including defaults) partition by hash (id);
		create table X.part partition of X.parts for values with (modulus 1, remainder 0);
		insert into X.parts select * from X.celery_beat_schedules;
		drop table X.celery_beat_schedules; alter table X.parts rename to celery_beat_schedules;
		grant select, update, trigger on X.celery_beat_schedules to OWNER;
		create trigger t before update on X.part for each row execute function X.evil_row()`,
		"trigger t of UPSTREAM on X.part",
	},
	"trigger_where_rows_move": {
		`create table X.parts (like X.celery_beat_schedules including defaults) partition by list (last_run_at);
		create table X.never partition of X.parts for values in (null);
		create table X.since partition of X.parts default;
		insert into X.parts select * from X.celery_beat_schedules;
		drop table X.celery_beat_schedules; alter table X.parts rename to celery_beat_schedules;
		grant select, update, trigger on X.celery_beat_schedules to OWNER;
		create trigger t before insert on X.since for each row execute function X.evil_row()`,
		"trigger t of UPSTREAM on X.since",
	},
	"key_of_a_parent": {
		`create table X.parent (like X.celery_beat_schedules including defaults) partition by range ((X.evil(name)));
		alter table X.parent attach partition X.celery_beat_schedules for values from (minvalue) to (maxvalue)`,
		"X.celery_beat_schedules is a part of X.parent, which belongs to UPSTREAM",
	},
	"generated": {
		`alter table X.celery_beat_schedules add column g text generated always as
			(X.evil(case when last_run_at is null then 'never' else 'ran' end)) stored`,
		"X.evil(text)",
	},
	"query": {
		`alter table X.celery_beat_schedules add check (query_to_xml('select X.evil(''x'')', true, true, '') is not null)`,
		"function query_to_xml(text,boolean,boolean,text)",
	},
	"range": {
		`create function X.apart(float8, float8) returns float8 language plpgsql immutable as $$ begin perform X.evil('x'); return $1 - $2; end $$;
		create type X.span as range (subtype = float8, subtype_diff = X.apart);
		alter table X.celery_beat_schedules add column s X.span;
		alter table X.celery_beat_schedules disable trigger user;
		update X.celery_beat_schedules set s = X.span(1500, 1501);
		insert into X.celery_beat_schedules (name, task_name, cron_expression, s)
			select 'more ' || n, 'a', '* * * * *', X.span(n, n + 1) from generate_series(1, 3000) as n;
		alter table X.celery_beat_schedules enable trigger user;
		create index spans on X.celery_beat_schedules using gist (s); create index on X.celery_beat_schedules (last_run_at)`,
		"index X.spans of column s with a type of others",
	},
	"implicit_cast": {
		`create type X.level as enum ('x');
		create function X.number(X.level) returns int language plpgsql as $$ begin perform X.evil('x'); return 1; end $$;
		create cast (X.level as int) with function X.number(X.level) as implicit;
		create table X.levels (level int primary key); insert into X.levels values (1);
		alter table X.celery_beat_schedules add column n X.level default 'x';
		alter table X.celery_beat_schedules add constraint f foreign key (n) references X.levels`,
		"foreign key f of columns that are written or have a type of others",
	},
	"cascade": {
		`alter table X.celery_beat_schedules add unique (last_run_at);
		update X.celery_beat_schedules set last_run_at = '2000-01-01Z';
		create table X.follows (at timestamptz constraint f references X.celery_beat_schedules (last_run_at) on update cascade);
		insert into X.follows values ('2000-01-01Z');
		create trigger t after update on X.follows for each row execute function X.evil_row()`,
		"foreign key f of columns that are written or have a type of others",
	},
}

// adoptedAndRun makes a table of the upstream's, adopts it and has its schedule run once, so that going back writes to
// its row.
func (s *siege) adoptedAndRun(name string) adopt.Source {
	s.Helper()
	s.table(name)
	s.as(s.upstreamPool, strings.ReplaceAll(`alter table X.celery_beat_schedules add column last_run_at timestamptz;
		create function X.evil_row() returns trigger language plpgsql as $$ begin perform X.evil('x'); return new; end $$`, "X", name))
	source, err := adopt.Find(s.Context(), s.ownerPool, name+adoptedTable, adopt.CeleryBeatSchedules)
	if err != nil {
		s.Fatal(err)
	}
	if err := source.Adopt(s.Context(), "UTC"); err != nil {
		s.Fatal(err)
	}
	if _, err := s.ownerPool.Exec(s.Context(), `
		insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at)
		select $1, id, clock_timestamp(), 'scheduled', 'succeeded', 1, clock_timestamp() from tactus.schedules
			where managed_by = $2`, outbox.NewID(), name+adoptedTable); err != nil {
		s.Fatal(err)
	}
	return source
}

// TestGoingBackRunsNothingOfTheTablesOwner has the owner of an adopted table put code of its own wherever writing to
// the rows may run it. Each attack does run code as tactus' owner once that is accepted.
func TestGoingBackRunsNothingOfTheTablesOwner(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	var version int
	if err := s.ownerPool.QueryRow(t.Context(),
		"select current_setting('server_version_num')::int").Scan(&version); err != nil {
		t.Fatal(err)
	}
	for _, attack := range slices.Sorted(maps.Keys(writingAttacks)) {
		if attack == "key_of_a_parent" && version < 140000 {
			continue // PostgreSQL 13 lets no table with our triggers become a partition
		}
		name := "by_" + attack
		source := s.adoptedAndRun(name)
		replaced := strings.NewReplacer("X.", name+".", "OWNER", s.owner, "UPSTREAM", s.upstream)
		s.as(s.upstreamPool, "set jit = off;"+replaced.Replace(writingAttacks[attack].sql)) // PostgreSQL 13 has no compiler here
		told := replaced.Replace(writingAttacks[attack].told)
		_, _, err := source.Unadopt(t.Context(), false)
		s.held(name)
		if err == nil || !strings.Contains(err.Error(), told) {
			t.Errorf("%s: %v, want %s", name, err, told)
		}
		if err != nil && strings.Contains(err.Error(), "which reading it may run") {
			continue // nobody can accept that
		}
		source.TrustTriggers = true
		if _, _, err := source.Unadopt(t.Context(), false); err != nil {
			t.Errorf("%s, accepted: %v", name, err)
		}
		s.mu.Lock()
		if !s.ran[s.owner] && (attack != "cascade" || version < 180000) { // which runs it as the owner of the table
			t.Errorf("%s is no attack: nothing ran", name)
		}
		clear(s.ran)
		s.mu.Unlock()
	}
}

// TestGoingBackLooksAfterTheLock has a trigger that is not committed when unadopt begins, and is when unadopt gets the
// table's lock.
func TestGoingBackLooksAfterTheLock(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	source := s.adoptedAndRun("x")
	s.as(s.ownerPool, `alter role `+s.owner+` set default_transaction_isolation = 'repeatable read'`)
	s.ownerPool.Reset()
	holder, err := s.upstreamPool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := holder.Exec(t.Context(), `create trigger t before update on x.celery_beat_schedules for each row
		execute function x.evil_row()`); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, _, err := source.Unadopt(t.Context(), false)
		done <- err
	}()
	testenv.Eventually(t, "unadopt waits for the table", func() error {
		var waiting bool
		err := s.ownerPool.QueryRow(t.Context(), `select exists (select from pg_locks
			where relation = 'x.celery_beat_schedules'::regclass and not granted)`).Scan(&waiting)
		if err == nil && !waiting {
			err = errors.New("nothing waits")
		}
		return err
	})
	if err := holder.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "trigger t of "+s.upstream) {
		t.Errorf("%v", err)
	}
	s.held("a trigger that was committed late")
}

// TestPlainTablesAreHandedBack has what the tables of services have, none of which runs anybody's code.
func TestPlainTablesAreHandedBack(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	source := s.adoptedAndRun("x")
	s.as(s.upstreamPool, `create type x.mood as enum ('calm'); create table x.owners (id int primary key); insert into x.owners values (1);
		alter table x.celery_beat_schedules add column mood x.mood default 'calm', add column owner_id int default 1 references x.owners,
			add column shown text generated always as (upper(name)) stored, add check (length(name) < 300), add check (last_run_at > '1970-01-01Z');
		create index on x.celery_beat_schedules (mood); create index on x.celery_beat_schedules (lower(name)) where enabled;
		create table x.notes (schedule uuid references x.celery_beat_schedules)`)
	if count, _, err := source.Unadopt(t.Context(), false); err != nil || count != 1 {
		t.Errorf("%d, %v", count, err)
	}
	var written int
	if err := s.ownerPool.QueryRow(t.Context(),
		`select count(*) from x.celery_beat_schedules where last_run_at is not null`).Scan(&written); err != nil || written != 1 {
		t.Errorf("%d rows, %v", written, err)
	}
}

// TestPartitionsOfOthersAreLookedAt has a table of a trusted role with a partition that somebody else owns.
func TestPartitionsOfOthersAreLookedAt(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	s.table("x")
	s.as(s.ownerPool, `create schema o; grant usage, create on schema o to `+s.upstream+`;
		create table o.celery_beat_schedules (like x.celery_beat_schedules including defaults) partition by hash (id);
		create table o.part partition of o.celery_beat_schedules for values with (modulus 1, remainder 0)`)
	testenv.Execute(t, s.superuser, `alter table o.part owner to `+s.upstream)
	s.as(s.upstreamPool, `alter table o.part add constraint c check (name <> x.evil('x'))`)
	s.ran = map[string]bool{}
	source, err := adopt.Find(t.Context(), s.ownerPool, "o"+adoptedTable, adopt.CeleryBeatSchedules)
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Adopt(t.Context(), "UTC"); err == nil || !strings.Contains(err.Error(), "x.evil(text)") {
		t.Errorf("%v", err)
	}
	s.held("a partition of somebody else's")
}
