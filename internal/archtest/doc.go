// Package archtest holds the import rules of the project as a test, each with its reason.
package archtest
