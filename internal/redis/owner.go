package redis

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// owned holds the installation that a sink or a feed works for. If two installations wrote to one stream, their events
// would be mixed; and a restored copy of a database could work beside the original. So the mark also names the
// installation that owns the sink, and the servers that its database has been on, the present one last:
//
//	the mark's installation   our server in the mark's list   answer
//	none                      -                               allowed: a new Redis, or written by an older version;
//	                                                          Foreign where our database keeps that another owned
//	                                                          it; while that is not known, an error that passes
//	another                   -                               Foreign
//	ours                      last                            allowed
//	ours                      absent                          allowed: we are a restored or promoted copy, and go on
//	ours                      before the last                 Replaced: such a copy has taken over from us
//
// The scripts write both when an epoch begins, and only the relay that has begun the epoch can append. So the check is
// needed when a mark is read, and nowhere else.
type owned struct {
	claimed atomic.Pointer[ledger.Owner]
	place   string // of the mark, as refusals name it
}

// placeOf returns the address of a key: its server, as far as the client knows that, and its name.
func placeOf(client goredis.UniversalClient, key string) string {
	switch c := client.(type) {
	case *goredis.Client:
		return fmt.Sprintf("%s/%d %s", c.Options().Addr, c.Options().DB, key)
	case *goredis.ClusterClient:
		return fmt.Sprintf("%s %s", strings.Join(c.Options().Addrs, ","), key)
	}
	return key
}

// Place returns the address of the mark, under which a refusal of the sink is recorded.
func (o *owned) Place() string { return o.place }

// Claim implements relay.Claimer.
func (o *owned) Claim(owner ledger.Owner) { o.claimed.Store(&owner) }

// owner returns the claimed owner. Before Claim it is the zero Owner, with which every check passes and no owner is
// written.
func (o *owned) owner() ledger.Owner {
	if owner := o.claimed.Load(); owner != nil {
		return *owner
	}
	return ledger.Owner{}
}

var _ relay.Claimer = (*owned)(nil)

// check returns a Foreign or Replaced error if the mark's owner is another one than the claimed owner.
func (o *owned) check(key string, installation, servers string) error {
	own := o.owner()
	switch list := strings.Fields(servers); {
	case own.Installation == "":
		return nil
	case installation == "":
		return o.emptied(key, own)
	case installation != own.Installation:
		return &Foreign{Key: key, Installation: installation, Own: own.Installation, place: o.place}
	case own.Server != "" && replaced(list, own.Server):
		return &Replaced{Key: key, By: list[len(list)-1], Own: own.Server, place: o.place}
	}
	return nil
}

// emptied returns the error for a sink that names no owner, if this database has recorded another owner for it.
func (o *owned) emptied(key string, own ledger.Owner) error {
	switch was := own.Refused[o.place]; {
	case own.Unknown != nil:
		return fmt.Errorf("%s names no installation, and whether another has owned it is not known: %w", key, own.Unknown)
	case was == "":
		return nil
	case strings.Contains(was, "/"): // a server of this installation
		return &Replaced{Key: key, By: was, Own: own.Server, place: o.place}
	default:
		return &Foreign{Key: key, Installation: was, Own: own.Installation, place: o.place, emptied: true}
	}
}

// replaced reports whether a server is in the list, but not last.
func replaced(servers []string, own string) bool {
	for i, s := range servers {
		if s == own && i < len(servers)-1 {
			return true
		}
	}
	return false
}

// Foreign is the error for a sink that belongs to another installation.
type Foreign struct {
	Key               string // the stream, or the mark
	Installation, Own string // the owner's, and that of this database
	place             string
	emptied           bool // the key is gone, and the owner is known from this database
}

func (f *Foreign) Error() string {
	belongs := "belongs"
	if f.emptied {
		belongs = "is empty now, and belonged"
	}
	return fmt.Sprintf("%s %s to another installation (%s; this is %s): "+
		"give each a database of its own, or its own TACTUS_KEY_PREFIX; "+
		"if the other is gone for good, take over with: tactus relay --take-over",
		f.Key, belongs, f.Installation, f.Own)
}

// Owner implements relay.Refusal.
func (f *Foreign) Owner() (place, owner string) { return f.place, f.Installation }

// Replaced is the error for a sink that a copy of this database has taken over.
type Replaced struct {
	Key     string // the stream, or the mark
	By, Own string // the server of the copy, and that of this database
	place   string
}

func (r *Replaced) Error() string {
	return fmt.Sprintf("%s was taken over by a copy of this database on another server or timeline (%s; this is %s): "+
		"stop this relay, or, if the copy is the one that has to go, stop the copy and take over with: "+
		"tactus relay --take-over",
		r.Key, r.By, r.Own)
}

// Owner implements relay.Refusal.
func (r *Replaced) Owner() (place, owner string) { return r.place, r.By }

var _, _ relay.Refusal = (*Foreign)(nil), (*Replaced)(nil)

var takeOver = script("mark", "take_over")

// takeOver writes the claimed owner to a mark, and returns the installation that was the owner before; "" if there was
// none.
func (o *owned) takeOver(ctx context.Context, client goredis.Scripter, mark string) (installation string, err error) {
	own := o.owner()
	installation, err = takeOver.Run(ctx, client, []string{mark}, own.Installation, own.Server).Text()
	return installation, wrap("take over "+mark, err)
}

// TakeOver makes the claimed owner that of the stream, and returns the installation that was it before; "" if there was
// none.
func (s *EventSink) TakeOver(ctx context.Context) (installation string, err error) {
	return s.takeOver(ctx, s.client, s.keys[1])
}

// TakeOver makes the claimed owner that of the sink, and returns the installation that was it before; "" if there was
// none.
func (s *TaskSink) TakeOver(ctx context.Context) (installation string, err error) {
	return s.takeOver(ctx, s.client, s.keys[0])
}
