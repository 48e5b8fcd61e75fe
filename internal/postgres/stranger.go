package postgres

// Stranger is the condition that somebody else may act as a role (an expression of an oid; 0 is everybody): a role
// that logs in, is no superuser, and cannot act as the role own (an expression of its name) anyway. That own is a
// member of a group does not make the group's other members trusted. Who may act as a superuser is not looked for.
func Stranger(holder, own string) string {
	return `exists (
            select from pg_catalog.pg_roles r
            where r.rolcanlogin and not r.rolsuper and not pg_catalog.pg_has_role(r.oid, ` + own + `, 'member')
                and (` + holder + ` operator(pg_catalog.=) 0::oid
                    or pg_catalog.pg_has_role(r.oid, ` + holder + `, 'member'))
                and not exists (select from pg_catalog.pg_roles h
                    where h.oid operator(pg_catalog.=) ` + holder + ` and h.rolsuper))`
}
