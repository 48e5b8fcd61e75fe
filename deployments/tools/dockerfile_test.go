package tools

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// step is one instruction of a Dockerfile.
type step struct{ name, rest string }

func dockerfile(path string) (steps []step, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		steps = append(steps, step{name, strings.TrimSpace(rest)})
	}
	return steps, nil
}

func read(t *testing.T, path string) []step {
	t.Helper()
	steps, err := dockerfile(path)
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

func TestImageHoldsTheProgramAlone(t *testing.T) {
	steps := read(t, "../Dockerfile")
	from := slices.IndexFunc(steps, func(s step) bool { return s == step{"FROM", "scratch"} })
	if from < 0 {
		t.Fatal("the last stage is not empty")
	}
	stage := steps[from+1:]
	for _, s := range stage {
		switch s.name {
		case "COPY":
			if !strings.HasPrefix(s.rest, "--from=build ") {
				t.Errorf("COPY %s: only build results belong in the image", s.rest)
			}
		case "USER":
			if uid, err := strconv.Atoi(strings.Split(s.rest, ":")[0]); err != nil || uid == 0 {
				t.Errorf("USER %s: want a number other than 0, because an empty image has no user names", s.rest)
			}
		case "HEALTHCHECK":
			if command := healthCheck(t); command[0] != "/tactus" {
				t.Errorf("HEALTHCHECK %s: an empty image has no other program", s.rest)
			}
		case "ENTRYPOINT", "CMD":
			if err := json.Unmarshal([]byte(s.rest), &[]string{}); err != nil {
				t.Errorf("%s %s: an empty image has no shell to read it", s.name, s.rest)
			}
		default:
			t.Errorf("%s %s: an empty image has no program for this", s.name, s.rest)
		}
	}
	if got := names(stage); !slices.Equal(got, []string{"COPY", "COPY", "USER", "HEALTHCHECK", "ENTRYPOINT", "CMD"}) {
		t.Errorf("the steps of the image: %v", got)
	}
}

// healthCheck is the command of the image's health check.
func healthCheck(t *testing.T) (command []string) {
	t.Helper()
	for _, s := range read(t, "../Dockerfile") {
		if s.name != "HEALTHCHECK" {
			continue
		}
		_, text, found := strings.Cut(s.rest, " CMD ")
		if err := json.Unmarshal([]byte(text), &command); !found || err != nil || len(command) == 0 {
			t.Fatalf("HEALTHCHECK %s: an empty image has no shell to read it: %v", s.rest, err)
		}
	}
	if command == nil {
		t.Fatal("the image has no health check")
	}
	return command
}

func names(steps []step) (list []string) {
	for _, s := range steps {
		list = append(list, s.name)
	}
	return list
}

// TestImageIsBuiltByTheGoOfTheModule checks that the build needs no other toolchain than its image has.
func TestImageIsBuiltByTheGoOfTheModule(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(top, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	if first := read(t, "../Dockerfile")[0]; version == nil || first != (step{"FROM", "golang:" + string(version[1]) + " AS build"}) {
		t.Errorf("%v, but go.mod says %s", first, version)
	}
}

// TestCopiesFindTheirFiles checks that the sources of COPY exist and are not excluded from the build.
func TestCopiesFindTheirFiles(t *testing.T) {
	for path, context := range map[string]string{"../Dockerfile": top, "../../examples/celery_worker/Dockerfile": "../../examples/celery_worker"} {
		for _, s := range read(t, path) {
			if s.name != "COPY" || strings.HasPrefix(s.rest, "--from") {
				continue
			}
			words := strings.Fields(s.rest)
			for _, source := range words[:len(words)-1] {
				if _, err := os.Stat(filepath.Join(context, source)); err != nil {
					t.Errorf("%s: COPY %s: %v", path, source, err)
				}
			}
		}
	}
	ignored, err := os.ReadFile("../Dockerfile.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	for _, needed := range []string{"go.mod", "go.sum", "cmd", "domain", "outbox", "relay", "beat", "migrations", "internal"} {
		if slices.Contains(strings.Fields(string(ignored)), needed) {
			t.Errorf("%s is excluded from the build, which needs it", needed)
		}
	}
}

func TestWorkerIsNotRoot(t *testing.T) {
	if !slices.Contains(read(t, "../../examples/celery_worker/Dockerfile"), step{"USER", "worker"}) {
		t.Error("the worker runs as root")
	}
}
