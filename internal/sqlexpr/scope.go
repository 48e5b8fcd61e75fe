package sqlexpr

// InScope is true of schedules (rows s of tactus.schedules) that have one of the tags @scope_tags, or whose name begins
// as one of @scope_names; of all, where both are empty.
const InScope = `(cardinality(@scope_tags::text[]) + cardinality(@scope_names::text[]) = 0
    or s.tags && @scope_tags::text[] or s.name ^@ any (@scope_names::text[]))`
