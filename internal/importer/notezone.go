package importer

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain/zone"
)

// Celery reads the day, the hour and the minute of a crontab's last run in the zone that the last run carries, not in
// that of the application. RedBeat therefore notes last runs in the application's zone, and so must whoever writes its
// notes: 00:00Z in the notes of an application in Tokyo makes "0 9 * * *" due at 09:00Z, which is 18:00 there.

// NoteZone is the zone in which RedBeat notes when an entry ran last: that of the application.
type NoteZone struct {
	Matters  bool // whether it was found out and decides when something is due: intervals go by instants
	location *time.Location
	named    bool // whether RedBeat's notes name the zone, as those of Celery 5.3 and later; others have its offset
}

// String returns the name of the zone.
func (z NoteZone) String() string { return z.location.String() }

// text returns a time in RedBeat's JSON.
func (z NoteZone) text(at time.Time) json.RawMessage {
	at = at.In(z.location)
	_, offset := at.Zone()
	var timezone any = offset
	if z.named {
		timezone = z.location.String()
	}
	return encode(map[string]any{
		"__type__": "datetime", "year": at.Year(), "month": int(at.Month()), "day": at.Day(), "hour": at.Hour(),
		"minute": at.Minute(), "second": at.Second(), "microsecond": at.Nanosecond() / 1000, "timezone": timezone,
	})
}

// ZoneUnknownError reports that neither RedBeat's notes nor the imported schedules tell the application's zone.
type ZoneUnknownError struct{ why string }

func (e *ZoneUnknownError) Error() string {
	return "the application's time zone, in which RedBeat notes last runs, is not known: " + e.why +
		": name it by --celery-timezone"
}

// noteZone returns the zone of the application: the one that is given, if any, or the one that RedBeat's notes name, or
// the only zone of the schedules with which the offsets of all notes agree.
func noteZone(given string, all []importedRun, notes []redBeatTime) (z NoteZone, err error) {
	names := namesIn(notes)
	zones, err := zonesOf(all)
	if err != nil {
		return z, err
	}
	z.named, z.Matters = len(names) > 0, given == "" && len(zones) > 0
	switch {
	case given != "":
		z.location, err = zone.Load(given)
		return z, err
	case len(names) == 1:
		z.location = locationOf(names[0])
		return z, nil
	case len(names) > 1:
		return z, &ZoneUnknownError{"its notes are in " + strings.Join(names, " and in ")}
	case len(zones) == 0:
		z.location = onlyOffset(notes)
		return z, nil
	}
	agree := slices.DeleteFunc(slices.Clone(zones), func(name string) bool { return !agrees(locationOf(name), notes) })
	if len(agree) != 1 {
		return z, &ZoneUnknownError{fmt.Sprintf("the schedules are in %s, and its notes %s",
			strings.Join(zones, " and in "), offsetsOf(notes))}
	}
	z.location = locationOf(agree[0])
	return z, nil
}

// namesIn returns the zones that notes name, other than UTC: earlier versions of tactus wrote UTC into the notes of any
// application, and RedBeat does when a program gives it a time without a zone.
func namesIn(notes []redBeatTime) (names []string) {
	for _, note := range notes {
		if name, ok := note.Timezone.(string); ok && name != "UTC" && locationOf(name) != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// zonesOf returns the zones of the crontabs among schedules, and only if all crontabs are deleted, the zones of those.
func zonesOf(all []importedRun) (zones []string, err error) {
	var deleted []string
	for _, r := range all {
		d, err := r.definition()
		switch {
		case err != nil:
			return nil, fmt.Errorf("hand %s back: %w", r.Name, err)
		case d.CronExpression == "" || locationOf(d.Timezone) == nil:
		case r.Deleted:
			deleted = append(deleted, d.Timezone)
		default:
			zones = append(zones, d.Timezone)
		}
	}
	if len(zones) == 0 {
		zones = deleted
	}
	slices.Sort(zones)
	return slices.Compact(zones), nil
}

// agrees reports whether a zone had, at the time of each note, the offset of the note.
func agrees(location *time.Location, notes []redBeatTime) bool {
	return !slices.ContainsFunc(notes, func(note redBeatTime) bool {
		at := note.time()
		_, noted := at.Zone()
		_, offset := at.In(location).Zone()
		return noted != offset
	})
}

// onlyOffset returns the one offset that all notes have, or UTC.
func onlyOffset(notes []redBeatTime) *time.Location {
	only := time.UTC
	for i, note := range notes {
		switch at := note.time(); {
		case i == 0:
			only = at.Location()
		case !agrees(only, notes[i:i+1]):
			return time.UTC
		}
	}
	return only
}

// offsetsOf describes the offsets of notes.
func offsetsOf(notes []redBeatTime) string {
	var offsets []string
	for _, note := range notes {
		offsets = append(offsets, note.time().Format("-07:00"))
	}
	if len(offsets) == 0 {
		return "say nothing"
	}
	slices.Sort(offsets)
	return "have the offset " + strings.Join(slices.Compact(offsets), " and ")
}

// locationOf returns a zone by any name that it has in the data of zones, including abbreviations, or nil.
func locationOf(name string) *time.Location {
	if location, err := zone.Load(name); err == nil {
		return location
	}
	data := zone.File(name)
	if data == nil {
		return nil
	}
	location, err := time.LoadLocationFromTZData(name, data)
	if err != nil {
		return nil
	}
	return location
}

// notesOf reads the last runs that RedBeat has noted for entries.
func notesOf(ctx context.Context, client redis.UniversalClient, keys []string) (notes []redBeatTime, err error) {
	for page := range slices.Chunk(keys, redBeatPage) {
		found, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, key := range page {
				p.HMGet(ctx, key, "meta")
			}
			return nil
		})
		if err != nil && !ofAnotherType(err) {
			return nil, err
		}
		for _, hash := range found {
			fields, err := hash.(*redis.SliceCmd).Result()
			if err != nil {
				continue // of another type: told when its turn comes
			}
			meta, _ := fields[0].(string)
			if note := noted(meta); note != nil {
				notes = append(notes, *note)
			}
		}
	}
	return notes, nil
}
