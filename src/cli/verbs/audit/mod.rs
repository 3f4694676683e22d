//! `audit`: what was in a table, and why.

pub(in crate::cli) mod membership;

use clap::Subcommand;

use crate::cli::Session;
use crate::error::Result;
use membership::MembershipArgs;

/// What to audit.
#[derive(Clone, Debug, Subcommand)]
pub enum AuditVerb {
    /// Show whether a person or a device is in a table, in which versions, and the landing records that its rows come from
    Membership(MembershipArgs),
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, verb: &AuditVerb) -> Result<u8> {
    match verb {
        AuditVerb::Membership(args) => membership::run(session, args).await,
    }
}
