//! Subqueries that look outside, as joins with the meaning that SQL gives them: first in shapes that the engine's own rules
//! know, then, where these have none or a wrong one, after Neumann and Kemper, *Unnesting Arbitrary Queries* (BTW 2015).

pub mod subqueries;
pub mod domain_join;
