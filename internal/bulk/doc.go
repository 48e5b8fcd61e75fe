// Package bulk does one thing with several schedules, for the API and for the pages.
//
// Each schedule is changed by a transaction of its own, and one that is refused does not stop the others. A request
// changes at most a hundred; those that a filter chooses are gone through in the order of their age, so that what a
// change does to the filter leaves none out.
package bulk
