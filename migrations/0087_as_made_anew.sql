-- +goose Up

-- What 0001 makes today and did not make at first: its text was added to after it had landed, and a database that had
-- it by then got nothing of that. Where all is there, as in every database made since, nothing is touched or locked.
-- +goose StatementBegin
do $mend$
declare
    -- whether the table has the column
    has constant text := 'select exists (select from pg_catalog.pg_attribute where attrelid = $1::pg_catalog.regclass'
        ' and attname = $2 and not attisdropped)';
    there boolean;
    lacking record;
begin
    if pg_catalog.to_regclass('tactus.relay_forwards') is null then
        create table tactus.relay_forwards (
            sink  text primary key,
            epoch text not null,
            batch bigint not null,
            place bigint not null
        );
    end if;
    execute has into there using 'tactus.idempotency', 'made';
    if not there then
        alter table tactus.idempotency rename column schedule_id to made;
    end if;
    if pg_catalog.to_regclass('tactus.idempotency_age') is null then
        create index idempotency_age on tactus.idempotency (created_at);
    end if;
    for lacking in
        select * from (values
            ('runs', 'redelivered', 'integer not null default 0'),
            ('relay_sinks', 'opened', 'bigint not null default 1'),
            ('relay_sinks', 'after_batch', 'bigint not null default 0'),
            ('relay_sinks', 'after_place', 'bigint not null default 0'),
            ('relay_sinks', 'floor', 'bigint not null default 0'),
            ('relay_sinks', 'late', 'pg_snapshot not null default ''1:1:'''),
            ('relay_sinks', 'confirmed_batch', 'bigint not null default 0'),
            ('relay_sinks', 'confirmed_place', 'bigint not null default 0'),
            ('relay_batches', 'kind',
             'text not null default ''next'' check (kind in (''first'', ''epoch'', ''next'', ''again''))'),
            ('relay_batches', 'from_position', 'bigint'),
            ('relay_batches', 'since', 'timestamptz')
        ) made (of_table, name, definition)
    loop
        execute has into there using 'tactus.' || lacking.of_table, lacking.name;
        if not there then
            execute pg_catalog.format('alter table tactus.%I add column %I %s', lacking.of_table, lacking.name,
                lacking.definition);
        end if;
    end loop;
end
$mend$;
-- +goose StatementEnd
