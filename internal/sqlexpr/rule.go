package sqlexpr

// RuleEvent ends a statement that has changed notification rules (rows of tactus.notification_rules, in its part
// changed). It appends what became of them to the log, without their secrets.
const RuleEvent = `
insert into tactus.outbox (topic, aggregate_id, version, type, data, headers, occurred_at)
select 'rule', id, version, case when deleted_at is null then 'rule.set' else 'rule.deleted' end,
    json_build_object('name', name,
    'enabled', enabled, 'rule', definition), ` + Said + `, updated_at
from changed
returning version`
