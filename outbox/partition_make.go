package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// widths says how many positions a partition of each topic spans. Positions are drawn from one sequence, so all topics
// use them up at the same speed. Schedule events are kept for ever, and are to have few partitions.
var widths = map[string]int64{Schedules: 1_000_000_000, Runs: 5_000_000, sqlexpr.Happenings: 5_000_000}

// topics returns the topics of the schema whose partitions are made here.
func (s partitions) topics() []string {
	if len(s.ranges[sqlexpr.Happenings]) == 0 { // an older schema
		return []string{Schedules, Runs}
	}
	return []string{Schedules, Runs, sqlexpr.Happenings}
}

// ahead is how many partitions stand ready beyond the one in use.
const ahead = 2

// newPartition is a partition that has to be made.
type newPartition struct {
	parent, name string
	bounds       string // a query for the text of the bounds; no row when there is no room for it

	topic        string // of events between two positions, or none of runs of a month
	lower, upper int64
	month, first time.Time
}

const (
	makePartition = `select tactus.make_partition($1, $2, $3)`
	makeMonth     = `select tactus.make_month($1, $2)`
)

// make makes a partition.
func (s partitions) make(ctx context.Context, q Querier, p newPartition) error {
	switch {
	case !s.functions:
		return execute(ctx, q, p.create())
	case p.topic != "":
		return execute(ctx, q, makePartition, p.topic, p.lower, p.upper)
	}
	return execute(ctx, q, makeMonth, p.month, p.first)
}

// missing returns the partitions that should stand ready, and do not exist yet.
func (s partitions) missing(now time.Time) (all []newPartition) {
	for _, topic := range s.topics() {
		end := s.begin(topic)
		for end <= s.position+ahead*widths[topic] {
			upper, there := s.next(topic, end)
			if !there {
				all = append(all, newPartition{
					parent: "outbox_" + topic, name: fmt.Sprintf("outbox_%s_%d", topic, end),
					bounds: fmt.Sprintf("select 'from (%d) to (%d)'", end, upper),
					topic:  topic, lower: end, upper: upper,
				})
			}
			end = upper
		}
	}
	for m := range ahead + 1 {
		month := monthOf(now).AddDate(0, m, 0)
		if name := monthName(month); !s.months[name] {
			first := firstOf(month, now)
			all = append(all, newPartition{
				parent: "runs", name: name, bounds: runBounds(month, first), month: month, first: first,
			})
		}
	}
	return all
}

// begin returns the position from which on the partitions of a topic must have no gap: the end of the one in use, or of
// the last one before it.
func (s partitions) begin(topic string) (end int64) {
	for _, r := range s.ranges[topic] {
		if r.lower <= s.position {
			end = max(end, r.upper)
		}
	}
	return end
}

// next returns where the partition ends that holds a position, and whether it exists. One that is still to be made ends
// where the next existing one begins: there is a gap when a partition could not be made, and a later one could. A row
// whose position falls into a gap cannot be written.
func (s partitions) next(topic string, at int64) (upper int64, there bool) {
	upper = at + widths[topic]
	for _, r := range s.ranges[topic] {
		if r.lower <= at && at < r.upper {
			return r.upper, true
		}
		if r.lower > at {
			upper = min(upper, r.lower)
		}
	}
	return upper, false
}

// ready counts the partitions of each table that stand ready beyond the one in use.
func (s partitions) ready(now time.Time) map[string]int {
	all := map[string]int{"runs": 0}
	for _, topic := range s.topics() {
		all["outbox_"+topic] = 0
		for _, r := range s.ranges[topic] {
			if r.lower > s.position {
				all["outbox_"+topic]++
			}
		}
	}
	for name := range s.months {
		if month, err := time.Parse(monthLayout, name); err == nil && month.After(now) {
			all["runs"]++
		}
	}
	return all
}

func monthOf(t time.Time) time.Time {
	return time.Date(t.UTC().Year(), t.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
}

const monthLayout = "runs_2006_01"

func monthName(month time.Time) string { return month.Format(monthLayout) }

// firstOf returns where the partition for a month begins: when the month has begun already, behind the rows that are
// being written now.
func firstOf(month, now time.Time) time.Time {
	if now.Before(month) {
		return month
	}
	return now.UTC().Truncate(time.Hour).Add(2 * time.Hour)
}

// runBounds returns the bounds of the partition for a month, or an empty text when nothing of the month is left for it.
// Rows stay in the default partition once they are there, because moving them would lose what is written to them
// meanwhile. So when the default partition has rows of the month, which happens when nobody called Maintain in time,
// the new partition begins behind them.
func runBounds(month, begin time.Time) string {
	return fmt.Sprintf(`select format('from (%%L) to (%%L)', begin, '%[2]s') from (
            select greatest('%[1]s', max(due_at) + interval '1 microsecond') as begin
            from tactus.runs_default where due_at >= '%[1]s' and due_at < '%[2]s'
        ) d where begin < '%[2]s'`, begin.Format(time.RFC3339), month.AddDate(0, 1, 0).Format(time.RFC3339))
}

// storage says how the partitions of a table are stored. Pages of runs are filled by half only: the other half is for
// the second version of each run, which then changes no index.
var storage = map[string]string{"runs": " with (fillfactor = 50)"}

// create returns a statement that makes a table and then attaches it. CREATE TABLE ... PARTITION OF would wait for
// every writer of the parent, and everybody else would wait behind it.
func (p newPartition) create() string {
	return alone + fmt.Sprintf(`declare
        bounds text := (%[3]s);
    begin
        if bounds is not null and to_regclass('tactus.%[2]s') is null then
            create table tactus.%[2]s (like tactus.%[1]s including all)%[4]s;
            revoke usage on type tactus.%[2]s from public; -- a column of the type would keep the partition for ever
            execute 'alter table tactus.%[1]s attach partition tactus.%[2]s for values ' || bounds;
        end if;
    end;`, p.parent, p.name, p.bounds, storage[p.parent]) + end
}
