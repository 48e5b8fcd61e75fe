package tools

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const units = "../systemd"

// unit is a unit with the drop-ins of all units of tactus: what each setting of [Service] is given, in order.
type unit map[string][]string

// theUnits reads the units by their names without tactus-.
func theUnits(t *testing.T) map[string]unit {
	t.Helper()
	files, err := filepath.Glob(units + "/tactus-*.service")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]unit{}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "tactus-"), ".service")
		all[name] = unit{}
		drops, err := filepath.Glob(units + "/tactus-.service.d/*.conf")
		if err != nil || len(drops) == 0 {
			t.Fatalf("%v, %v", drops, err)
		}
		for _, part := range append([]string{file}, drops...) {
			all[name].read(t, part)
		}
	}
	return all
}

func (u unit) read(t *testing.T, path string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	section := ""
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			section = line
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if !found {
			t.Errorf("%s: %s", path, line)
		}
		u[section+name] = append(u[section+name], value)
	}
}

func (u unit) last(name string) string {
	if all := u[name]; len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// TestUnitsRunTheProgram checks what each unit runs, and that it is given each secret that the process cannot do
// without as a credential, by a setting that the program reads.
func TestUnitsRunTheProgram(t *testing.T) {
	needs := map[string][]string{
		"migrate": {"DATABASE_URL"}, "api": {"DATABASE_URL"}, "relay": {"DATABASE_URL", "REDIS_URL"}, "beat": {"DATABASE_URL", "REDIS_URL"},
	}
	all := theUnits(t)
	if len(all) != len(needs) {
		t.Errorf("%d units", len(all))
	}
	for name, secrets := range needs {
		u := all[name]
		if got := u.last("[Service]ExecStart"); got != "/usr/local/bin/tactus "+name {
			t.Errorf("%s runs %q", name, got)
		}
		given := []string{}
		for _, assigned := range u["[Service]Environment"] {
			setting, value, _ := strings.Cut(assigned, "=")
			secret, isFile := strings.CutSuffix(setting, "_FILE")
			file := strings.ToLower(secret)
			if !isFile || value != "%d/"+file || !slices.Contains(u["[Service]LoadCredential"], file+":/etc/tactus/credentials/"+file) {
				t.Errorf("%s: %s, with the credentials %v", name, assigned, u["[Service]LoadCredential"])
			}
			if !understood(t, name)[secret] {
				t.Errorf("tactus %s does not read %s", name, setting)
			}
			given = append(given, secret)
		}
		slices.Sort(given)
		if !slices.Equal(given, secrets) {
			t.Errorf("%s is given %v, and needs %v", name, given, secrets)
		}
		after := strings.Fields(strings.Join(u["[Unit]After"], " "))
		if name != "migrate" && (!slices.Contains(after, "tactus-migrate.service") || !slices.Contains(u["[Unit]Wants"], "tactus-migrate.service")) {
			t.Errorf("%s does not wait for the schema: it starts after %v", name, after)
		}
		if seconds, err := strconv.Atoi(u.last("[Service]TimeoutStopSec")); err != nil || seconds < 25 {
			t.Errorf("%s is killed after %q, and may take 20 s to stop", name, u.last("[Service]TimeoutStopSec"))
		}
	}
}

// TestUnitsAreWhatSystemdReads has systemd itself read the units, with the program in its place, and say how exposed
// they are: of 10 at most 1.5.
func TestUnitsAreWhatSystemdReads(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skipf("there is no systemd here: %v", err)
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(units)); err != nil {
		t.Fatal(err)
	}
	for name := range theUnits(t) {
		file := filepath.Join(folder, "tactus-"+name+".service")
		text, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(file, []byte(strings.Replace(string(text), "/usr/local/bin/tactus", path, 1)), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"verify", "--man=no"}, {"security", "--offline=true", "--threshold=15"}} {
			cmd := exec.Command("systemd-analyze", append(args, file)...)
			cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+folder+":") // before the system's
			said, err := cmd.CombinedOutput()
			if err != nil || args[0] == "verify" && strings.Contains(string(said), folder) {
				t.Errorf("systemd-analyze %v: %v\n%s", args, err, said)
			}
		}
	}
}
