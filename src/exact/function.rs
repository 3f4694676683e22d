//! The aggregate functions: the built-in ones, with exact sums of doubles.

use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, FieldRef};
use deltalake::datafusion::common::{Result, ScalarValue};
use deltalake::datafusion::execution::SessionStateDefaults;
use deltalake::datafusion::logical_expr::expr::AggregateFunction;
use deltalake::datafusion::logical_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use deltalake::datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use deltalake::datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, Expr, GroupsAccumulator, Operator, ReversedUDAF,
    SetMonotonicity, Signature, StatisticsArgs,
};

use super::accumulate::{Distinct, Groups, Single};
use super::extremes::{End, Extreme};
use super::moments::{Finish, One, State, Two};
use super::sums::Asked;

/// All built-in aggregate functions, with those of floating-point numbers replaced by exact ones.
#[must_use]
pub(crate) fn functions() -> Vec<Arc<AggregateUDF>> {
    let exact = |inner: Arc<AggregateUDF>| match (Kind::of(inner.name()), End::of(inner.name())) {
        (Some(kind), _) => Arc::new(AggregateUDF::new_from_impl(Exact { inner, kind })),
        (None, Some(end)) => Arc::new(AggregateUDF::new_from_impl(Extreme { inner, end })),
        (None, None) => inner,
    };
    SessionStateDefaults::default_aggregate_functions().into_iter().map(exact).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Sum,
    Avg,
    VarSamp,
    VarPop,
    StddevSamp,
    StddevPop,
    CovarSamp,
    CovarPop,
    Corr,
    RegrSlope,
    RegrIntercept,
    RegrR2,
    RegrAvgX,
    RegrAvgY,
    RegrSxx,
    RegrSyy,
    RegrSxy,
}

impl Kind {
    /// By the built-in's own name; `regr_count` has no sum.
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "sum" => Self::Sum,
            "avg" => Self::Avg,
            "var" => Self::VarSamp,
            "var_pop" => Self::VarPop,
            "stddev" => Self::StddevSamp,
            "stddev_pop" => Self::StddevPop,
            "covar_samp" => Self::CovarSamp,
            "covar_pop" => Self::CovarPop,
            "corr" => Self::Corr,
            "regr_slope" => Self::RegrSlope,
            "regr_intercept" => Self::RegrIntercept,
            "regr_r2" => Self::RegrR2,
            "regr_avgx" => Self::RegrAvgX,
            "regr_avgy" => Self::RegrAvgY,
            "regr_sxx" => Self::RegrSxx,
            "regr_syy" => Self::RegrSyy,
            "regr_sxy" => Self::RegrSxy,
            _ => return None,
        })
    }

    fn with<W: With>(self, with: W) -> W::Out {
        type Pair = Two<true>;
        match self {
            Self::Sum => with.call(One::sum),
            Self::Avg => with.call(One::mean),
            Self::VarSamp => with.call(Two::<false>::var_samp),
            Self::VarPop => with.call(Two::<false>::var_pop),
            Self::StddevSamp => with.call(Two::<false>::stddev_samp),
            Self::StddevPop => with.call(Two::<false>::stddev_pop),
            Self::CovarSamp => with.call(Pair::covar_samp),
            Self::CovarPop => with.call(Pair::covar_pop),
            Self::Corr => with.call(Pair::corr),
            Self::RegrSlope => with.call(Pair::regr_slope),
            Self::RegrIntercept => with.call(Pair::regr_intercept),
            Self::RegrR2 => with.call(Pair::regr_r2),
            Self::RegrAvgX => with.call(Pair::regr_avgx),
            Self::RegrAvgY => with.call(Pair::regr_avgy),
            Self::RegrSxx => with.call(Pair::regr_sxx),
            Self::RegrSyy => with.call(Pair::regr_syy),
            Self::RegrSxy => with.call(Pair::regr_sxy),
        }
    }
}

/// Uses a state and its result.
trait With {
    type Out;
    fn call<S: State>(self, finish: Finish<S>) -> Self::Out;
}

/// Makes the accumulator of one group.
struct OneGroup {
    distinct: bool,
}

impl With for OneGroup {
    type Out = Box<dyn Accumulator>;
    fn call<S: State>(self, finish: Finish<S>) -> Self::Out {
        if self.distinct { Box::new(Distinct::new(finish)) } else { Box::new(Single::new(finish)) }
    }
}

/// Makes the accumulator of many groups.
struct ManyGroups;

impl With for ManyGroups {
    type Out = Box<dyn GroupsAccumulator>;
    fn call<S: State>(self, finish: Finish<S>) -> Self::Out {
        Box::new(Groups::new(finish))
    }
}

/// A built-in function with exact sums of doubles.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Exact {
    inner: Arc<AggregateUDF>,
    kind: Kind,
}

impl Exact {
    fn built_in(&self) -> &dyn AggregateUDFImpl {
        self.inner.inner().as_ref()
    }

    /// A sum or an average of integers or decimals.
    fn asked(&self, inputs: &[FieldRef], output: &FieldRef) -> Option<Asked> {
        let means = match self.kind {
            Kind::Sum => false,
            Kind::Avg => true,
            _ => return None,
        };
        Asked::new(means, inputs, output)
    }
}

/// Whether the function takes and returns doubles.
fn ours(inputs: &[FieldRef], output: &FieldRef) -> bool {
    *output.data_type() == DataType::Float64 && inputs.iter().all(|f| *f.data_type() == DataType::Float64)
}

impl AggregateUDFImpl for Exact {
    fn name(&self) -> &str {
        self.built_in().name()
    }

    fn aliases(&self) -> &[String] {
        self.built_in().aliases()
    }

    fn signature(&self) -> &Signature {
        self.built_in().signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.built_in().return_type(arg_types)
    }

    fn return_field(&self, arg_fields: &[FieldRef]) -> Result<FieldRef> {
        self.built_in().return_field(arg_fields)
    }

    fn is_nullable(&self) -> bool {
        self.built_in().is_nullable()
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if ours(args.expr_fields, &args.return_field) {
            return Ok(self.kind.with(OneGroup { distinct: args.is_distinct }));
        }
        if let Some(asked) = self.asked(args.expr_fields, &args.return_field) {
            return Ok(asked.of(args.exprs, args.is_distinct).single(args.is_distinct));
        }
        self.built_in().accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if ours(args.input_fields, &args.return_field) {
            return Ok(vec![Arc::new(Field::new(format_state_name(args.name, "exact"), DataType::Binary, true))]);
        }
        if let Some(asked) = self.asked(args.input_fields, &args.return_field) {
            return Ok(asked.state_fields(args.name, args.is_distinct));
        }
        self.built_in().state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        if ours(args.expr_fields, &args.return_field) {
            return !args.is_distinct;
        }
        if self.asked(args.expr_fields, &args.return_field).is_some() {
            return !args.is_distinct;
        }
        self.built_in().groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        if ours(args.expr_fields, &args.return_field) {
            return Ok(self.kind.with(ManyGroups));
        }
        if let Some(asked) = self.asked(args.expr_fields, &args.return_field) {
            return Ok(asked.of(args.exprs, false).groups());
        }
        self.built_in().create_groups_accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let is_wide = self.asked(args.expr_fields, &args.return_field).is_some();
        if is_wide || ours(args.expr_fields, &args.return_field) {
            return self.accumulator(args);
        }
        self.built_in().create_sliding_accumulator(args)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.built_in().order_sensitivity()
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        self.built_in().simplify()
    }

    fn simplify_expr_op_literal(
        &self,
        agg_function: &AggregateFunction,
        arg: &Expr,
        op: Operator,
        lit: &Expr,
        arg_is_left: bool,
    ) -> Result<Option<Expr>> {
        // sum(x + 0.1) is not sum(x) + 0.1 * count(x): each x + 0.1 is rounded. And 1 * count(x) may overflow the type
        // of 1.
        if self.kind == Kind::Sum {
            return Ok(None);
        }
        self.built_in().simplify_expr_op_literal(agg_function, arg, op, lit, arg_is_left)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.built_in().reverse_expr()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.built_in().coerce_types(arg_types)
    }

    fn is_descending(&self) -> Option<bool> {
        self.built_in().is_descending()
    }

    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        // The statistics were computed with rounding.
        if args.return_type.is_floating() { None } else { self.built_in().value_from_stats(args) }
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.built_in().default_value(data_type)
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.built_in().supports_null_handling_clause()
    }

    fn supports_within_group_clause(&self) -> bool {
        self.built_in().supports_within_group_clause()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.built_in().documentation()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.built_in().set_monotonicity(data_type)
    }
}
