// Package poison puts a bad member of every kind among good ones, wherever rows are read together, and holds that all the
// others go on: nothing of one schedule stops, delays or falsifies anything of another.
//
// TestContent has what users may write and what is hard to read: it concerns nobody, its own schedule included. TestSpoiled has
// rows that somebody has changed by hand: their own schedules are told of, and may stand still. TestResultKeys
// has keys of results that are no results.
package poison
