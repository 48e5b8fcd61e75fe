package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/relay"
)

// RulesSink is the name of the sink for rules in the relay's tables.
const RulesSink = "rules"

// Rules is a sink for happenings. It adds each happening to the deliveries of the rules that tell it. The mark of the
// sink is in the database, and the statement that writes deliveries moves it.
type Rules struct {
	pool  *pgxpool.Pool
	rules *book
	wake  func()
}

// NewRules returns a sink that uses a pool, which the caller closes. It calls wake when there is something to deliver.
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

// Append implements relay.Sink. Many rules that tell many happenings take several statements; each of them moves the
// mark behind the happenings that it has written.
func (s *Rules) Append(ctx context.Context, at relay.Mark, entries []relay.Entry) (relay.Mark, error) {
	events, err := eventsOf(entries)
	if err != nil {
		return relay.Mark{}, err
	}
	var rules []domain.NotificationRule
	failing := map[domain.ID]bool{}
	if len(events) > 0 {
		if rules, err = s.rules.read(ctx); err != nil {
			return relay.Mark{}, err
		}
		if failing, err = s.readFailing(ctx, events); err != nil {
			return relay.Mark{}, err
		}
	}
	for {
		g := gather(events, rules, failing)
		to := relay.Mark{Epoch: at.Epoch, Last: entries[len(entries)-1].ID}
		if g.events < len(events) {
			to.Last = events[g.events-1].place
		}
		if at, err = s.write(ctx, at, to, g); err != nil {
			return at, err
		}
		if len(g.rules) > 0 {
			s.wake()
		}
		if events = events[g.events:]; len(events) == 0 {
			return at, nil
		}
	}
}

// writeSQL moves the mark, and adds happenings to deliveries only if the mark was the expected one. A rule that has
// just been deleted gets none. If the row of a gathering delivery is locked, the happenings get a new row.
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
    select g.*, (@documents::text[])[g.shows] as document
    from moved, unnest(@rules::uuid[], @kinds::text[], @every::bigint[], @counts::bigint[], @shows::bigint[])
        with ordinality g (rule_id, kind, every, count, shows, nth)
    join tactus.notification_rules r on r.id = g.rule_id and r.deleted_at is null
),
open as materialized (
    select rule_id, kind from tactus.notification_deliveries
    where gathers and (rule_id, kind) in (select rule_id, kind from given) for no key update skip locked
),
gathered as (
    insert into tactus.notification_deliveries as d (rule_id, kind, count, documents, due_at, gathers)
    select g.rule_id, g.kind, sum(g.count), array_agg(g.document order by g.nth),
        greatest(clock_timestamp(), max(p.began_at + g.every * interval '1 minute')) + min(g.nth) * interval '1
            microsecond',
        (g.rule_id, g.kind) in (select rule_id, kind from open) or not exists (
            select from tactus.notification_deliveries o where o.gathers and o.rule_id = g.rule_id and o.kind = g.kind)
    from given g left join tactus.notification_progress p on p.rule_id = g.rule_id group by g.rule_id, g.kind
    on conflict (rule_id, kind) where gathers do update set count = d.count + excluded.count,
        documents = case when cardinality(d.documents) < ` + mostDocumentsText + `
            then (d.documents || excluded.documents)[1:` + mostDocumentsText + `] else d.documents end
),
failing as (
    insert into tactus.notification_failing (rule_id, schedule_id, since)
    select f.rule_id, f.schedule_id, clock_timestamp() from moved, unnest(@failing_rules::uuid[], @failing::uuid[]) f
        (rule_id, schedule_id)
    on conflict do nothing
),
recovered as (
    delete from tactus.notification_failing f using moved where f.schedule_id = any (@recovered::uuid[])
)
select count(*) from moved`

// mostDocuments is how many happenings a delivery shows. All are counted.
const (
	mostDocuments     = 20
	mostDocumentsText = "20"
)

func (s *Rules) write(ctx context.Context, from, to relay.Mark, g gathering) (relay.Mark, error) {
	moved, err := postgres.Collect(ctx, s.pool, pgx.RowTo[int64], writeSQL, pgx.NamedArgs{
		"epoch": to.Epoch, "batch": to.Last.Batch, "place": to.Last.Seq,
		"from_epoch": from.Epoch, "from_batch": from.Last.Batch, "from_place": from.Last.Seq,
		"rules": g.rules, "kinds": g.kinds, "every": g.every, "counts": g.counts, "shows": g.shows,
		"documents": g.documents, "failing_rules": g.failingRules, "failing": g.failing, "recovered": g.recovered,
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

const (
	// One statement writes at most mostTold rows with mostGathered bytes of documents. The rows of one happening are
	// never divided between statements.
	mostTold     = 20_000
	mostGathered = 4 << 20
)

// gathering holds the rows that one statement adds to deliveries, in columns.
type gathering struct {
	events                int // how many events it covers
	rules                 []domain.ID
	kinds                 []string
	every, counts, shows  []int64
	documents             []string    // each document once, however many rules show it
	failingRules, failing []domain.ID // each schedule once, with the first rule that wants to hear of its recovery
	recovered             []domain.ID

	shown   map[gatheringKey]int
	last    map[gatheringKey]int    // the newest row of the delivery
	changed map[domain.ID]domain.ID // schedules that began or ceased to fail, each with the rule that noticed it
	bytes   int                     // of documents, counted as often as they are shown
}

// gatheringKey identifies a delivery that gathers.
type gatheringKey struct {
	rule domain.ID
	kind string
}

func (g *gathering) full() bool {
	return len(g.rules)+len(g.changed) >= mostTold || g.bytes >= mostGathered
}

// add counts a happening for a delivery, and shows it by a document unless the delivery shows mostDocuments already.
// Happenings that are only counted share a row, so a thousand happenings for a thousand rules take few rows.
func (g *gathering) add(r domain.NotificationRule, kind string, document int) {
	key := gatheringKey{r.ID, kind}
	if g.shown[key] == mostDocuments {
		g.counts[g.last[key]]++
		return
	}
	g.shown[key]++
	g.last[key] = len(g.rules)
	g.rules, g.kinds, g.every = append(g.rules, r.ID), append(g.kinds, kind), append(g.every, r.EveryMinutes)
	g.counts, g.shows = append(g.counts, 1), append(g.shows, int64(document+1))
	g.bytes += len(g.documents[document])
}

// tell adds an event to the deliveries of all rules that tell it. A schedule counts as failing from the first bad state
// on that a rule with recovered hears of, and then for all rules: there is one row for the schedule, however many rules
// there are.
func (g *gathering) tell(e event, rules []domain.NotificationRule, failing map[domain.ID]bool) {
	documents := map[domain.Happening]int{}
	was := failing[e.ScheduleID]
	fails := e.RuleID == nil && slices.Contains(unwell, e.Status)
	for _, r := range rules {
		if !e.concerns(r) {
			continue
		}
		if fails && !failing[e.ScheduleID] && slices.Contains(r.On, domain.HasRecovered) {
			failing[e.ScheduleID], g.changed[e.ScheduleID] = true, r.ID
		}
		what := e.toldBy(r, was)
		if what == "" || r.To == domain.Stream {
			continue
		}
		document, made := documents[what]
		if !made {
			document = len(g.documents)
			g.documents, documents[what] = append(g.documents, e.document(what)), document
		}
		g.add(r, kindOf(r.To, what), document)
	}
	if was && e.RuleID == nil && e.Status == string(domain.Succeeded) {
		failing[e.ScheduleID], g.changed[e.ScheduleID] = false, domain.ID{}
	}
	g.events++
}

const failingOf = `select distinct schedule_id from tactus.notification_failing where schedule_id = any
    (@schedules::uuid[])`

// readFailing returns which of the events' schedules are failing.
func (s *Rules) readFailing(ctx context.Context, events []event) (map[domain.ID]bool, error) {
	var schedules []domain.ID
	for _, e := range events {
		schedules = append(schedules, e.ScheduleID)
	}
	known, err := postgres.Collect(ctx, s.pool, pgx.RowTo[domain.ID], failingOf, pgx.NamedArgs{"schedules": schedules})
	if err != nil {
		return nil, fmt.Errorf("read what has not recovered: %w", err)
	}
	failing := map[domain.ID]bool{}
	for _, schedule := range known {
		failing[schedule] = true
	}
	return failing, nil
}

// gather finds the rules that tell events, beginning with the first event, for as many events as one statement can
// write. It updates failing, which says which schedules are failing.
func gather(events []event, rules []domain.NotificationRule, failing map[domain.ID]bool) gathering {
	g := gathering{shown: map[gatheringKey]int{}, last: map[gatheringKey]int{}, changed: map[domain.ID]domain.ID{}}
	for g.events < len(events) && !g.full() {
		g.tell(events[g.events], rules, failing)
	}
	for schedule, rule := range g.changed {
		if failing[schedule] {
			g.failingRules, g.failing = append(g.failingRules, rule), append(g.failing, schedule)
		} else {
			g.recovered = append(g.recovered, schedule)
		}
	}
	return g
}
