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

// owned is what a sink and a feed know of whose they are. The key that holds the epoch and the last ID also says of which
// installation they are, and which servers its database has been on, the present one last:
//
//	installation  the key's                our server in its list
//	another       foreign: refused
//	ours          ours                     absent: a restored or promoted copy, which goes on; last: ours
//	ours                                   before the last: replaced by such a copy: refused
//	none          whoever comes first: an older version, or a new Redis
//
// The scripts write both when an epoch begins. Only the one who has begun the epoch can append, so nothing else needs to ask.
type owned struct{ owner atomic.Pointer[ledger.Owner] }

// Claim implements relay.Claimer.
func (o *owned) Claim(owner ledger.Owner) { o.owner.Store(&owner) }

// own is the zero Owner when it is not known: then nobody is refused, and nothing is written.
func (o *owned) own() ledger.Owner {
	if owner := o.owner.Load(); owner != nil {
		return *owner
	}
	return ledger.Owner{}
}

var _ relay.Claimer = (*owned)(nil)

// check finds out from what a key says whether we may use what is behind it.
func (o *owned) check(key string, installation, servers string) error {
	own := o.own()
	switch list := strings.Fields(servers); {
	case own.Installation == "" || installation == "":
		return nil
	case installation != own.Installation:
		return &Foreign{Key: key, Installation: installation, Own: own.Installation}
	case own.Server != "" && replaced(list, own.Server):
		return &Replaced{Key: key, By: list[len(list)-1], Own: own.Server}
	}
	return nil
}

func replaced(servers []string, own string) bool {
	for i, s := range servers {
		if s == own && i < len(servers)-1 {
			return true
		}
	}
	return false
}

// Foreign means that what is behind a key belongs to another installation.
type Foreign struct{ Key, Installation, Own string }

func (f *Foreign) Error() string {
	return fmt.Sprintf("%s belongs to another installation (%s; this is %s): give each a database of its own, or its own TACTUS_KEY_PREFIX; if the other is gone for good, take over with: tactus relay --take-over",
		f.Key, f.Installation, f.Own)
}

// Replaced means that a copy of our database has taken over what is behind a key.
type Replaced struct{ Key, By, Own string }

func (r *Replaced) Error() string {
	return fmt.Sprintf("%s was taken over by a copy of this database on another server or timeline (%s; this is %s): stop this relay, or, if it is the copy that has to go, stop that and take over with: tactus relay --take-over",
		r.Key, r.By, r.Own)
}

var take = script("mark", "take")

// takeOver makes what is behind a key ours, and tells whose it was; empty when it was nobody's.
func (o *owned) takeOver(ctx context.Context, client goredis.Scripter, key string) (installation string, err error) {
	own := o.own()
	installation, err = take.Run(ctx, client, []string{key}, own.Installation, own.Server).Text()
	return installation, wrap("take over "+key, err)
}

// TakeOver makes the stream ours, whoever it belongs to, and tells of which installation it was.
func (s *EventSink) TakeOver(ctx context.Context) (installation string, err error) {
	return s.takeOver(ctx, s.client, s.keys[1])
}

// TakeOver makes the sink ours, whoever it belongs to, and tells of which installation it was.
func (s *TaskSink) TakeOver(ctx context.Context) (installation string, err error) {
	return s.takeOver(ctx, s.client, s.keys[0])
}
