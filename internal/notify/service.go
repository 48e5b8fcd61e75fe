package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// StreamSink is the name of the sink for the stream of runs in the relay's tables.
const StreamSink = "runs"

// Config configures a Service.
type Config struct {
	Log       *slog.Logger
	Stream    relay.Route // to the stream of runs; the Service sets its encoder
	AllStates *bool       // whether all runs' states go to the stream, rules or not; nil leaves the setting unchanged
	Keep      time.Duration
}

// Service carries, finds and delivers happenings while there are rules. Any number of processes may run one.
type Service struct {
	cfg     Config
	pool    *pgxpool.Pool
	courier *Courier
	relay   *relay.Relay
	book    *book
	living  atomic.Bool
	rules   atomic.Pointer[[]domain.NotificationRule]
}

// NewService returns a service that uses a pool and a courier. The caller closes the pool.
func NewService(pool *pgxpool.Pool, courier *Courier, cfg Config) (*Service, error) {
	sink := NewRules(pool, courier.Wake)
	s := &Service{cfg: cfg, pool: pool, courier: courier, book: sink.rules}
	s.rules.Store(&[]domain.NotificationRule{})
	stream := cfg.Stream
	stream.Name, stream.Topic, stream.Encode = StreamSink, sqlexpr.Happenings, s.encodeForStream
	r, err := relay.New(pool, []relay.Route{stream, {
		Name: RulesSink, Topic: sqlexpr.Happenings, To: "notification rules", Sink: sink,
		Encode: Encode,
	}}, relay.Config{Log: cfg.Log, Keep: cfg.Keep})
	s.relay = r
	return s, err
}

// encodeForStream returns the message of a happening, or nil if no rule sends it to the stream.
func (s *Service) encodeForStream(row outbox.Row, epoch string) (*message.Message, error) {
	m, err := Encode(row, epoch)
	if err != nil {
		return nil, err
	}
	events, err := eventsOf([]relay.Entry{{Message: m}})
	if err != nil || events[0].RuleID != nil {
		return nil, err
	}
	for _, r := range *s.rules.Load() {
		if r.To == domain.Stream && (r.Name == "" || events[0].concerns(r) && events[0].toldBy(r, false) != "") {
			return m, nil
		}
	}
	return nil, nil
}

// Stats returns the figures of the sinks; none while there are no rules.
func (s *Service) Stats() []relay.Stats {
	if !s.living.Load() {
		return nil
	}
	return s.relay.Stats()
}

const (
	// watchEvery is how often the service looks for rules.
	watchEvery = 2 * time.Second
	// setEvery is how often a relay that wants all states writes the setting again, in case another relay has changed
	// it.
	setEvery = 30 * time.Second
)

// Run runs the service until ctx ends.
func (s *Service) Run(ctx context.Context) {
	var stop func()
	var set time.Time
	every := time.NewTicker(watchEvery)
	defer every.Stop()
	for {
		if wanted := s.cfg.AllStates; wanted != nil && (set.IsZero() || *wanted && time.Since(set) > setEvery) &&
			s.set(ctx) {
			set = time.Now()
		}
		wanted, known := s.look(ctx)
		switch {
		case known && wanted && stop == nil:
			stop = s.start(ctx)
		case known && !wanted && stop != nil:
			stop()
			stop = nil
			s.forget(ctx)
		}
		select {
		case <-ctx.Done():
			if stop != nil {
				stop()
			}
			return
		case <-every.C:
		}
	}
}

// start starts the relay, the courier and the sweep, and returns a function that stops them.
func (s *Service) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	s.living.Store(true)
	all.Go(func() { s.relay.Run(ctx) })
	all.Go(func() { s.courier.Run(ctx) })
	all.Go(func() { s.sweep(ctx) })
	return func() {
		cancel()
		all.Wait()
		s.living.Store(false)
	}
}

const anyDelivery = `select exists (select from tactus.notification_deliveries d join tactus.notification_rules r on
    r.id = d.rule_id and r.deleted_at is null)`

// look reads the rules. wanted reports whether there are rules or deliveries; known is false if the database did not
// answer.
func (s *Service) look(ctx context.Context) (wanted, known bool) {
	rules, err := s.book.read(ctx)
	if err == nil && len(rules) == 0 {
		wanted, err = postgres.IsTrue(ctx, s.pool, anyDelivery)
	}
	if err != nil {
		if code := postgres.Code(err); ctx.Err() == nil && code != "42P01" { // an older schema has no rules
			s.cfg.Log.Warn("cannot look for notification rules", "err", err)
		}
		return false, false
	}
	s.rules.Store(&rules)
	return wanted || len(rules) > 0, true
}

// forget unregisters the sinks, so that the log is not kept for them.
func (s *Service) forget(ctx context.Context) {
	for _, sink := range []string{RulesSink, StreamSink} {
		err := ledger.Forget(ctx, s.pool, sink, 0)
		if err != nil && !errors.Is(err, ledger.ErrNoSink) && !errors.Is(err, ledger.ErrServed) && ctx.Err() == nil {
			s.cfg.Log.Warn("cannot forget a sink", "sink", sink, "err", err)
		}
	}
}

// setSQL stores the setting as a rule without a name, or deletes that rule.
const setSQL = `
with wanted as (
    insert into tactus.notification_rules as r (id, name, version, enabled, states, definition, created_at, updated_at)
    select @id, '', 1, true, @states::text[], '{"on":[],"to":"stream"}', clock_timestamp(), clock_timestamp() where
        @all::boolean
    on conflict (id) do update set states = excluded.states, deleted_at = null, updated_at = excluded.updated_at
    where r.deleted_at is not null or r.states <> excluded.states
)
update tactus.notification_rules set deleted_at = clock_timestamp() where id = @id and deleted_at is null and not
    @all::boolean`

// everyState are the final states of a run.
var everyState = []string{
	string(domain.Succeeded), string(domain.Failed), string(domain.MissedRun), string(domain.Unknown),
	string(domain.Revoked),
	string(domain.Expired), string(domain.Skipped), string(domain.Excluded),
}

// set writes the setting to the database, where the statements that end runs read it.
func (s *Service) set(ctx context.Context) (done bool) {
	_, err := s.pool.Exec(ctx, setSQL, pgx.NamedArgs{"id": ruleID(""), "states": everyState, "all": *s.cfg.AllStates})
	if err != nil && ctx.Err() == nil && postgres.Code(err) != "42P01" {
		s.cfg.Log.Warn("cannot keep the setting", "setting", "TACTUS_RUN_EVENTS", "err", fmt.Errorf("write rule: %w",
			err))
	}
	return err == nil
}
