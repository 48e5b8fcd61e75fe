package catalog

import (
	"context"
	"time"
)

// WalkUpcoming does what Upcoming does, without the outlook.
func (c *Catalog) WalkUpcoming(ctx context.Context, tags []string, from, to time.Time, most int) (Upcoming, error) {
	u := Upcoming{From: from.UTC(), To: to.UTC(), Upcoming: []UpcomingDue{}}
	return u, c.walk(ctx, &u, tags, most)
}

// OutlookBytes is how many bytes the outlook counts.
func (c *Catalog) OutlookBytes() int { return c.outlook.bytes }

// KeepAtMost bounds the outlook, which then reads all schedules anew.
func (c *Catalog) KeepAtMost(bytes int) { c.outlook.most, c.outlook.loaded = bytes, time.Time{} }
