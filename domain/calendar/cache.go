package calendar

import (
	"crypto/sha256"
	"encoding/json"
	"sync"
)

// Cache keeps compiled calendars by what is written of them, so that it is right whatever versions there are. It is
// bounded by the bytes of all, and may be used by many goroutines.
type Cache struct {
	lock   sync.Mutex
	most   int // bytes
	size   int
	kept   map[[sha256.Size]byte]*Set
	misses int
}

// NewCache returns a cache for sets of so many bytes together.
func NewCache(most int) *Cache { return &Cache{most: most, kept: map[[sha256.Size]byte]*Set{}} }

// Compile returns the set of the JSON of a calendar's items.
func (c *Cache) Compile(days []byte) (*Set, error) {
	key := sha256.Sum256(days)
	c.lock.Lock()
	set, known := c.kept[key]
	c.lock.Unlock()
	if known {
		return set, nil
	}
	var items []Item
	if err := json.Unmarshal(days, &items); err != nil {
		return nil, err
	}
	set, err := Compile(items)
	if err != nil {
		return nil, err
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	c.misses++
	if _, known := c.kept[key]; !known && set.Bytes() <= c.most {
		c.kept[key], c.size = set, c.size+set.Bytes()
	}
	for other, old := range c.kept { // any one but this
		if c.size <= c.most {
			break
		}
		if other != key {
			delete(c.kept, other)
			c.size -= old.Bytes()
		}
	}
	return set, nil
}

// Counts returns how often a set was compiled, and how many bytes are kept.
func (c *Cache) Counts() (compiled, kept int) {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.misses, c.size
}
