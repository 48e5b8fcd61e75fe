package servers_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/servers"
)

// TestNobodyGetsInWithoutThePassword acts as another user of the machine, who can reach the ports and guesses
// passwords.
func TestNobodyGetsInWithoutThePassword(t *testing.T) {
	t.Parallel()
	p, err := servers.StartPostgres(t.Context(), config(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	url, err := p.CreateOwned(t.Context(), "tactus", "dev")
	if err != nil {
		t.Fatal(err)
	}
	own, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"tactus", "postgres", "dev", "nobody"} {
		for _, password := range []string{"", user, own.Password + "x"} {
			for _, database := range []string{"tactus", "postgres", "template1"} {
				guess := fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=disable", user, password, own.Port, database)
				conn, err := pgx.Connect(t.Context(), guess)
				if err == nil {
					conn.Close(t.Context())
					t.Errorf("%s gets in with the password %q", user, password)
				}
			}
		}
	}
	if got := query(t, url, "select rolsuper or rolcreaterole or rolcreatedb from pg_roles where rolname = current_user"); got != "f" {
		t.Error("the owner of the database has more rights than that")
	}
	if err := execute(t, url, "copy (select 1) to program 'true'"); stateOf(err) != "42501" {
		t.Errorf("the owner can run a program: %v", err)
	}
	if strings.ReplaceAll(url, own.Password, "") == url || strings.Contains(p.URL("tactus"), own.Password) {
		t.Error("the superuser's password follows from the owner's")
	}

	r, err := servers.StartRedis(t.Context(), config(t))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Kill()
	for _, password := range []string{"", "tactus", "x"} {
		client := redis.NewClient(&redis.Options{Addr: r.Addr(), Password: password, MaxRetries: -1})
		if err := client.ConfigSet(t.Context(), "dir", "/tmp").Err(); err == nil {
			t.Errorf("Redis accepts the password %q", password)
		}
		client.Close()
	}
	secrets := []string{own.Password, connect(t, r).Options().Password, parse(t, p.URL("x")).Password}
	for _, pid := range []int{p.PID(), r.PID()} {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if errors.Is(err, fs.ErrNotExist) {
			continue // there is no /proc
		}
		for _, secret := range secrets {
			if secret == "" || strings.Contains(string(line), secret) {
				t.Errorf("every user can see the password %q in %q", secret, line)
			}
		}
	}
}

func parse(t *testing.T, url string) *pgx.ConnConfig {
	t.Helper()
	c, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func execute(t *testing.T, url, sql string) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), sql)
	return err
}

func stateOf(err error) string {
	if fault, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fault.Code
	}
	return ""
}

// TestFoldersAreTheStartersAlone checks the permissions of all that a server leaves on disk.
func TestFoldersAreTheStartersAlone(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	for _, start := range []func() (interface{ Kill() error }, error){
		func() (interface{ Kill() error }, error) { return servers.StartRedis(t.Context(), cfg) },
		func() (interface{ Kill() error }, error) {
			return servers.StartPostgres(t.Context(), with(cfg, "postgres"))
		},
	} {
		server, err := start()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Kill()
	}
	err := filepath.WalkDir(filepath.Dir(cfg.Dir), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if others := info.Mode().Perm() &^ 0o711; info.IsDir() && others != 0 || !info.IsDir() && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("other users may use %s: %s", path, info.Mode())
		}
		if entry.IsDir() && entry.Name() == "data" {
			return fs.SkipDir // no other user can enter
		}
		if uid := int(info.Sys().(*syscall.Stat_t).Uid); info.IsDir() && uid != os.Geteuid() {
			t.Errorf("%s is of user %d", path, uid)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func with(cfg servers.Config, name string) servers.Config {
	cfg.Dir = filepath.Join(filepath.Dir(cfg.Dir), name)
	return cfg
}

// TestLogsAreNotLedElsewhere prepares a server's folder before its owner does, with links in place of logs and files.
func TestLogsAreNotLedElsewhere(t *testing.T) {
	t.Parallel()
	for name, files := range map[string][]string{"log": {"redis.log", "redis.conf"}, "password": {"password"}} {
		for how, link := range map[string]func(from, to string) error{"symbolic": os.Symlink, "hard": os.Link} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				cfg := config(t)
				target := filepath.Join(filepath.Dir(cfg.Dir), "precious")
				if err := os.WriteFile(target, []byte("as it was"), 0o644); err != nil {
					t.Fatal(err)
				}
				if err := os.Mkdir(cfg.Dir, 0o777); err != nil {
					t.Fatal(err)
				}
				for _, file := range files {
					if err := link(target, filepath.Join(cfg.Dir, file)); err != nil {
						t.Fatal(err)
					}
				}
				start := func() (interface{ Kill() error }, error) { return servers.StartRedis(t.Context(), cfg) }
				if name == "password" {
					start = func() (interface{ Kill() error }, error) { return servers.StartPostgres(t.Context(), cfg) }
				}
				if server, err := start(); err == nil {
					server.Kill()
					t.Error("the server starts")
				}
				text, err := os.ReadFile(target)
				info, serr := os.Lstat(target)
				if err != nil || serr != nil || string(text) != "as it was" || info.Mode().Perm() != 0o644 || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid()) {
					t.Errorf("the file that the link names: %q, %v, %v, %v", text, info.Mode(), err, serr)
				}
			})
		}
	}
}

// TestOwnDirRefusesWhatOthersHavePrepared has a link, a folder of another user, and a folder that another user can
// replace.
func TestOwnDirRefusesWhatOthersHavePrepared(t *testing.T) {
	t.Parallel()
	base := filepath.Dir(config(t).Dir)
	make := func(name string, mode fs.FileMode) string {
		path := filepath.Join(base, name)
		if err := errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	real := make("real", 0o700)
	if err := os.Symlink(real, filepath.Join(base, "link")); err != nil {
		t.Fatal(err)
	}
	refused := []string{filepath.Join(base, "link"), filepath.Join(make("open", 0o777), "mine")}
	if os.Geteuid() == 0 {
		theirs := make("theirs", 0o755)
		if err := os.Chown(theirs, 65533, -1); err != nil {
			t.Fatal(err)
		}
		refused = append(refused, theirs, filepath.Join(theirs, "mine"))
		sticky := make("sticky", 0o777|fs.ModeSticky)
		group := make("group", 0o775)
		leads := make("leads", 0o777|fs.ModeSticky)
		toOurs, over := filepath.Join(leads, "link"), filepath.Join(make("over", 0o755), "link")
		if err := errors.Join(os.Chown(sticky, 65533, -1), os.Chown(group, -1, 100), os.Symlink(real, toOurs), os.Lchown(toOurs, 65533, -1),
			os.Symlink("../theirs/../real", over)); err != nil {
			t.Fatal(err)
		}
		refused = append(refused, filepath.Join(sticky, "mine"), filepath.Join(group, "mine"), filepath.Join(group, "new", "mine"),
			filepath.Join(toOurs, "mine"), filepath.Join(over, "mine"))
	}
	for _, path := range refused {
		if err := servers.OwnDir(path); err == nil {
			t.Errorf("%s was accepted", path)
		}
	}
	for _, path := range refused {
		if base := filepath.Base(path); base != "mine" {
			continue
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s was made all the same", path)
		}
	}
	ours := filepath.Join(make("shared", 0o777|fs.ModeSticky), "link")
	if err := os.Symlink("../real", ours); err != nil {
		t.Fatal(err)
	}
	if err := servers.OwnDir(filepath.Join(ours, "mine")); err != nil {
		t.Error(err)
	}
	loose := make("loose", 0o777)
	if err := servers.OwnDir(loose); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(loose); err != nil || info.Mode().Perm()&^0o711 != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestDataOfEarlierVersions has data without a password, owned by the superuser and in another place.
func TestDataOfEarlierVersions(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Durable = true
	start := func() (*servers.Postgres, *servers.Redis) {
		p, err := servers.StartPostgres(t.Context(), with(cfg, "postgres"))
		if err != nil {
			t.Fatal(err)
		}
		r, err := servers.StartRedis(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return p, r
	}
	p, r := start()
	for _, sql := range []string{
		"create database tactus", "create schema s", "create table s.t (id int generated always as identity, n serial)", "create view v as select 1 as one",
		"create sequence s.q owned by none", "create type s.e as enum ('a')", "create domain s.d as int", "create function s.f() returns int language sql as 'select 1'",
	} {
		database := "tactus"
		if sql == "create database tactus" {
			database = "postgres"
		}
		if err := execute(t, p.URL(database), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := connect(t, r).Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Stop(t.Context()), r.Stop(t.Context()), os.Remove(filepath.Join(with(cfg, "postgres").Dir, "password")),
		os.Rename(filepath.Join(cfg.Dir, "data", "appendonlydir"), filepath.Join(cfg.Dir, "appendonlydir"))); err != nil {
		t.Fatal(err)
	}
	p, r = start()
	defer p.Kill()
	defer r.Kill()
	url, err := p.CreateOwned(t.Context(), "tactus", "dev")
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"drop table s.t", "drop view v", "drop sequence s.q", "drop function s.f()", "drop type s.e", "drop domain s.d", "drop schema s",
	} {
		if err := execute(t, url, sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if got, err := connect(t, r).Get(t.Context(), "k").Result(); err != nil || got != "v" {
		t.Errorf("Redis has %q, %v", got, err)
	}
}

// TestWhoTakesThePortFirstIsToldNothing has another process listen on the port of each server before the server does.
func TestWhoTakesThePortFirstIsToldNothing(t *testing.T) {
	t.Parallel()
	real, err := servers.StartRedis(t.Context(), config(t))
	if err != nil {
		t.Fatal(err)
	}
	defer real.Kill()
	for name, start := range map[string]func(servers.Config) error{
		"PostgreSQL": func(cfg servers.Config) error { _, err := servers.StartPostgres(t.Context(), cfg); return err },
		"Redis":      func(cfg servers.Config) error { _, err := servers.StartRedis(t.Context(), cfg); return err },
		"Sentinel": func(cfg servers.Config) error {
			_, err := servers.StartSentinel(t.Context(), "main", real, 1, cfg)
			return err
		},
		"PgBouncer": func(cfg servers.Config) error {
			_, err := servers.StartPgBouncer(t.Context(), "postgres://a:secret@127.0.0.1:1/b", cfg)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			squatter, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			cfg := config(t)
			cfg.Port = squatter.Addr().(*net.TCPAddr).Port
			told := make(chan struct{})
			go func() {
				if conn, err := squatter.Accept(); err == nil {
					conn.Close()
					close(told)
				}
			}()
			if err := start(cfg); err == nil {
				t.Error("the server starts on a port that it has not got")
			}
			select {
			case <-told:
				t.Error("somebody connects to a process that is not the server")
			default:
			}
			squatter.Close()
		})
	}
}

// TestPasswordsDoNotOutliveServers starts servers again: what was told to whoever had the port in between is worth
// nothing.
func TestPasswordsDoNotOutliveServers(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Durable = true
	var redisURLs, owners []string
	for range 2 {
		r, err := servers.StartRedis(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		redisURLs = append(redisURLs, connect(t, r).Options().Password)
		if err := r.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	p, err := servers.StartPostgres(t.Context(), with(cfg, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	for range 2 {
		url, err := p.CreateOwned(t.Context(), "tactus", "dev")
		if err != nil {
			t.Fatal(err)
		}
		owners = append(owners, url)
	}
	if redisURLs[0] == redisURLs[1] || owners[0] == owners[1] {
		t.Error("a password is as it was before")
	}
	if conn, err := pgx.Connect(t.Context(), owners[0]); err == nil {
		conn.Close(t.Context())
		t.Error("the former password lets in")
	}
	if got := query(t, owners[1], "select current_user"); got != "dev" {
		t.Errorf("the new password lets %q in", got)
	}
}

// TestOwnersOfDatabasesGainNothingByAStart has the owner of the database put functions and operators of its own where
// the superuser who hands over what is left would find them.
func TestOwnersOfDatabasesGainNothingByAStart(t *testing.T) {
	t.Parallel()
	p, err := servers.StartPostgres(t.Context(), config(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	url, err := p.CreateOwned(t.Context(), "tactus", "dev")
	if err != nil {
		t.Fatal(err)
	}
	if err := execute(t, p.URL("tactus"), "create table public.of_the_superuser ()"); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"create schema tactus",
		`create function tactus.format(text, text, regclass) returns text language plpgsql as $$ begin
			execute 'alter role dev superuser'; return 'table ' || $3::text; end $$`,
		`create function tactus.is_same(oid, regclass) returns boolean language plpgsql as $$ begin
			execute 'alter role dev superuser'; return true; end $$`,
		"create operator tactus.= (leftarg = oid, rightarg = regclass, function = tactus.is_same)",
	} {
		if err := execute(t, url, sql); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.CreateOwned(t.Context(), "tactus", "dev"); err != nil {
		t.Fatal(err)
	}
	if got := query(t, p.URL("tactus"), "select rolsuper from pg_roles where rolname = 'dev'"); got != "f" {
		t.Error("the owner of the database is a superuser")
	}
	if got := query(t, p.URL("tactus"), "select tableowner from pg_tables where tablename = 'of_the_superuser'"); got != "dev" {
		t.Errorf("the table is %s's", got)
	}
}
