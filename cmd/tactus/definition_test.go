package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
)

// TestFlagsDefineEveryMember gives every flag of a definition a value, and checks that this sets every member of a
// schedule. Whether a name was generated follows from the name.
func TestFlagsDefineEveryMember(t *testing.T) {
	t.Parallel()
	var flags definitionFlags
	set(t, reflect.ValueOf(&flags).Elem())
	flags.File = ""
	members, err := flags.definition()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"auto_generated_name": true}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[domain.Definition]()) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		if _, given := members[name]; !given && !known[name] {
			t.Errorf("no flag defines %s", name)
		}
		known[name] = true
	}
	for name := range members {
		if !known[name] {
			t.Errorf("a flag defines %s, which no schedule has", name)
		}
	}
}

// set gives every field of flags a value.
func set(t *testing.T, of reflect.Value) {
	t.Helper()
	for i := range of.NumField() {
		field := of.Field(i)
		if field.Kind() == reflect.Struct { // embedded flags
			set(t, field)
			continue
		}
		switch field.Interface().(type) {
		case string:
			field.SetString("{}")
		case []string:
			field.Set(reflect.ValueOf([]string{"a"}))
		case bool:
			field.SetBool(true)
		case int64:
			field.SetInt(1)
		case float64:
			field.SetFloat(1)
		case *string:
			field.Set(reflect.ValueOf(new(string)))
		case *bool:
			field.Set(reflect.ValueOf(new(bool)))
		case *float64:
			one := 1.0
			field.Set(reflect.ValueOf(&one))
		case *inSeconds:
			field.Set(reflect.ValueOf(new(inSeconds(1))))
		case *comingTime:
			field.Set(reflect.ValueOf(new(comingTime)))
		case *int:
			field.Set(reflect.ValueOf(new(int)))
		case *int64:
			field.Set(reflect.ValueOf(new(int64)))
		default:
			t.Fatalf("%s is a %s", of.Type().Field(i).Name, field.Type())
		}
	}
}
