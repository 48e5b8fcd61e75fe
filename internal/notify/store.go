package notify

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/internal/traceparent"
	"github.com/tactus-dev/tactus/outbox"
)

// Store reads and writes rules.
type Store struct{ pool *pgxpool.Pool }

// NewStore returns a store that uses a pool, which the caller closes.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool} }

// Progress says how the deliveries of a rule succeed.
type Progress struct {
	DeliveredAt time.Time `json:"delivered_at,omitzero" doc:"When its destination last took a notification."`
	FailedAt    time.Time `json:"failed_at,omitzero" doc:"When its destination last failed."`
	Error       string    `json:"error,omitempty" doc:"Why, as long as it has taken none since."`
	HeldUntil   time.Time `json:"held_until,omitzero" doc:"When it is tried again."`
	Waiting     int64     `json:"waiting" doc:"How many happenings wait to be told."`
	Attempts    []Attempt `json:"attempts,omitempty" doc:"The newest attempts to send something, the newest first."`
}

// Attempt is an attempt to send a notification or a test.
type Attempt struct {
	At      time.Time `json:"at"`
	Outcome string    `json:"outcome" enum:"delivered,failed,dead" doc:"dead when it is a dead letter now."`
	Test    bool      `json:"test,omitempty"`
	Count   int64     `json:"count" doc:"How many happenings it told of."`
	Attempt int64     `json:"attempt" doc:"Which attempt to deliver it this was."`
	Error   string    `json:"error,omitempty" doc:"Why its destination did not take it."`
}

// Rule is a rule with its progress.
type Rule struct {
	domain.NotificationRule
	Last Progress `json:"last" readOnly:"true" doc:"How telling goes."`
}

// ruleID returns the id of the rule of a name. It follows from the name, and no other object has it.
func ruleID(name string) domain.ID { return domain.ID(md5.Sum([]byte("notification rule " + name))) }

const rules = `
select r.id, r.name, r.version, r.enabled, r.definition::text, r.created_at, r.updated_at, p.delivered_at, p.failed_at,
    case when p.failures > 0 then coalesce(p.error, '') else '' end, case when p.failures > 0 then p.held_until end,
    coalesce((select sum(d.count) from tactus.notification_deliveries d where d.rule_id = r.id), 0)::bigint,
    coalesce(array_to_json(p.recent)::text, '[]')
from tactus.notification_rules r left join tactus.notification_progress p on p.rule_id = r.id
where r.deleted_at is null and r.name <> '' `

func ruleRow(row pgx.CollectableRow) (r Rule, err error) {
	var id domain.ID
	var name, definition, attempts string
	var version int64
	var enabled bool
	var created, updated time.Time
	var delivered, failed, held *time.Time
	if err := row.Scan(&id, &name, &version, &enabled, &definition, &created, &updated, &delivered, &failed,
		&r.Last.Error, &held,
		&r.Last.Waiting, &attempts); err != nil {
		return r, err
	}
	if err := json.Unmarshal([]byte(attempts), &r.Last.Attempts); err != nil {
		return r, fmt.Errorf("what came of rule %s cannot be read: %w", name, err)
	}
	if err := json.Unmarshal([]byte(definition), &r.NotificationRule); err != nil {
		return r, fmt.Errorf("rule %s cannot be read: %w", name, err)
	}
	r.ID, r.Name, r.Version, r.Enabled = id, name, version, enabled
	r.CreatedAt, r.UpdatedAt = created.UTC(), updated.UTC()
	r.Last.DeliveredAt, r.Last.FailedAt, r.Last.HeldUntil = postgres.OrZero(delivered), postgres.OrZero(failed),
		postgres.OrZero(held)
	return r, nil
}

const (
	ruleByName  = rules + `and r.name = $1`
	pageOfRules = rules + `order by r.name limit $1::bigint offset $2::bigint`
	countRules  = `select count(*) from tactus.notification_rules where deleted_at is null and name <> ''`
)

// Get returns the rule of a name, or domain.ErrRuleNotFound.
func (s *Store) Get(ctx context.Context, name string) (Rule, error) {
	found, err := postgres.Collect(ctx, s.pool, ruleRow, ruleByName, name)
	if err != nil {
		return Rule{}, fmt.Errorf("read rule: %w", err)
	}
	if len(found) == 0 {
		return Rule{}, domain.ErrRuleNotFound
	}
	return found[0], nil
}

// Page returns some of the rules, sorted by name, and the number of all rules.
func (s *Store) Page(ctx context.Context, limit, offset int) (some []Rule, total int64, err error) {
	some, err = postgres.Collect(ctx, s.pool, ruleRow, pageOfRules, limit, offset)
	if err != nil {
		return nil, 0, fmt.Errorf("read rules: %w", err)
	}
	counts, err := postgres.Collect(ctx, s.pool, pgx.RowTo[int64], countRules)
	if err != nil {
		return nil, 0, fmt.Errorf("count rules: %w", err)
	}
	return some, counts[0], nil
}

// mostRules is how many rules there may be.
const mostRules = 1000

var errTooManyRules = &domain.Error{
	Kind: domain.Invalid, Code: "too_many_rules",
	Message: fmt.Sprintf("there are %d notification rules already: delete some", mostRules),
}

// maxRules is how many bytes all rules may take together. Every relay keeps them in memory.
const maxRules = 4 << 20

var errRulesTooLarge = &domain.Error{
	Kind: domain.Invalid, Code: "rules_too_large",
	Message: fmt.Sprintf("all notification rules together would take more than %d MiB: shorten some, or delete them",
		maxRules>>20),
}

// keptBefore selects what is stored of a rule that is not deleted.
const keptBefore = `
select r.definition::text, coalesce(s.url, ''), coalesce(s.key <> '', false), coalesce(s.headers::text <> '{}', false)
from tactus.notification_rules r left join tactus.notification_secrets s on s.rule_id = r.id
where r.id = $1 and r.deleted_at is null`

type before struct {
	Definition string
	URL        string
	Signed     bool // whether it has a key
	Headed     bool // whether it has headers
}

// keptRule is a rule in the form in which its definition is stored.
type keptRule struct {
	domain.NotificationRule
	SetBy string `json:"set_by,omitempty"`
}

// keep returns the definition to store when by writes a rule. If the rule is the same as before (was), the name of its
// last writer stays.
func keep(r domain.NotificationRule, was, by string) (definition []byte, err error) {
	var before keptRule
	_ = json.Unmarshal([]byte(was), &before) // an unreadable one counts as different
	same, err := json.Marshal(keptRule{r, before.SetBy})
	if err != nil || string(same) == was {
		return same, err
	}
	return json.Marshal(keptRule{r, by})
}

// otherRules selects how many bytes all other rules take, and the definition of the given one.
const otherRules = `
select coalesce(sum(length(definition::text)) filter (where id <> $1), 0)::bigint,
    coalesce(max(definition::text) filter (where id = $1), '')
from tactus.notification_rules where deleted_at is null`

type weighed struct {
	Others int64
	Was    string
}

// putRule writes a rule, its secrets and its event, unless nothing changes or the rule does not have the expected
// version (0: any). A secret that is null keeps its value; a replaced key goes on signing beside the new one for a day.
// If the address changes, no secret is kept: otherwise anybody who may change a rule could have its secrets sent to an
// address of their own. A webhook then gets the key @fresh.
const putRule = `
with changed as (
    insert into tactus.notification_rules as r (id, name, version, enabled, states, definition, created_at, updated_at)
    select @id, @name, 1, @enabled::boolean, @states::text[], @definition::text::json, statement_timestamp(),
        statement_timestamp()
    where (@version::bigint = 0 or exists (select from tactus.notification_rules where id = @id and deleted_at is null))
        and (exists (select from tactus.notification_rules where id = @id and deleted_at is null)
            or (` + countRules + `) < @most::bigint)
    on conflict (id) do update set version = r.version + 1, enabled = excluded.enabled, states = excluded.states,
        definition = excluded.definition,
        created_at = case when r.deleted_at is null then r.created_at else excluded.created_at end,
        updated_at = excluded.updated_at, deleted_at = null
    where (@version::bigint = 0 or r.version = @version::bigint)
        and ((r.enabled, r.definition::text, r.deleted_at) is distinct from (excluded.enabled,
            excluded.definition::text, null)
            or not exists (select from tactus.notification_secrets s where s.rule_id = @id and s.url =
                coalesce(@url::text, s.url)
                and s.key = coalesce(@key::text, s.key) and s.headers::text = coalesce(@headers::text,
                    s.headers::text)))
    returning *
),
secret as (
    insert into tactus.notification_secrets as s (rule_id, url, key, headers)
    select id, coalesce(@url::text, ''), coalesce(@key::text, @fresh), coalesce(@headers::text, '{}')::json
    from changed
    on conflict (rule_id) do update set url = coalesce(@url::text, s.url),
        key = coalesce(@key::text, case when ` + sameAddress + ` then s.key else @fresh end),
        headers = coalesce(@headers::text::json, case when ` + sameAddress + ` then s.headers else '{}' end),
        former_key = case when not ` + sameAddress + ` then null
            when s.key <> '' and s.key <> coalesce(@key::text, s.key) then s.key else s.former_key end,
        former_until = case when not ` + sameAddress + ` then null
            when s.key <> '' and s.key <> coalesce(@key::text, s.key) then statement_timestamp() + interval '1 day'
            else s.former_until end
)` + sqlexpr.RuleEvent

// sameAddress is true if the address does not change.
const sameAddress = `(s.url = coalesce(@url::text, s.url))`

// Put creates or replaces the rule of a name, if it has the version (0: any). secret is the new key of a webhook if Put
// has generated it; it cannot be read again later.
func (s *Store) Put(
	ctx context.Context, r domain.NotificationRule, given domain.NotificationSecrets, version int64,
) (after Rule, created bool, secret string, err error) {
	kept, err := postgres.Collect(ctx, s.pool, pgx.RowToStructByPos[before], keptBefore, ruleID(r.Name))
	if err != nil {
		return after, false, "", fmt.Errorf("read rule: %w", err)
	}
	r, given, secret, err = completed(r, given, kept)
	if err != nil {
		return after, false, "", err
	}
	written, err := s.write(ctx, r, given, version)
	if err != nil {
		return after, false, "", err
	}
	after, err = s.Get(ctx, r.Name)
	switch {
	case errors.Is(err, domain.ErrRuleNotFound) && version == 0:
		return after, false, "", errTooManyRules
	case err == nil && !written && version != 0 && after.Version != version:
		return after, false, "", domain.ErrRuleStale
	}
	return after, err == nil && len(kept) == 0, secret, err
}

// Check returns what Put would find wrong with a rule beside what is there.
func (s *Store) Check(ctx context.Context, r domain.NotificationRule, given domain.NotificationSecrets) error {
	kept, err := postgres.Collect(ctx, s.pool, pgx.RowToStructByPos[before], keptBefore, ruleID(r.Name))
	if err != nil {
		return fmt.Errorf("read rule: %w", err)
	}
	_, _, _, err = completed(r, given, kept)
	return err
}

// completed adds to a rule the part of its address that may be seen, and generates a key if it needs one.
func completed(
	r domain.NotificationRule, given domain.NotificationSecrets, kept []before,
) (domain.NotificationRule, domain.NotificationSecrets, string, error) {
	was := before{}
	if len(kept) > 0 {
		was = kept[0]
	}
	faults := domain.Faults{}
	fault := func(code, field, message string) {
		faults = append(faults, &domain.Error{Kind: domain.Invalid, Code: code, Field: field, Message: message})
	}
	var old domain.NotificationRule
	if len(kept) > 0 {
		_ = json.Unmarshal([]byte(was.Definition), &old) // nothing of an unreadable one is kept
	}
	faults = append(faults, r.NewTexts(old)...)
	if r.Source == nil {
		r.Source = old.Source
	} else if *r.Source == "" {
		r.Source = nil
	}
	moved := given.URL != "" && was.URL != "" && given.URL != was.URL
	switch {
	case r.To == domain.Stream || r.To == "": // which was told
	case given.URL != "":
		r.URL = domain.ShownURL(given.URL)
	case given.Shown != "" && given.Shown != domain.ShownURL(was.URL):
		fault("url_invalid", "/url", "that is how another address is shown: say the address whole")
	case was.URL != "":
		r.URL = domain.ShownURL(was.URL)
	default:
		fault("url_missing", "/url", "say where it is sent: an address that begins with https://")
	}
	if moved && r.To == domain.HTTP && was.Headed && given.Headers == nil {
		fault("headers_missing", "/headers", "the address changes, and what is secret for one is not sent to another: "+
			"say the headers again, or {} for none")
	}
	if len(faults) > 0 {
		return r, given, "", faults
	}
	secret := ""
	if r.To == domain.Webhook && given.Key == "" && (!was.Signed || moved) {
		given.Key = newKey()
		secret = given.Key
	}
	return r, given, secret, nil
}

// newKey generates the key of a webhook.
func newKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return domain.WebhookPrefix + base64.StdEncoding.EncodeToString(key)
}

func (s *Store) write(
	ctx context.Context, r domain.NotificationRule, given domain.NotificationSecrets, version int64,
) (written bool, err error) {
	plain := r
	plain.ID, plain.Name, plain.Version, plain.CreatedAt, plain.UpdatedAt, plain.Enabled = domain.ID{}, "", 0,
		time.Time{}, time.Time{}, false
	var headers *string
	if given.Headers != nil {
		raw, err := json.Marshal(given.Headers)
		if err != nil {
			return false, fmt.Errorf("encode headers: %w", err)
		}
		headers = postgres.OrNull(string(raw))
	}
	fresh := ""
	if r.To == domain.Webhook {
		fresh = newKey()
	}
	all, err := postgres.Collect(ctx, s.pool, pgx.RowToStructByPos[weighed], otherRules, ruleID(r.Name))
	if err != nil {
		return false, fmt.Errorf("weigh rules: %w", err)
	}
	by, _ := outbox.ActorOf(ctx)
	definition, err := keep(plain, all[0].Was, by)
	if err != nil {
		return false, fmt.Errorf("encode rule: %w", err)
	}
	if all[0].Others+int64(len(definition)) > maxRules {
		return false, errRulesTooLarge
	}
	states := r.States()
	if states == nil {
		states = []string{}
	}
	return s.run(ctx, putRule, pgx.NamedArgs{
		"id": ruleID(r.Name), "name": r.Name, "enabled": r.Enabled, "states": states,
		"definition": string(definition), "version": version,
		"most": mostRules, "url": postgres.OrNull(given.URL), "key": postgres.OrNull(given.Key), "fresh": fresh,
		"headers": headers,
	})
}

// run runs a statement that changes a rule. The event of the change names the actor of ctx.
func (s *Store) run(ctx context.Context, sql string, args pgx.NamedArgs) (written bool, err error) {
	name, reason := outbox.ActorOf(ctx)
	args["actor"], args["reason"] = postgres.OrNull(name), postgres.OrNull(reason)
	trace, ended := traceparent.Event(ctx, "rule")
	args["trace"] = trace
	versions, err := postgres.Collect(ctx, s.pool, pgx.RowTo[int64], sql, args)
	ended(err)
	if err != nil {
		return false, fmt.Errorf("write rule: %w", err)
	}
	return len(versions) > 0, nil
}

const deleteRule = `
with changed as (
    update tactus.notification_rules set version = version + 1, updated_at = statement_timestamp(), deleted_at =
        statement_timestamp()
    where id = @id and deleted_at is null and (@version::bigint = 0 or version = @version::bigint)
    returning *
),
secret as (delete from tactus.notification_secrets where rule_id in (select id from changed)),
delivery as (delete from tactus.notification_deliveries where rule_id in (select id from changed)),
progress as (delete from tactus.notification_progress where rule_id in (select id from changed)),
failing as (
    delete from tactus.notification_failing where exists (select from changed) and not exists (
        select from tactus.notification_rules where id <> @id and enabled and deleted_at is null and states <> '{}')
),
told as (delete from tactus.notification_told where rule_id in (select id from changed))` + sqlexpr.RuleEvent

// Delete deletes the rule of a name, if it has the version (0: any), with its secrets and its deliveries.
func (s *Store) Delete(ctx context.Context, name string, version int64) error {
	there, err := s.Get(ctx, name)
	if err != nil {
		return err
	}
	if version != 0 && there.Version != version {
		return domain.ErrRuleStale
	}
	_, err = s.run(ctx, deleteRule, pgx.NamedArgs{"id": ruleID(name), "version": version})
	return err
}

// Rotate gives the webhook of a rule a new key, and returns it. The old key goes on signing beside it for a day.
func (s *Store) Rotate(ctx context.Context, name string) (Rule, string, error) {
	r, err := s.Get(ctx, name)
	if err != nil {
		return r, "", err
	}
	if r.To != domain.Webhook {
		return r, "", &domain.Error{Kind: domain.Conflict, Code: "no_secret", Message: "only a webhook has a secret: this rule tells a " + string(r.To)}
	}
	key := newKey()
	if _, err := s.write(ctx, r.NotificationRule, domain.NotificationSecrets{Key: key}, 0); err != nil {
		return r, "", err
	}
	r, err = s.Get(ctx, name)
	return r, key, err
}

// askTest asks the courier to send a test at once. A rule has one test at a time.
const askTest = `
insert into tactus.notification_deliveries (rule_id, kind, count, documents, due_at)
select id, '` + kindTest + `', 1, '{}', clock_timestamp() from tactus.notification_rules where id = $1 and deleted_at is null
on conflict (rule_id, kind) where gathers do nothing`

// testOutcome selects the outcome of a test, null while there is none.
const testOutcome = `
select coalesce(p.tested_at >= $2::timestamptz, false), coalesce(p.test_error, '') from tactus.notification_progress p where p.rule_id = $1`

// Tested is the outcome of a test.
type Tested struct {
	Outcome string `json:"outcome" enum:"delivered,failed,waiting" doc:"waiting when no relay has sent it yet."`
	Error   string `json:"error,omitempty" doc:"Why the destination did not take it."`
}

// testPatience is how long Test waits for the outcome: a little longer than a destination may take.
const testPatience = testTimeout + 2*time.Second

// Test sends a test to the destination of a rule, even if the rule is disabled, and waits for the outcome.
func (s *Store) Test(ctx context.Context, name string) (t Tested, err error) {
	r, err := s.Get(ctx, name)
	if err != nil {
		return t, err
	}
	if r.To == domain.Stream {
		return t, &domain.Error{
			Kind: domain.Conflict, Code: "no_destination", Message: "a stream has no destination that could be tested",
		}
	}
	var asked time.Time
	if err := s.pool.QueryRow(ctx, `select clock_timestamp()`).Scan(&asked); err != nil {
		return t, fmt.Errorf("test a rule: %w", err)
	}
	if _, err := s.pool.Exec(ctx, askTest, r.ID); err != nil {
		return t, fmt.Errorf("test a rule: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, testPatience)
	defer cancel()
	every := time.NewTicker(200 * time.Millisecond)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return Tested{Outcome: "waiting"}, nil
		case <-every.C:
		}
		var done bool
		var why string
		err := s.pool.QueryRow(ctx, testOutcome, r.ID, asked).Scan(&done, &why)
		switch {
		case errors.Is(err, pgx.ErrNoRows) || ctx.Err() != nil || err == nil && !done:
		case err != nil:
			return t, fmt.Errorf("read what came of a test: %w", err)
		case why != "":
			return Tested{Outcome: "failed", Error: why}, nil
		default:
			return Tested{Outcome: "delivered"}, nil
		}
	}
}
