package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/internal/tablelocks"
)

// Courier sends deliveries. Several couriers may work at once, in several processes.
type Courier struct {
	pool      *pgxpool.Pool
	publisher message.Publisher
	log       *slog.Logger
	beside    *tablelocks.Beside
	bell      chan struct{}
	places    chan struct{}
	sent      *prometheus.CounterVec
	took      prometheus.Histogram
	failing   prometheus.Gauge
}

// NewCourier returns a courier that uses a pool and a publisher, which the caller closes.
func NewCourier(
	pool *pgxpool.Pool, publisher message.Publisher, log *slog.Logger, registry prometheus.Registerer,
) *Courier {
	c := &Courier{
		pool: pool, publisher: publisher, log: log, beside: tablelocks.NewBeside(pool, log),
		bell: make(chan struct{}, 1), places: make(chan struct{}, atOnce),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tactus_notifications_total",
			Help: "Attempts to deliver a notification, by form and outcome (delivered, failed, dead).",
		}, []string{"to", "outcome"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tactus_notification_seconds", Help: "How long attempts to deliver a notification take.",
			Buckets:                     []float64{.01, .03, .1, .3, 1, 3, 10},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100,
		}),
		failing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tactus_notification_looks_failing",
			Help: "Looks of notification rules for what is late, paused, invalid or has never fired that fail.",
		}),
	}
	registry.MustRegister(c.sent, c.took, c.failing, waitingMetric{pool})
	return c
}

const (
	// atOnce is how many deliveries may be under way in a process, each for another rule.
	atOnce = 128
	// ofAHost is how many deliveries of all processes may be under way to one host, so that a host that hangs does not
	// block the others.
	ofAHost = 4
	// lookEvery is how often the courier looks for due deliveries.
	lookEvery = time.Second
	// rests is how long the courier rests after a look, in multiples of the time that the look took, but at most
	// restMost. A look goes through all deliveries, and each delivery that ends asks for one.
	rests    = 7
	restMost = 5 * time.Second
	// takenFor is how long a courier may hold a delivery. After that time the courier counts as dead, and another one
	// may take the delivery.
	takenFor = time.Minute
)

// Wake makes the courier look for deliveries now.
func (c *Courier) Wake() {
	select {
	case c.bell <- struct{}{}:
	default: // it will look anyway
	}
}

// Run sends deliveries until ctx ends, and then finishes those that are under way.
func (c *Courier) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	every := time.NewTicker(lookEvery)
	defer every.Stop()
	for {
		began := time.Now()
		letters, err := c.take(ctx)
		rested := time.After(min(rests*time.Since(began), restMost))
		if err != nil && ctx.Err() == nil {
			c.log.Warn("cannot look for notifications to deliver", "err", err)
		}
		for _, l := range letters {
			c.places <- struct{}{}
			all.Go(func() {
				defer func() { <-c.places; c.Wake() }()
				c.deliver(context.WithoutCancel(ctx), l)
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-rested:
		}
		select {
		case <-ctx.Done():
			return
		case <-c.bell:
		case <-every.C:
		}
	}
}

// authorities selects the addresses of rules up to the authority, which says where a request goes.
const authorities = `select rule_id, substring(url from '^[^/]*//[^/?#]*') from tactus.notification_secrets`

// hosts returns the rules, and the host of each rule's address at the same index.
func (c *Courier) hosts(ctx context.Context) (rules []domain.ID, hosts []string, err error) {
	type row struct {
		Rule domain.ID
		URL  *string
	}
	all, err := postgres.Collect(ctx, c.pool, pgx.RowToStructByPos[row], authorities)
	if err != nil {
		return nil, nil, fmt.Errorf("read where rules tell: %w", err)
	}
	for _, one := range all {
		rules, hosts = append(rules, one.Rule), append(hosts, hostOf(orEmpty(one.URL)))
	}
	return rules, hosts, nil
}

// takeSQL takes due deliveries: at most one for each rule, none for a rule with a delivery under way, and no more for a
// host than ofAHost allows. Deliveries that have failed before come behind the others. A test does not wait for other
// deliveries of its rule. Deliveries with locked rows are left for later.
const takeSQL = `
with told as materialized (
    select rule_id, host from unnest(@rules::uuid[], @hosts::text[]) h (rule_id, host)
),
taken_now as materialized (
    select rule_id from tactus.notification_deliveries where taken_until >= clock_timestamp()
),
under_way as materialized (
    select h.host, count(*) as n from taken_now t join told h on h.rule_id = t.rule_id group by 1
),
candidate as (
    select id, rule_id, attempts, due_at, host,
        row_number() over (partition by host order by attempts, due_at, id) as place
    from (
        select d.id, d.rule_id, d.attempts, d.due_at, h.host,
            row_number() over (partition by d.rule_id order by d.kind = '` + kindTest + `' desc, d.due_at, d.id) as nth
        from tactus.notification_deliveries d join tactus.notification_rules r on r.id = d.rule_id and r.deleted_at
            is null
        join told h on h.rule_id = d.rule_id
        left join tactus.notification_progress p on p.rule_id = d.rule_id
        where d.due_at <= clock_timestamp() and (d.taken_until is null or d.taken_until < clock_timestamp())
            and (d.kind = '` + kindTest + `' or r.enabled and coalesce(p.held_until <= clock_timestamp(), true)
                and d.rule_id not in (select rule_id from taken_now))
    ) d where nth = 1
),
due as (
    select c.id, c.rule_id from candidate c left join under_way u on u.host = c.host
    where c.place + coalesce(u.n, 0) <= @of_a_host::bigint order by c.attempts, c.due_at limit @free::bigint
),
progress as (
    select rule_id from tactus.notification_progress where rule_id in (select rule_id from due)
    for no key update skip locked
),
free as (
    select id from tactus.notification_deliveries d where id in (select id from due)
        and (taken_until is null or taken_until < clock_timestamp())
        and (kind = '` + kindTest + `' or rule_id in (select rule_id from progress)
            or not exists (select from tactus.notification_progress p where p.rule_id = d.rule_id))
    for no key update skip locked
),
taken as (
    update tactus.notification_deliveries d set gathers = false, attempts = d.attempts + 1, taken_until =
        clock_timestamp() + @lease::interval
    from free where d.id = free.id
    returning d.*
),
began as (
    insert into tactus.notification_progress as p (rule_id, began_at) select rule_id, clock_timestamp() from taken
        where kind <> '` + kindTest + `'
    on conflict (rule_id) do update set began_at = excluded.began_at
)
select t.id, t.rule_id, r.name, r.definition::text, t.kind, t.count, t.documents, t.created_at, t.attempts, s.url,
    s.key, s.headers::text,
    case when s.former_until > clock_timestamp() then s.former_key end
from taken t join tactus.notification_rules r on r.id = t.rule_id join tactus.notification_secrets s on s.rule_id =
    t.rule_id`

func (c *Courier) take(ctx context.Context) ([]*letter, error) {
	free := cap(c.places) - len(c.places)
	if free == 0 {
		return nil, nil
	}
	rules, hosts, err := c.hosts(ctx)
	if err != nil {
		return nil, err
	}
	return postgres.Collect(ctx, c.pool, func(row pgx.CollectableRow) (*letter, error) {
		l := &letter{}
		return l, row.Scan(&l.ID, &l.RuleID, &l.Name, &l.Definition, &l.Kind, &l.Count, &l.Documents, &l.CreatedAt,
			&l.Attempts,
			&l.URL, &l.Key, &l.Headers, &l.FormerKey)
	}, takeSQL, pgx.NamedArgs{"free": free, "lease": takenFor, "of_a_host": ofAHost, "rules": rules, "hosts": hosts})
}

// deliver sends a letter, and records the outcome.
func (c *Courier) deliver(ctx context.Context, l *letter) {
	began := time.Now()
	m, address, err := l.message()
	if err == nil {
		limit := sendTimeout
		if l.Kind == kindTest {
			limit = testTimeout
		}
		sending, cancel := context.WithTimeout(ctx, limit)
		m.SetContext(sending)
		err = c.publisher.Publish(address, m)
		cancel()
	}
	c.took.Observe(time.Since(began).Seconds())
	outcome := "delivered"
	switch {
	case l.Kind == kindTest:
		err = c.tested(ctx, l, err)
	case err == nil:
		err = c.keep(ctx, deliveredSQL, l, outcome, pgx.NamedArgs{"error": nil})
	default:
		outcome, err = c.failed(ctx, l, err)
	}
	c.sent.WithLabelValues(string(l.rule.To), outcome).Inc()
	if err != nil { // without a record it is sent again after takenFor
		c.log.Warn("what came of a notification is not kept", "rule", l.Name, "err", err)
	}
}

// pauses are the waits after each failed attempt. A delivery that fails once more after the last wait becomes a dead
// letter.
var pauses = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour,
	4 * time.Hour, 6 * time.Hour, 8 * time.Hour,
}

// pauseAfter returns the pause after a number of attempts, randomly up to a fifth longer or shorter, so that not all
// deliveries are repeated at once.
func pauseAfter(attempts int) time.Duration {
	pause := pauses[min(max(attempts, 1), len(pauses))-1]
	return pause - pause/5 + rand.N(2*pause/5)
}

// failed makes a letter wait for its next attempt, or sets it aside.
func (c *Courier) failed(ctx context.Context, l *letter, why error) (outcome string, err error) {
	f, _ := errors.AsType[*failure](why)
	if f == nil {
		f = &failure{why: why.Error(), forGood: true}
	}
	text := postgres.Storable(f.why)
	pause := max(pauseAfter(l.Attempts), f.after)
	if l.Attempts == 1 {
		c.log.Warn("a notification is not delivered", "rule", l.Name, "err", text)
	}
	if f.forGood || l.Attempts > len(pauses) {
		c.log.Error("a notification is set aside", "rule", l.Name, "attempts", l.Attempts, "err", text)
		return "dead", c.keep(ctx, deadSQL, l, "dead", pgx.NamedArgs{
			"error": text, "pause": pauses[0], "reference": l.Name + "/" + l.ID.String(), "data": l.kept(),
		})
	}
	return "failed", c.keep(ctx, failedSQL, l, "failed", pgx.NamedArgs{"error": text, "pause": pause})
}

// keptLetter is the data of a dead letter for a delivery.
type keptLetter struct {
	RuleID    domain.ID         `json:"rule_id"`
	Kind      string            `json:"kind"`
	Count     int64             `json:"count"`
	Documents []json.RawMessage `json:"happenings"`
}

func (l *letter) kept() string {
	k := keptLetter{l.RuleID, l.Kind, l.Count, []json.RawMessage{}}
	for _, text := range l.Documents {
		k.Documents = append(k.Documents, json.RawMessage(text))
	}
	raw, _ := json.Marshal(k) // always valid
	return string(raw)
}

const (
	endedSQL = `
with ended as (
    delete from tactus.notification_deliveries where id = @id and attempts = @attempts
    returning rule_id, count, attempts
)`

	// attempt yields the record of an attempt, and keepsAttempt puts it in front of the earlier ones.
	attempt = `array[json_strip_nulls(json_build_object('at', tactus.iso(clock_timestamp()), 'outcome', @outcome::text,
    'test', @test::boolean, 'count', count, 'attempt', attempts, 'error', @error::text))]`
	keepsAttempt = `recent = (excluded.recent || p.recent)[1:` + mostRecent + `]`

	deliveredSQL = endedSQL + `
insert into tactus.notification_progress as p (rule_id, delivered_at, recent)
select rule_id, clock_timestamp(), ` + attempt + ` from ended
on conflict (rule_id) do update set delivered_at = excluded.delivered_at, failures = 0, held_until = null, error = null,
    ` + keepsAttempt

	failedSQL = `
with ended as (
    update tactus.notification_deliveries set due_at = clock_timestamp() + @pause::interval, taken_until = null,
        error = @error
    where id = @id and attempts = @attempts returning rule_id, count, attempts
)` + failedEnd

	// failedEnd holds the rule back, since its other deliveries would fail as well.
	failedEnd = `
insert into tactus.notification_progress as p (rule_id, failures, failed_at, error, held_until, recent)
select rule_id, 1, clock_timestamp(), @error::text, clock_timestamp() + @pause::interval, ` + attempt + ` from ended
on conflict (rule_id) do update set failures = p.failures + 1, failed_at = excluded.failed_at, error = excluded.error,
    held_until = excluded.held_until, ` + keepsAttempt

	deadSQL = endedSQL + `,
letter as (
    insert ` + sqlexpr.IntoLetters + ` (source, reference, reason, data) select 'notifications', @reference, @error,
        @data from ended
    on conflict (source, reference) do nothing
)` + failedEnd

	testedSQL = endedSQL + `
insert into tactus.notification_progress as p (rule_id, tested_at, test_error, recent)
select rule_id, clock_timestamp(), @error::text, ` + attempt + ` from ended
on conflict (rule_id) do update set tested_at = excluded.tested_at, test_error = excluded.test_error, ` + keepsAttempt
)

// mostRecent is how many attempts are kept for each rule.
const mostRecent = "10"

func (c *Courier) keep(ctx context.Context, sql string, l *letter, outcome string, args pgx.NamedArgs) error {
	args["id"], args["attempts"], args["outcome"], args["test"] = l.ID, l.Attempts, outcome, l.Kind == kindTest
	return postgres.Retry(ctx, func() error {
		err := c.beside.Do(ctx, sql, func(sql string) error {
			_, err := c.pool.Exec(ctx, sql, args)
			return err
		})
		if err != nil {
			return fmt.Errorf("keep what came of a notification: %w", err)
		}
		return nil
	})
}

// tested records the outcome of a test, which is sent only once.
func (c *Courier) tested(ctx context.Context, l *letter, err error) error {
	outcome := "delivered"
	var why *string
	if err != nil {
		text := postgres.Storable(err.Error())
		outcome, why = "failed", &text
	}
	return c.keep(ctx, testedSQL, l, outcome, pgx.NamedArgs{"error": why})
}

// waitingMetric collects how many deliveries wait at each scrape.
type waitingMetric struct{ pool *pgxpool.Pool }

var waitingCount = prometheus.NewDesc("tactus_notifications_waiting", "Notifications that are to be delivered", nil,
	nil)

// Describe implements prometheus.Collector.
func (m waitingMetric) Describe(to chan<- *prometheus.Desc) { to <- waitingCount }

// Collect implements prometheus.Collector.
func (m waitingMetric) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var n int64
	if m.pool.QueryRow(ctx, `select count(*) from tactus.notification_deliveries`).Scan(&n) == nil {
		to <- prometheus.MustNewConstMetric(waitingCount, prometheus.GaugeValue, float64(n))
	}
}
