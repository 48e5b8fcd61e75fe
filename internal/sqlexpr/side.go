package sqlexpr

import (
	"slices"
	"strings"
)

// Side are tables beside the way: what fires and what ends runs names them, and does without those that somebody has
// locked as a whole.
//
//	table                                      a statement without it
//	notification_rules, notification_failing   tells of whatever has happened; who tells the rules leaves out the rest
//	routes                                     takes routes from tactus.living_routes, which a trigger keeps the same
//	unjudged                                   takes each schedule for unjudged that was written lately
//	cancellations                              takes runs for cancelled that were so before they were handed over
//	deadletters                                takes runs for set aside that have failed, as those have, or are unlisted;
//	                                           what it sets aside is unlisted until a relay lists it
//	unlisted                                   takes only what is listed for set aside
//
// So what it does is the same, but that what is for a stream and was written lately fires later, that a run which is
// handed over again is left to its worker to revoke, and that a relay which begins tries a run once more that was set
// aside while somebody had locked that run.
type Side uint8

const (
	sideRules Side = 1 << iota
	sideRoutes
	sideUnjudged
	sideCancellations
	sideDeadletters
	sideListing
	sideUnlisted
)

var sides = map[string]Side{
	"tactus.notification_rules":   sideRules,
	"tactus.notification_failing": sideRules,
	"tactus.routes":               sideRoutes,
	"tactus.unjudged":             sideUnjudged,
	"tactus.cancellations":        sideCancellations,
	"tactus.deadletters":          sideDeadletters,
	"tactus.unlisted":             sideUnlisted,
}

// SideOf returns those of some tables that are beside the way: of those that cannot be read, and those that can only be
// read.
func SideOf(unreadable, readable []string) (s Side) {
	for _, t := range unreadable {
		s |= sides[t]
	}
	if s&sideDeadletters != 0 || slices.Contains(readable, "tactus.deadletters") {
		s |= sideListing
	}
	return s
}

// Without returns a statement that names none of the tables. It is the same statement if it never named one.
func (s Side) Without(sql string) string {
	if s&sideRules != 0 {
		sql = withoutRules.Replace(sql)
	}
	if s&sideRoutes != 0 {
		sql = withoutRoutes.Replace(sql)
	}
	if s&sideUnjudged != 0 {
		sql = withoutUnjudged.Replace(sql)
	}
	if s&sideCancellations != 0 {
		sql = withoutCancellations.Replace(sql)
	}
	if s&sideDeadletters != 0 {
		sql = strings.Replace(sql, orListed, "", 1)
	}
	if s&sideUnlisted != 0 {
		sql = strings.Replace(sql, orUnlisted, "", 1)
	}
	if s&sideListing != 0 {
		sql = strings.Replace(sql, IntoLetters, intoUnlisted, 1)
	}
	return sql
}

// Where dead letters are written, and where they are read. Letters are those of both tables. OrAside ends a condition
// about the events e of runs: or it is one that the sink @source has set aside.
const (
	IntoLetters = `into tactus.deadletters`
	Letters     = `(select source, reference, reason from tactus.deadletters` + andUnlisted + `) letters`
	OrAside     = orListed + orUnlisted

	intoUnlisted = `into tactus.unlisted`
	andUnlisted  = ` union all select source, reference, reason from tactus.unlisted`
	orListed     = orAside + `tactus.deadletters` + isEvent
	orUnlisted   = orAside + `tactus.unlisted` + isEvent
	orAside      = `
    or exists (select from `
	isEvent = ` where source = @source and reference = e.id::text || '/' || e.version)`
)

// BeforeUnlisted returns a statement for the schema of the release before, which has no tactus.unlisted.
func BeforeUnlisted(sql string) string { return beforeUnlisted.Replace(sql) }

// Cancelled ends a statement about the runs @ids, due from @first_due to @last_due: it leaves those that somebody has
// cancelled, as run_id.
const Cancelled = ` from tactus.cancellations where run_id = any (@ids::uuid[])`

var (
	beforeUnlisted = strings.NewReplacer(intoUnlisted, IntoLetters, andUnlisted, "", orUnlisted, "")

	withoutRules  = strings.NewReplacer(isHeard, mayBeHeard)
	withoutRoutes = strings.NewReplacer(livingRoutes, `from tactus.living_routes where true`,
		`tactus.routed(`, `tactus.living_routed(`, `tactus.route_of(`, `tactus.living_route_of(`)
	withoutUnjudged = strings.NewReplacer(`tactus.unjudged u`, `(
        select id as schedule_id, version from tactus.schedules
        where updated_at > clock_timestamp() - interval '1 minute') u`)
	withoutCancellations = strings.NewReplacer(Cancelled, ` from unnest((select @ids::uuid[])) w (run_id), lateral (
        select from tactus.runs where id = w.run_id and status = 'revoked'
            and due_at between @first_due::timestamptz and @last_due::timestamptz limit 1) r`)
)
