package pages

import "fmt"

// translate returns a text in a language. The key is the English text; arguments are those of fmt.Sprintf.
func translate(lang, text string, args ...any) string {
	one := len(args) > 0 && (args[0] == "1" || args[0] == 1)
	switch said, ok := japanese[text]; {
	case lang == "ja" && ok:
		text = said
	case lang != "ja" && one && singular[text] != "":
		text = singular[text]
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// singular has the English texts that differ when the number is one.
var singular = map[string]string{
	"%s schedules":         "%s schedule",
	"Enable %s schedules?": "Enable %s schedule?", "Enabled: %s schedules.": "Enabled: %s schedule.",
	"Pause %s schedules?": "Pause %s schedule?", "Paused: %s schedules.": "Paused: %s schedule.",
	"Run %s schedules now?": "Run %s schedule now?", "Handed over to be started: %s runs.": "Handed over to be started: %s run.",
	"Change the tags of %s schedules?": "Change the tags of %s schedule?", "Tags changed: %s schedules.": "Tags changed: %s schedule.",
	"Delete %s schedules?": "Delete %s schedule?", "Deleted: %s schedules.": "Deleted: %s schedule.",
	"%s were so already.": "%s was so already.", "Refused: %s schedules.": "Refused: %s schedule.",
	"%d schedules failed in the last 24 hours": "%d schedule failed in the last 24 hours",
	"last %d runs: %s":                         "last %d run: %s",
	"%s runs wait to be handed over":           "%s run waits to be handed over",
	"Run %s runs again?":                       "Run %s run again?", "Made: %s new runs.": "Made: %s new run.",
	"Cancel %s runs?": "Cancel %s run?", "Refused: %s runs.": "Refused: %s run.",
	"Cancelled, or their workers are told: %s runs.":                                                          "Cancelled, or its workers are told: %s run.",
	"%s wait to be handed over, the oldest for %s: look whether a relay runs, and whether the broker answers": "%s waits to be handed over, for %s: look whether a relay runs, and whether the broker answers",
	"at most %s schedules in %s, at %s":                                                                       "at most %s schedule in %s, at %s",
}
