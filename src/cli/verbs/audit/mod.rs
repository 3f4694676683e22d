//! `audit`: checks of past versions.

mod consent;
pub(in crate::cli) mod membership;
mod verify;

use clap::{Args, Subcommand};

use crate::audit::Scope;
use crate::cli::Session;
use crate::cli::args::Dates;
use crate::error::Result;
pub(in crate::cli) use consent::ConsentReport;
use membership::MembershipArgs;
pub(in crate::cli) use membership::MembershipReport;
pub(in crate::cli) use verify::VerifyReport;

/// The audits.
#[derive(Clone, Debug, Subcommand)]
pub enum AuditVerb {
    /// Find rows whose subject had not consented in the cut that their version was computed from
    Consent(ConsentArgs),
    /// Recompute a version from the versions of its sources that it records, and compare
    Verify(VerifyArgs),
    /// Show whether a person or a device is in a table, in which versions, and the landing records that its rows come from
    Membership(MembershipArgs),
}

/// Options of `audit consent`.
#[derive(Args, Clone, Debug)]
pub struct ConsentArgs {
    /// The table: t, t@v12, t@2026-11-20; or @2026-11-20 for all [default: all tables with consent]
    #[arg(value_name = "TABLE[@VERSION]")]
    pub table: Option<String>,
    /// The tables of this zone
    #[arg(long, value_name = "ZONE")]
    pub zone: Option<String>,
    /// Every version, and not only the newest
    #[arg(long)]
    pub all_versions: bool,
    /// Exit with 3 also if versions can no longer be read
    #[arg(long)]
    pub strict: bool,
    #[command(flatten)]
    pub dates: Dates,
}

/// Options of `audit verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// The table: t, t@v12, t@2026-11-20; or @2026-11-20 with --zone or --lake
    #[arg(value_name = "TABLE[@VERSION]", required_unless_present_any = ["zone", "lake"])]
    pub table: Option<String>,
    /// The tables of this zone
    #[arg(long, value_name = "ZONE", conflicts_with = "lake")]
    pub zone: Option<String>,
    /// All tables
    #[arg(long)]
    pub lake: bool,
    /// Exit with 3 also if versions can no longer be read
    #[arg(long)]
    pub strict: bool,
    #[command(flatten)]
    pub dates: Dates,
}

impl ConsentArgs {
    fn scope(&self) -> Result<Scope> {
        let scope = Scope::parse(self.table.as_deref(), self.zone.as_deref(), &self.dates.zone()?)?;
        if self.all_versions { scope.at_all_versions() } else { Ok(scope) }
    }
}

impl VerifyArgs {
    fn scope(&self) -> Result<Scope> {
        Scope::parse(self.table.as_deref(), self.zone.as_deref(), &self.dates.zone()?)?.of_lake(self.lake)
    }
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, verb: &AuditVerb) -> Result<u8> {
    match verb {
        AuditVerb::Consent(args) => consent::run(session, args).await,
        AuditVerb::Verify(args) => verify::run(session, args).await,
        AuditVerb::Membership(args) => membership::run(session, args).await,
    }
}
