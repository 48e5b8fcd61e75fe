package sqlexpr

import "strings"

// NotSeen is true of events (rows of tactus.outbox, columns unqualified) whose transaction a snapshot does not show: it
// was still to begin when the snapshot was taken, or was running. snapshot is an SQL expression of type pg_snapshot.
// Unlike "not pg_visible_in_snapshot(xid, ...)", which says the same, it is answered from the index on xid.
func NotSeen(snapshot string) string {
	return strings.NewReplacer("$", snapshot).Replace(`(xid >= pg_snapshot_xmax($) or xid = any (array(select pg_snapshot_xip($))))`)
}

// AfterOpening is true of events (rows of tactus.outbox, columns unqualified) that were committed after the epoch of a
// sink began. floor, late and seen are SQL expressions of the epoch's edge, as package ledger explains it: bigint,
// pg_snapshot and int8range[].
func AfterOpening(floor, late, seen string) string {
	return `(position > ` + floor + ` or xid = any (array(select pg_snapshot_xip(` + late + `))) and not position <@ any (` + seen + `))`
}

// BeforeOpening is true of all other events, in a form that is read by position.
func BeforeOpening(floor, late, seen string) string {
	return `position <= ` + floor + ` and (xid <> all (array(select pg_snapshot_xip(` + late + `))) or position <@ any (` + seen + `))`
}
