//! Reasons with stable codes why a query is refused, or recomputed instead of maintained.

use std::fmt;

/// The effect of a reason on the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The project's check refuses it: its tables do not determine its result.
    Refused,
    /// Its result is deterministic, but it has no derivative: it is recomputed, and the difference applied.
    Full,
}

macro_rules! codes {
    ($($(#[$doc:meta])+ $variant:ident = $text:literal, $effect:ident;)+) => {
        /// The kind of a reason. The text of a code is stable: scripts may search for it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])+ $variant,)+
        }

        impl Code {
            /// All codes, the refusals first.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)+];

            /// The code as it is shown.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Code::$variant => $text,)+
                }
            }

            /// Its effect on the query.
            #[must_use]
            pub fn effect(self) -> Effect {
                match self {
                    $(Code::$variant => Effect::$effect,)+
                }
            }
        }
    };
}

codes! {
    /// A function whose value differs in every run.
    VolatileFunction = "VOLATILE_FUNCTION", Refused;
    /// `limit` or `offset` by an order with ties.
    LimitWithoutTotalOrder = "LIMIT_WITHOUT_TOTAL_ORDER", Refused;
    /// `distinct on` by an order with ties.
    DistinctOnWithoutTotalOrder = "DISTINCT_ON_WITHOUT_TOTAL_ORDER", Refused;
    /// A window function that counts rows or positions by an order with ties.
    WindowWithoutTotalOrder = "WINDOW_WITHOUT_TOTAL_ORDER", Refused;
    /// An aggregate that depends on the order of rows, by an order with ties.
    AggregateWithoutTotalOrder = "AGGREGATE_WITHOUT_TOTAL_ORDER", Refused;
    /// An aggregate that may give different results for the same rows.
    ApproximateAggregate = "APPROXIMATE_AGGREGATE", Refused;
    /// `except all` and `intersect all`, which the query engine plans wrongly.
    SetOperationAll = "SET_OPERATION_ALL", Refused;
    /// A column twice in the `order by` of an aggregate or of `distinct on`, at which the query engine stops.
    OrderByRepeated = "ORDER_BY_REPEATED", Refused;
    /// Orders of aggregates that the query engine cannot follow.
    OrderNotFollowed = "ORDER_NOT_FOLLOWED", Refused;
    /// `using` or `natural` in a right or full join, of which the query engine takes the wrong side.
    UsingOfOuterJoin = "USING_OF_OUTER_JOIN", Refused;
    /// Intervals of months, days and hours, which have no order.
    IntervalOrder = "INTERVAL_ORDER", Refused;
    /// A clause that the query engine ignores or misinterprets.
    ClauseMisread = "CLAUSE_MISREAD", Refused;
    /// A subquery for which the query engine has no plan.
    SubqueryNotPlanned = "SUBQUERY_NOT_PLANNED", Refused;
    /// A query that the query engine parses but cannot plan.
    NotPlanned = "NOT_PLANNED", Refused;
    /// `$1`: a query of a project has no parameters.
    Parameter = "PARAMETER", Refused;
    /// `limit` or `offset` by a total order.
    Limit = "LIMIT", Full;
    /// A window over all rows of its input.
    WindowWithoutPartitionBy = "WINDOW_WITHOUT_PARTITION_BY", Full;
    /// `grouping sets`, `rollup`, `cube`.
    GroupingSets = "GROUPING_SETS", Full;
    /// `with recursive`.
    Recursion = "RECURSION", Full;
    /// A subquery used as a value that may give several rows.
    ScalarSubquery = "SCALAR_SUBQUERY", Full;
    /// A subquery that the planner cannot write as a join.
    SubqueryNotAJoin = "SUBQUERY_NOT_A_JOIN", Full;
    /// A column with the name of the weight.
    ReservedColumn = "RESERVED_COLUMN", Full;
    /// An operator of the query engine without a rule.
    OperatorWithoutRule = "OPERATOR_WITHOUT_RULE", Full;
    /// The query engine cannot rewrite the query.
    NotRewritten = "NOT_REWRITTEN", Full;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a query is refused or recomputed, for its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Its kind.
    pub code: Code,
    /// A lower-case fragment.
    pub text: String,
}

impl Reason {
    /// A reason of a kind, with its text.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.text, self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_line_of_documentation_and_no_other_has() {
        let page = include_str!("../../docs/queries.md");
        let listed: Vec<(String, bool)> = page
            .lines()
            .filter_map(|line| {
                let (code, rest) = line.strip_prefix("| `")?.split_once("` |")?;
                let is_code = code.chars().all(|c| c.is_ascii_uppercase() || c == '_');
                is_code.then(|| (code.to_owned(), rest.trim_start().starts_with("refused")))
            })
            .collect();
        let expected: Vec<_> = Code::ALL.iter().map(|c| (c.to_string(), c.effect() == Effect::Refused)).collect();
        assert_eq!(listed, expected, "docs/queries.md lists the codes in their order, with what they mean");
    }

    #[test]
    fn a_reason_carries_its_code_at_the_end() {
        assert_eq!(Reason::new(Code::GroupingSets, "no `cube`").to_string(), "no `cube` [GROUPING_SETS]");
    }
}
