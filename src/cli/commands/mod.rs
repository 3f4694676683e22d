//! One file per verb: parse, call one operation, render.

pub(super) mod check;
pub(super) mod sync;
pub(super) mod status;
pub(super) mod plan;
pub(super) mod query;
pub(super) mod history;
pub(super) mod quarantine;
pub(super) mod catalog;
