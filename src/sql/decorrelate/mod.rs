//! Correlated subqueries as joins, with SQL's meaning: first in shapes that the engine's own rules support, then, if
//! these have no rule or a wrong one, after Neumann and Kemper, *Unnesting Arbitrary Queries* (BTW 2015).

pub(crate) mod subqueries;
pub(crate) mod domain_join;
