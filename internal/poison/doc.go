// Package poison puts a bad member of every kind among good ones, wherever rows are read together, and holds that all
// the others go on: nothing of one schedule stops, delays or falsifies anything of another.
//
// TestMatrix has every kind of member (content, size, name, a row that somebody has changed by hand, time, key type,
// right, lock) in every place, and prints what it does not try, with the reason. The others look at one kind more
// closely.
//
// TestContent has what users may write and what is hard to read: it concerns nobody, its own schedule included.
// TestSpoiled has rows that somebody has changed by hand: their own schedules are told of, and may stand still.
// TestResultKeys has keys of results that are no results.
package poison
