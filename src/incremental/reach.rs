//! How far a change of a window's input reaches within its partitions.

use deltalake::datafusion::logical_expr::{Expr, Window};

use super::frame::Frame;
use super::neighbours::Neighbours;

/// How far the functions of a window reach, if not over whole partitions.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reach {
    /// Over a distance of order keys.
    Distance(Frame),
    /// Over a number of rows.
    Rows(Neighbours),
}

impl Reach {
    /// That of a window.
    pub(super) fn of(window: &Window) -> Option<Self> {
        Frame::of(window).map(Self::Distance).or_else(|| Neighbours::of(window).map(Self::Rows))
    }

    /// The order key, over the window's input.
    pub(super) fn order(&self) -> &Expr {
        match self {
            Self::Distance(frame) => &frame.order,
            Self::Rows(neighbours) => &neighbours.order,
        }
    }

    /// Whether the rule requires that a step is held, which those for large changes must not.
    pub(super) fn needs_a_held_step(&self) -> bool {
        matches!(self, Self::Rows(_))
    }
}
