package projection_test

import (
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/notify"
	"github.com/tactus-dev/tactus/internal/projection"
)

// TestRulesAreRebuilt spoils the rows of notification rules, and has them made of their events again. Their secrets
// stay as they are.
func TestRulesAreRebuilt(t *testing.T) {
	t.Parallel()
	w := filled(t)
	rules := notify.NewStore(w.pool)
	for _, name := range []string{"spoiled", "lost", "deleted", "kept", "off"} {
		body := `{"on":["failed","recovered"],"names":["ni*t"],"description":"夜","to":"webhook","url":"https://h.example/hush"}`
		if name == "off" {
			body = `{"enabled":false,"on":["paused"],"paused_seconds":60,"to":"slack","url":"https://h.example/hush"}`
		}
		r, s, err := domain.DecodeNotificationRule(name, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := rules.Put(t.Context(), r, s, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := rules.Delete(t.Context(), "deleted", 0); err != nil {
		t.Fatal(err)
	}
	w.sql(t, `insert into tactus.notification_rules values (gen_random_uuid(), '', 1, true, '{failed}', '{"on":[],"to":"stream"}', now(), now())`)
	rebuild := func(swap bool) (r projection.Result) {
		r, err := projection.Rebuild(t.Context(), w.pool, projection.Config{Swap: swap})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := rebuild(false); r.Different != 0 {
		t.Errorf("as they were written: %+v", r)
	}
	w.sql(t, `update tactus.notification_rules set states = '{}' where name = 'spoiled'`)
	w.sql(t, `update tactus.notification_rules set deleted_at = null where name = 'deleted'`)
	w.sql(t, `update tactus.notification_rules set enabled = true where name = 'off'`)
	w.sql(t, `delete from tactus.notification_secrets where rule_id = (select id from tactus.notification_rules where name = 'lost')`)
	w.sql(t, `delete from tactus.notification_rules where name = 'lost'`)
	if r := rebuild(false); r.Different != 4 || r.Replaced != 0 {
		t.Errorf("spoiled: %+v", r)
	}
	if r := rebuild(true); r.Different != 4 || r.Replaced != 4 || r.Left != 0 {
		t.Errorf("mended: %+v", r)
	}
	if r := rebuild(false); r.Different != 0 {
		t.Errorf("after it: %+v", r)
	}
	for name, version := range map[string]int64{"spoiled": 2, "lost": 2, "kept": 1, "off": 2} {
		r, err := rules.Get(t.Context(), name)
		if err != nil || r.Version != version || r.Enabled != (name != "off") || name != "off" && (len(r.Names) != 1 || r.Description != "夜") {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if _, _, _, err := rules.Put(t.Context(), domain.NotificationRule{
		Name: "spoiled", Enabled: true, On: []domain.Happening{"failed"}, To: domain.Webhook,
	}, domain.NotificationSecrets{}, 0); err != nil {
		t.Errorf("its secrets are lost: %v", err)
	}
}
