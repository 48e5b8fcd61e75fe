package notify

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// Hurry makes couriers try again at once.
func Hurry() {
	for i := range pauses {
		pauses[i] = 50 * time.Millisecond
	}
}

// Allows reports whether an address may be connected to.
var Allows = Private.allows

// Signatures signs a message.
var Signatures = signatures

// Likes is likes.
var Likes = likes

// TakeSQL is takeSQL.
const TakeSQL = takeSQL

// HostOf is hostOf.
var HostOf = hostOf

// Turns are turns whose looks cost what a test says.
type Turns struct{ ts turns }

// Take makes the next look, which costs what costs says, and returns its rule and how long it took. While no look is
// due, the rule is empty.
func (t *Turns) Take(rules *[]domain.NotificationRule, now time.Time, costs func(rule string) time.Duration) (
	rule string, took time.Duration,
) {
	t.ts.of(rules)
	one := t.ts.next(now)
	if one == nil {
		return "", 0
	}
	cost, may := costs(one.rule.Name), one.may()
	if cost > may {
		t.ts.done(one, may, time.Time{})
		return one.rule.Name, may
	}
	t.ts.done(one, cost, now.Add(sweepEvery))
	return one.rule.Name, cost
}
