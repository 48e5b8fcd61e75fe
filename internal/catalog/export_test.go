package catalog

import (
	"context"
	"time"
)

// WalkUpcoming does the same as Upcoming, without the outlook.
func (c *Catalog) WalkUpcoming(ctx context.Context, tags []string, from, to time.Time, most int) (Upcoming, error) {
	u := Upcoming{From: from.UTC(), To: to.UTC(), Upcoming: []UpcomingDue{}}
	return u, c.walk(ctx, &u, tags, most)
}

// OutlookBytes returns how many bytes the outlook counts for what it keeps.
func (c *Catalog) OutlookBytes() int { return c.outlook.bytes }

// KeepAtMost limits the bytes of the outlook, which then reads all schedules again.
func (c *Catalog) KeepAtMost(bytes int) { c.outlook.most, c.outlook.loaded = bytes, time.Time{} }
