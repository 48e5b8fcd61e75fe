package catalog

import (
	"fmt"
	"unicode/utf8"

	"github.com/tactus-dev/tactus/domain"
)

// The limits of texts in filters, which clients choose. A longer text could not match anything that is stored.
const (
	mostTags = 100 // twice as many as a schedule has
	mostText = 200 // characters
)

// CheckTags returns what is wrong with the tags of a filter.
func CheckTags(tags ...string) error {
	if len(tags) > mostTags {
		return tooLong("tag", fmt.Sprintf("%d tags: at most %d", len(tags), mostTags))
	}
	for _, tag := range tags {
		if err := checkText("tag", tag); err != nil {
			return err
		}
	}
	return nil
}

func checkText(parameter, text string) error {
	if utf8.RuneCountInString(text) <= mostText {
		return nil
	}
	return tooLong(parameter, fmt.Sprintf("want at most %d characters", mostText))
}

func tooLong(parameter, message string) error {
	return &domain.Error{Kind: domain.Invalid, Code: "parameter_invalid", Field: parameter, Message: message}
}

func checkTexts(tags []string, texts map[string]string) error {
	for parameter, text := range texts {
		if err := checkText(parameter, text); err != nil {
			return err
		}
	}
	return CheckTags(tags...)
}

func (f Filter) check() error {
	if err := f.checkOwner(); err != nil {
		return err
	}
	return checkTexts(f.Tags, map[string]string{
		"text": f.Text, "owner": f.Owner,
		"category": f.Category, "task_name": f.Task, "name": f.Name, "q": f.Query, "calendar": f.Calendar,
		"queue":       f.Queue,
		"pause_group": f.PauseGroup, "state": f.State, "last_status": string(f.LastStatus),
	})
}

func (f RunFilter) check() error {
	texts := map[string]string{
		"task_name": f.Task, "queue": f.Queue, "worker": f.Worker, "error": f.Error, "kind": string(f.Kind),
	}
	for _, status := range f.Statuses {
		if err := checkText("status", string(status)); err != nil {
			return err
		}
	}
	return checkTexts(f.Tags, texts)
}
