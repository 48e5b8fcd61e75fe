package notify

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/relay"
)

// RulesSink is the name of the sink of rules in the relay's tables.
const RulesSink = "rules"

// Rules is a sink of happenings: it has each gather in the deliveries of the rules that tell of it. Its mark is in the
// database, and moves in the statement that writes.
type Rules struct {
	pool  *pgxpool.Pool
	rules *book
	wake  func()
}

// NewRules returns a sink over a pool that it is lent. wake is called when there is something to deliver.
func NewRules(pool *pgxpool.Pool, wake func()) *Rules { return &Rules{pool, &book{pool: pool}, wake} }

const readMark = `select epoch, batch, place from tactus.relay_forwards where sink = '` + RulesSink + `'`

// Mark implements relay.Sink.
func (s *Rules) Mark(ctx context.Context) (m relay.Mark, err error) {
	err = s.pool.QueryRow(ctx, readMark).Scan(&m.Epoch, &m.Last.Batch, &m.Last.Seq)
	if errors.Is(err, pgx.ErrNoRows) {
		return relay.Mark{}, nil
	}
	if err != nil {
		return relay.Mark{}, fmt.Errorf("read the mark of the rules: %w", err)
	}
	return m, nil
}

// Begin implements relay.Sink.
func (s *Rules) Begin(ctx context.Context, from, to relay.Mark) error {
	_, err := s.write(ctx, from, to, gathering{})
	return err
}

// Append implements relay.Sink.
func (s *Rules) Append(ctx context.Context, at relay.Mark, entries []relay.Entry) (relay.Mark, error) {
	to := relay.Mark{Epoch: at.Epoch, Last: entries[len(entries)-1].ID}
	events, err := eventsOf(entries)
	if err != nil {
		return relay.Mark{}, err
	}
	var g gathering
	if len(events) > 0 {
		if g, err = s.gather(ctx, events); err != nil {
			return relay.Mark{}, err
		}
	}
	now, err := s.write(ctx, at, to, g)
	if err == nil && len(g.rules) > 0 {
		s.wake()
	}
	return now, err
}

// writeSQL moves the mark, and only with it has happenings gather. A rule that has just been deleted gathers nothing.
const writeSQL = `
with moved as (
    insert into tactus.relay_forwards as f (sink, epoch, batch, place) select '` + RulesSink + `', @epoch,
        @batch::bigint, @place::bigint
    where @from_epoch = '' and @from_batch::bigint = 0 or exists (select from tactus.relay_forwards where sink =
        '` + RulesSink + `')
    on conflict (sink) do update set epoch = excluded.epoch, batch = excluded.batch, place = excluded.place
    where f.epoch = @from_epoch and f.batch = @from_batch::bigint and f.place = @from_place::bigint
    returning true as really
),
given as (
    select g.* from moved, unnest(@rules::uuid[], @kinds::text[], @every::bigint[], @counts::bigint[],
        @documents::text[])
        with ordinality g (rule_id, kind, every, count, document, nth)
    join tactus.notification_rules r on r.id = g.rule_id and r.deleted_at is null
),
gathered as (
    insert into tactus.notification_deliveries as d (rule_id, kind, count, documents, due_at)
    select g.rule_id, g.kind, sum(g.count), array_agg(g.document order by g.nth),
        greatest(clock_timestamp(), max(p.began_at + g.every * interval '1 minute')) + min(g.nth) * interval '1
            microsecond'
    from given g left join tactus.notification_progress p on p.rule_id = g.rule_id group by g.rule_id, g.kind
    on conflict (rule_id, kind) where gathers do update set count = d.count + excluded.count,
        documents = (d.documents || excluded.documents)[1:` + mostDocumentsText + `]
),
failing as (
    insert into tactus.notification_failing (rule_id, schedule_id, since)
    select f.rule_id, f.schedule_id, clock_timestamp() from moved, unnest(@failing_rules::uuid[], @failing::uuid[]) f
        (rule_id, schedule_id)
    on conflict do nothing
),
recovered as (
    delete from tactus.notification_failing f using moved, unnest(@recovered_rules::uuid[], @recovered::uuid[]) r
        (rule_id, schedule_id)
    where f.rule_id = r.rule_id and f.schedule_id = r.schedule_id
)
select count(*) from moved`

// mostDocuments is how many happenings a delivery shows; all are counted.
const (
	mostDocuments     = 20
	mostDocumentsText = "20"
)

func (s *Rules) write(ctx context.Context, from, to relay.Mark, g gathering) (relay.Mark, error) {
	moved, err := postgres.Collect(ctx, s.pool, pgx.RowTo[int64], writeSQL, pgx.NamedArgs{
		"epoch": to.Epoch, "batch": to.Last.Batch, "place": to.Last.Seq,
		"from_epoch": from.Epoch, "from_batch": from.Last.Batch, "from_place": from.Last.Seq,
		"rules": g.rules, "kinds": g.kinds, "every": g.every, "counts": g.counts, "documents": g.documents,
		"failing_rules": g.failingRules, "failing": g.failing, "recovered_rules": g.recoveredRules,
		"recovered": g.recovered,
	})
	if err != nil {
		return relay.Mark{}, fmt.Errorf("have happenings gather: %w", err)
	}
	if moved[0] > 0 {
		return to, nil
	}
	real, err := s.Mark(ctx)
	if err != nil {
		return relay.Mark{}, err
	}
	return real, &relay.Mismatch{Real: real}
}

// gathering is what a statement has gather, in columns.
type gathering struct {
	rules                     []domain.ID
	kinds                     []string
	every, counts             []int64
	documents                 []string
	failingRules, failing     []domain.ID
	recoveredRules, recovered []domain.ID
}

// add counts and shows a happening.
func (g *gathering) add(rule domain.NotificationRule, kind, document string) {
	g.rules, g.kinds, g.every = append(g.rules, rule.ID), append(g.kinds, kind), append(g.every, rule.EveryMinutes)
	g.counts, g.documents = append(g.counts, 1), append(g.documents, document)
}

// pair is a schedule as a rule sees it.
type pair struct{ rule, schedule domain.ID }

const failingOf = `select rule_id, schedule_id from tactus.notification_failing where schedule_id = any
    (@schedules::uuid[])`

// gather finds the rules that tell of events.
func (s *Rules) gather(ctx context.Context, events []event) (g gathering, err error) {
	all, err := s.rules.read(ctx)
	if err != nil {
		return g, err
	}
	schedules := make([]domain.ID, len(events))
	for i, e := range events {
		schedules[i] = e.ScheduleID
	}
	known, err := postgres.Collect(ctx, s.pool, func(row pgx.CollectableRow) (p pair, err error) {
		return p, row.Scan(&p.rule, &p.schedule)
	}, failingOf, pgx.NamedArgs{"schedules": schedules})
	if err != nil {
		return g, fmt.Errorf("read what has not recovered: %w", err)
	}
	failing := map[pair]bool{}
	for _, p := range known {
		failing[p] = true
	}
	changed := map[pair]bool{}
	type gatheringKey struct {
		rule domain.ID
		kind string
	}
	shown := map[gatheringKey]int{}
	last := map[gatheringKey]int{} // its newest place in g
	for _, e := range events {
		for _, r := range all {
			what := e.toldBy(r, failing, changed)
			if what == "" || r.To == domain.Stream {
				continue
			}
			key := gatheringKey{r.ID, kindOf(r.To, what)}
			if shown[key] == mostDocuments { // so many are shown: a thousand rules of a thousand happenings are few rows
				g.counts[last[key]]++
				continue
			}
			shown[key]++
			last[key] = len(g.rules)
			g.add(r, key.kind, e.document(what))
		}
	}
	for p := range changed {
		if failing[p] {
			g.failingRules, g.failing = append(g.failingRules, p.rule), append(g.failing, p.schedule)
		} else {
			g.recoveredRules, g.recovered = append(g.recoveredRules, p.rule), append(g.recovered, p.schedule)
		}
	}
	return g, nil
}
