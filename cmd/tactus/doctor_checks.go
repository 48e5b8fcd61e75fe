package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/detached"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/migrations"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// diagnosis prints findings, and remembers whether something must be done.
type diagnosis struct {
	to  io.Writer
	ill bool
}

// well prints that a part is as it should be, remark something that may be intended, and sick something that loses
// data, or does not work.
func (d *diagnosis) well(format string, args ...any)   { sayLine(d.to, "  "+format, args...) }
func (d *diagnosis) remark(format string, args ...any) { sayLine(d.to, "? "+format, args...) }
func (d *diagnosis) sick(format string, args ...any) {
	d.ill = true
	sayLine(d.to, "! "+format, args...)
}

// endangering reads the settings of PostgreSQL with which a crash loses committed data. Its first row has no setting.
const endangering = `
select s.name, current_setting('server_version'), clock_timestamp()
from pg_settings s where s.name in ('fsync', 'full_page_writes') and s.setting = 'off'
union all select '', current_setting('server_version'), clock_timestamp() order by 1`

// mostSkew is how far this machine's clock may differ from PostgreSQL's, which decides what is due.
const mostSkew = 2 * time.Second

func (d *diagnosis) database(ctx context.Context, pool *pgxpool.Pool) error {
	type row struct {
		Setting, Version string
		At               time.Time
	}
	asked := time.Now()
	rows, err := postgres.Collect(ctx, pool, pgx.RowToStructByPos[row], endangering)
	if errors.Is(err, postgres.ErrForeign) || errors.Is(err, postgres.ErrNoSchema) {
		d.sick("the schema: %v", err)
		return err
	}
	if err != nil {
		d.sick("PostgreSQL does not answer: %v", err)
		return err
	}
	d.well("PostgreSQL %s answers", rows[0].Version)
	for _, r := range rows[1:] {
		d.sick("%s is off: a crash of the machine may lose committed data; set it to on, and restart PostgreSQL",
			r.Setting)
	}
	if skew := rows[0].At.Sub(asked.Add(time.Since(asked) / 2)).Round(time.Millisecond); skew.Abs() > mostSkew {
		d.remark("this machine's clock differs from PostgreSQL's by %s, which decides what is due: set both by NTP",
			skew)
	} else {
		d.well("this machine's clock agrees with PostgreSQL's within %s", mostSkew)
	}
	if err := migrations.Ready(ctx, pool); err != nil {
		d.sick("the schema: %v", err)
		return err
	}
	d.well("this program knows the version of the schema")
	return nil
}

// condition reads what the database knows about the parts of the installation.
const condition = `
select l.holder, l.expires_at < clock_timestamp(),
    extract(epoch from clock_timestamp() - coalesce(l.watermark, clock_timestamp())),
    (select count(*) from (select from tactus.deadletters limit 10001) d),
    (select coalesce(string_agg(k.name, ', ' order by k.expires_at), '') from tactus.access_keys k
     where k.revoked_at is null and k.replaced_by is null and k.expires_at < clock_timestamp() + interval '7 days'
        and k.expires_at > clock_timestamp()),
    (select h.holder from tactus.leases h where h.name = 'shadow' and h.expires_at > clock_timestamp())
from (select) one left join tactus.leases l on l.name = 'beat'`

// mostBehind is how far a beat may be behind the clock.
const mostBehind = time.Minute

func (d *diagnosis) parts(ctx context.Context, pool *pgxpool.Pool) error {
	var holder, shadow *string
	var expired *bool
	var behind float64
	var letters int64
	var keys string
	if err := pool.QueryRow(ctx, condition).Scan(&holder, &expired, &behind, &letters, &keys, &shadow); err != nil {
		return fmt.Errorf("read leases, keys and dead letters: %w", err)
	}
	late := time.Duration(behind * float64(time.Second)).Round(time.Second)
	switch {
	case shadow != nil && (holder == nil || *expired):
		d.remark("the beat %s is in shadow mode: it records what it would fire, and fires nothing; another beat is in charge",
			*shadow)
	case holder == nil:
		d.sick("no beat has led yet, so nothing fires: start one (tactus beat)")
	case *expired:
		d.sick("no beat leads, so nothing fires; the last one was %s: start one, or look at its log", *holder)
	case late > mostBehind:
		d.sick("the beat %s is %s behind, so runs fire late: look at its log, and at what the database does",
			*holder, late)
	default:
		d.well("the beat %s leads, and has settled what is due", *holder)
	}
	if letters > 0 {
		d.sick("%d dead letters are set aside: look at them (tactus deadletter list), and put them back or drop them",
			letters)
	}
	if keys != "" {
		d.remark("keys that expire within a week: %s; make new ones (tactus key rotate NAME)", keys)
	}
	if n, err := catalog.New(pool).Invalid(ctx); err == nil && n > 0 {
		d.remark("%d schedules cannot be scheduled as they are defined: tactus schedule list --invalid true says why", n)
	}
	emptied, err := detached.List(ctx, pool)
	if err != nil {
		return err
	}
	for _, t := range emptied {
		d.remark("the old partition %s was emptied, and cannot be dropped: drop %s, or whatever it belongs to", t.Name,
			strings.Join(t.Dependents, " and "))
	}
	sinks, err := ledger.Sinks(ctx, pool)
	if err != nil {
		return fmt.Errorf("read sinks: %w", err)
	}
	for _, s := range sinks {
		if s.Silent > quietFor {
			d.sick("no relay has served %s for %s: start one (tactus relay), or give the sink up "+
				"(tactus relay --forget %[1]s)", s.Name, s.Silent.Round(time.Second))
		} else {
			d.well("a relay has served %s within the last %s", s.Name, (s.Silent + time.Second).Round(time.Second))
		}
	}
	return nil
}

// redis examines a Redis and, if it holds the stream of events, the consumer groups that read it.
func (d *diagnosis) redis(ctx context.Context, name string, url secret,
	check func(context.Context, goredis.UniversalClient) error, stream string,
) {
	client, err := redis.Connect(url.reveal())
	if err != nil {
		d.sick("%s: %v", name, url.fault(err))
		return
	}
	defer client.Close()
	if err := client.Ping(ctx).Err(); err != nil {
		d.sick("%s %s does not answer: %v", name, url, withoutURL(err))
		return
	}
	if err := check(ctx, client); err != nil {
		d.sick("%s: %v", name, err)
	} else {
		d.well("%s answers, and evicts no keys that tactus needs", name)
	}
	if stream == "" {
		return
	}
	groups, _ := client.XInfoGroups(ctx, stream).Result() // the stream does not exist before the first event
	for _, g := range groups {
		if g.Lag > mostLag {
			d.sick("the consumer group %s is %d events behind: check whether its reader runs", strings.TrimSpace(g.Name), g.Lag)
		}
	}
}

// mostLag is how many events a consumer group may be behind.
const mostLag = 10_000
