package importer

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/tactus-dev/tactus/domain"
)

// signature is which arguments Celery sends a task with: it refuses others before they reach a worker.
type signature struct {
	Positional       []string `json:"positional"`
	Required         int      `json:"required"` // how many of the positional ones have no default
	More             bool     `json:"more"`     // whether there may be more by position
	Keywords         []string `json:"keywords"` // those that are given by name only
	RequiredKeywords []string `json:"required_keywords"`
	AnyKeywords      bool     `json:"any_keywords"`
}

// misfit returns why Celery does not send a task with the arguments of a definition, in the words of Python. It returns
// an empty text when it does, or when the application does not have the task.
func (a Application) misfit(d domain.Definition) string {
	by := a.tasks[d.TaskName].Signature
	if by == nil {
		return ""
	}
	var args []json.RawMessage
	var kwargs map[string]json.RawMessage
	_ = json.Unmarshal(d.Args, &args) // what cannot be read has been refused
	_ = json.Unmarshal(d.Kwargs, &kwargs)
	return by.misfit(len(args), sortedKeys(kwargs))
}

func (s signature) misfit(args int, names []string) string {
	if args > len(s.Positional) && !s.More {
		return fmt.Sprintf("it takes %d arguments by position, but %d are given", len(s.Positional), args)
	}
	for _, name := range names {
		at := slices.Index(s.Positional, name)
		switch {
		case at >= 0 && at < args:
			return fmt.Sprintf("it is given %s twice, by position and by name", name)
		case at < 0 && !s.AnyKeywords && !slices.Contains(s.Keywords, name):
			return fmt.Sprintf("it takes no argument %s", name)
		}
	}
	for i := args; i < s.Required; i++ {
		if !slices.Contains(names, s.Positional[i]) {
			return fmt.Sprintf("it is not given the argument %s", s.Positional[i])
		}
	}
	for _, name := range s.RequiredKeywords {
		if !slices.Contains(names, name) {
			return fmt.Sprintf("it is not given the argument %s", name)
		}
	}
	return ""
}
