package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/migrations"
)

// roleFlags say which roles migrate makes, and what users Redis is to have.
type roleFlags struct {
	Roles      bool     `xor:"look" help:"Make a role for each process, and let it in (docs/roles.md)."`
	Print      bool     `xor:"look" help:"Only print the SQL that makes the roles, and the users of Redis."`
	RolePrefix string   `default:"tactus_" help:"What the names of roles and users begin with."`
	Prefix     string   `name:"key-prefix" env:"TACTUS_KEY_PREFIX" help:"That of the processes, for --print."`
	Channel    string   `name:"celery-beat-redis-channel" env:"CELERY_BEAT_REDIS_CHANNEL" default:"celery_beat_schedule_updates" help:"That of the processes, for --print."`
	Database   int      `name:"broker-database" default:"0" help:"Number of the broker's database, for --print."`
	Results    string   `name:"result-key-prefix" env:"TACTUS_RESULT_KEY_PREFIX" help:"That of the processes, for --print."`
	Queues     []string `name:"queues" placeholder:"PATTERN" help:"Patterns of the keys of queues and streams to which the relay may push (default all)."`
}

// make makes the roles as far as the role of the connection may, and reports whether that owns the schema.
func (f roleFlags) make(ctx context.Context, conn *pgx.Conn, to console) (owns bool, err error) {
	var super bool
	if err := conn.QueryRow(ctx, `
select rolsuper,
    coalesce((select pg_has_role(current_user, oid, 'member') from pg_roles where rolname = $1), false)
from pg_roles where rolname = current_user`, f.RolePrefix+"owner").Scan(&super, &owns); err != nil {
		return false, fmt.Errorf("look at the roles: %w", err)
	}
	if !super {
		if !owns {
			return false, usage("--roles: connect as a superuser, who makes the roles, or as %sowner, who lets them in",
				f.RolePrefix)
		}
		return true, nil
	}
	made, err := migrations.MissingRoles(ctx, conn, f.RolePrefix)
	if err != nil {
		return false, err
	}
	for _, sql := range migrations.MakeRoles(f.RolePrefix) {
		if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return false, fmt.Errorf("%s: %w", sql, err)
		}
	}
	for _, name := range made {
		say(to.out, "made role %s: give it a password, \\\\password %s in psql\n", text(name), text(name))
	}
	say(to.out, `next, as %sowner: tactus migrate`+"\n", f.RolePrefix)
	return false, nil
}

// grant gives roles what they lack, and prints what it did.
func (f roleFlags) grant(ctx context.Context, conn *pgx.Conn, to console) error {
	var roles []migrations.Role // those that a superuser has given to the owner
	if f.Roles {
		roles = migrations.Roles(f.RolePrefix)
	}
	did, err := migrations.Grant(ctx, conn, roles)
	for _, sql := range did {
		say(to.out, "%s\n", text(sql))
	}
	return err
}

// print prints what a superuser runs, and the users of Redis.
func (f roleFlags) print(out io.Writer) error {
	fmt.Fprintln(out, "-- SQL, which a superuser runs in the database. Then each role gets a password (\\password ROLE "+
		"in psql), and\n-- tactus migrate, run as the owner, lets the others in.")
	for _, sql := range migrations.MakeRoles(f.RolePrefix) {
		say(out, "%s;\n", text(sql))
	}
	fmt.Fprintln(out, "\n-- Redis, by redis-cli or in its aclfile, with a password for each (the api needs no Redis).")
	for _, user := range f.users() {
		say(out, "ACL SETUSER %s\n", text(user))
	}
	return nil
}

// Commands of each process. Scripts are run with the rights of whoever runs them.
const (
	anyCommands = "-@all +hello +ping +select +client|setname +info +cluster|slots " +
		"+readonly +multi +exec +eval +evalsha +script|load +time +type +exists +get +set +del +xinfo +xrange +xrevrange"
	relayCommands = "+hget +hset +hsetnx +hdel +hmget +xadd +xtrim +xdel +xlen +xsetid +xpending +xclaim +xgroup " +
		"+rename +lpush +lpop +ltrim +lrange +llen +smembers +scard +publish +scan"
	beatCommands = "+hget +hset +hdel +hmget +xreadgroup +xack +xautoclaim +xclaim +xpending +xgroup +xlen +xdel " +
		"+xadd +mget +psubscribe +punsubscribe +subscribe +unsubscribe"
)

// users are the rules of the users of Redis.
func (f roleFlags) users() []string {
	own := "~" + f.Prefix + "tactus:* ~{" + f.Prefix + "tactus:*" // what belongs to a stream is in its slot
	queues := "~*"
	if len(f.Queues) > 0 {
		queues = own + " ~" + f.Prefix + "_kombu.* ~" + f.Prefix + "unacked*"
		for _, q := range f.Queues {
			queues += " ~" + f.Prefix + q
		}
	}
	broker := fmt.Sprintf("%s/%d.", f.Prefix, f.Database)
	relay := []string{queues, "&" + f.Channel, "&" + broker + celery.ControlChannel, anyCommands, relayCommands}
	// A pattern that is subscribed to has to be in the rule as it is.
	results, events := redis.Literal(f.Results)+celery.ResultPrefix+"*", redis.Literal(broker)
	beat := []string{
		own, "~" + results, "&" + results, "&" + events + "celeryev*", "&" + events + "celeryev/task.*",
		anyCommands, beatCommands,
	}
	return []string{
		f.RolePrefix + "relay reset on >PASSWORD " + strings.Join(relay, " "),
		f.RolePrefix + "beat reset on >PASSWORD " + strings.Join(beat, " "),
	}
}

var safePrefix = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// validateRoles refuses a prefix that would need quotes somewhere.
func (f roleFlags) validateRoles() error {
	if !safePrefix.MatchString(f.RolePrefix) || strings.HasPrefix(f.RolePrefix, "pg_") {
		return usage("--role-prefix %q: want letters, digits and underscores, such as tactus_", f.RolePrefix)
	}
	return nil
}
