package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tactus-dev/tactus/internal/api"
)

// schemaCmd prints the JSON Schema of the files of apply.
type schemaCmd struct{}

// Run prints the schema.
func (schemaCmd) Run(to console) error {
	schema, err := manifestSchema()
	if err != nil {
		return err
	}
	return printJSON(to.out, schema)
}

// definitionsOf maps the members of a file to the API's schemas that describe them.
var definitionsOf = map[string]string{
	schedulesMember: "ScheduleDefinition", calendarsMember: "CalendarDefinition", routesMember: "RouteDefinition",
	rulesMember: "NotificationRuleDefinition",
}

// manifestSchema derives the schema from the description of the API: items in files are the bodies of requests, with
// names.
func manifestSchema() (map[string]any, error) {
	raw, err := api.Description()
	if err != nil {
		return nil, err
	}
	var document struct {
		Components struct {
			Schemas map[string]map[string]any
		}
	}
	const here, there = "#/$defs/", "#/components/schemas/"
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(raw), there, here)), &document); err != nil {
		return nil, fmt.Errorf("read the description of the API: %w", err)
	}
	schemas, defs, members := document.Components.Schemas, map[string]any{}, map[string]any{}
	defs["CalendarItem"] = schemas["CalendarItem"]
	for kind, name := range definitionsOf {
		definition := schemas[name]
		properties, _ := definition["properties"].(map[string]any)
		named, _ := properties[called(kind)].(map[string]any)
		if named == nil {
			named = map[string]any{"type": "string"}
		}
		delete(named, "readOnly") // in a file, the name is not in an address
		properties[called(kind)] = named
		required, _ := definition["required"].([]any)
		definition["required"] = append(required, called(kind))
		defs[name] = definition
		members[kind] = map[string]any{"type": "array", "items": map[string]any{"$ref": here + name}}
	}
	members["$schema"] = map[string]any{"type": "string"}
	return map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "tactus",
		"description": "Schedules, calendars, routes and notification rules, as tactus apply reads them.",
		"type":        "object", "properties": members, "additionalProperties": false, "$defs": defs,
	}, nil
}
