//! The report as one page: nothing in it comes from elsewhere, and nothing leaves it.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::graph::graph;
use crate::outcome::{
    LakeReport, ReportedConsent, ReportedPin, ReportedTable, ReportedVerification, ReportedVersion, number, sized,
};

const STYLE: &str = include_str!("page.css");

/// The whole page.
#[must_use]
pub fn page(report: &LakeReport) -> String {
    let title = match &report.pin {
        Some(pin) => format!("{} - {}", pin.name, report.project),
        None => report.project.clone(),
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Even a browser that wanted to could load nothing.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    p { (verdict(report)) }
                    (facts(report))
                }
                main {
                    @if let Some(pin) = &report.pin { (pinned(pin)) }
                    section { h2 { "Lineage" } (graph(&report.tables)) (sources(&report.tables)) }
                    section { h2 { "Tables" } (tables(&report.tables)) }
                    section { h2 { "Consent" } (consent(&report.consent)) }
                    section { h2 { "Verification" } (verification(&report.verification)) }
                    @if report.pin.is_none() { section { h2 { "Pins" } (pins(&report.pins)) } }
                    section { h2 { "Migrations" } (migrations(report)) }
                    section { h2 { "Versions" } @for table in &report.tables { (versions(table)) } }
                }
                footer { p { "Made by stedi-delta " (report.tool) " at " (report.generated_at) ", run " (report.run) "." } }
            }
        }
    };
    page.into_string()
}

/// The whole in one sentence.
fn verdict(report: &LakeReport) -> Markup {
    let [violated, different, unknown] = report.against();
    html! {
        @if violated + different == 0 {
            strong.good { "No violation found." }
        } @else {
            strong.bad {
                (violated) " of " (report.consent.len()) " audits of consent violated, "
                (different) " tables differ from their query."
            }
        }
        @if unknown > 0 { " " (unknown) " verdicts are unknown." }
    }
}

fn facts(report: &LakeReport) -> Markup {
    let facts = [
        ("Project", &report.project),
        ("Target", &report.target),
        ("Landing", &report.landing),
        ("Warehouse", &report.warehouse),
        ("Made at", &report.generated_at),
    ];
    html! { dl { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } } }
}

fn pinned(pin: &ReportedPin) -> Markup {
    html! {
        section {
            h2 { "The pinned version" }
            dl {
                div { dt { "Table" } dd { (pin.table) " v" (pin.version) } }
                @if let Some(at) = &pin.committed_at { div { dt { "Committed at" } dd { (at) } } }
                div { dt { "Pinned at" } dd { (pin.pinned_at) } }
                div { dt { "Kept until" } dd { (pin.until.as_deref().unwrap_or("it is unpinned")) } }
                @if let Some(rows) = pin.rows { div { dt { "Rows" } dd { (number(rows)) } } }
                div { dt { "Data files" } dd { (number(pin.files)) @if pin.files_gone > 0 { ", " (number(pin.files_gone)) " of them gone" } } }
                @if let Some(digest) = &pin.digest { div { dt { "Digest" } dd { code { (digest) } } } }
                @if let Some(count) = pin.withdrawn {
                    div { dt { "People without consent today" } dd { (number(count)) } }
                }
            }
        }
    }
}

/// A table that scrolls by itself where the page is narrow.
fn scrolled(label: &str, table: &Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(label) { (table) } }
}

fn sources(tables: &[ReportedTable]) -> Markup {
    let source = |(name, version): (&String, &Option<u64>)| match version {
        Some(version) => format!("{name} v{version}"),
        None => name.clone(),
    };
    scrolled(
        "Sources of each table",
        &html! {
            table {
                thead { tr { th scope="col" { "Table" } th scope="col" { "Computed from" } } }
                tbody {
                    @for table in tables {
                        tr {
                            th scope="row" { (table.table) }
                            td {
                                @if table.sources.is_empty() { "landing files" }
                                (table.sources.iter().map(source).collect::<Vec<_>>().join(", "))
                            }
                        }
                    }
                }
            }
        },
    )
}

fn tables(tables: &[ReportedTable]) -> Markup {
    scrolled(
        "Tables",
        &html! {
            table {
                thead {
                    tr {
                        @for name in ["Table", "Zone", "Holds", "Version", "Committed at"] { th scope="col" { (name) } }
                        @for name in ["Rows", "Files", "Size"] { th.number scope="col" { (name) } }
                        @for name in ["For whom", "Personal data"] { th scope="col" { (name) } }
                    }
                }
                tbody {
                    @for table in tables {
                        tr {
                            th scope="row" { (table.table) }
                            td { (table.zone) }
                            td { (table.description) }
                            td { @if let Some(version) = table.version { "v" (version) } @else { "does not exist" } }
                            td { (table.committed_at.as_deref().unwrap_or("")) }
                            td.number { (table.rows.map(number).unwrap_or_default()) }
                            td.number { (number(table.files)) }
                            td.number { (sized(table.bytes)) }
                            td {
                                @if let Some((subject, grants)) = &table.consent {
                                    "people who have consented, by " code { (subject) } " in " (grants)
                                }
                            }
                            td { (table.personal.join(", ")) }
                        }
                    }
                }
            }
        },
    )
}

fn mark(verdict: &'static str) -> Markup {
    let class = match verdict {
        "holds" | "equal" => "good",
        "violated" | "different" => "bad",
        _ => "plain",
    };
    html! { strong.(class) { (verdict) } }
}

fn consent(versions: &[ReportedConsent]) -> Markup {
    if versions.is_empty() {
        return html! { p { "No table here declares consent." } };
    }
    let counted = |value: Option<u64>| value.map(number).unwrap_or_default();
    scrolled(
        "Consent",
        &html! {
            table {
                thead {
                    tr {
                        @for name in ["Table", "Version", "Verdict", "Record of consent"] { th scope="col" { (name) } }
                        @for name in ["Rows", "Subjects", "Rows without consent"] { th.number scope="col" { (name) } }
                    }
                }
                tbody {
                    @for version in versions {
                        tr {
                            th scope="row" { (version.table) }
                            td { "v" (version.version) }
                            td { (mark(version.verdict.name())) @if let Some(why) = &version.because { ": " (why) } }
                            td { @if let Some(grants) = version.grants { "v" (grants) } }
                            td.number { (counted(version.rows)) }
                            td.number { (counted(version.subjects)) }
                            td.number { (counted(version.violations)) }
                        }
                    }
                }
            }
        },
    )
}

fn verification(versions: &[ReportedVerification]) -> Markup {
    scrolled(
        "Verification",
        &html! {
            table {
                thead { tr { @for name in ["Table", "Version", "Its rows are those of its query, or digest", "Digest"] { th scope="col" { (name) } } } }
                tbody {
                    @for version in versions {
                        tr {
                            th scope="row" { (version.table) }
                            td { @if let Some(version) = version.version { "v" (version) } }
                            td { (mark(version.verdict.name())) @if let Some(why) = &version.because { ": " (why) } }
                            td { (digest(version)) }
                        }
                    }
                }
            }
        },
    )
}

/// The digest of a version, and from where on it is known.
fn digest(version: &ReportedVerification) -> Markup {
    html! {
        @if let Some(digest) = &version.digest { code { (digest) } }
        @if let Some(begun) = &version.digest_begun { " begun at v" (begun.version) ": " (begun.because) }
    }
}

fn pins(pins: &[ReportedPin]) -> Markup {
    if pins.is_empty() {
        return html! { p { "No version is pinned." } };
    }
    scrolled(
        "Pins",
        &html! {
            table {
                thead {
                    tr {
                        @for name in ["Pin", "Version", "Committed at", "Kept until"] { th scope="col" { (name) } }
                        @for name in ["Rows", "Files gone", "People without consent today"] { th.number scope="col" { (name) } }
                    }
                }
                tbody {
                    @for pin in pins {
                        tr {
                            th scope="row" { (pin.name) }
                            td { (pin.table) " v" (pin.version) }
                            td { (pin.committed_at.as_deref().unwrap_or("")) }
                            td { (pin.until.as_deref().unwrap_or("it is unpinned")) }
                            td.number { (pin.rows.map(number).unwrap_or_default()) }
                            td.number { (number(pin.files_gone)) " of " (number(pin.files)) }
                            td.number { (pin.withdrawn.map(number).unwrap_or_default()) }
                        }
                    }
                }
            }
        },
    )
}

fn migrations(report: &LakeReport) -> Markup {
    if report.migrations.is_empty() {
        return html! { p { "This lake has no migrations." } };
    }
    scrolled(
        "Migrations",
        &html! {
            table {
                thead { tr { @for name in ["Migration", "State", "Recorded at"] { th scope="col" { (name) } } } }
                tbody {
                    @for migration in &report.migrations {
                        tr {
                            th scope="row" { (format!("{:04}_{}", migration.number, migration.label)) }
                            td { (migration.state) }
                            td { (migration.recorded_at.as_deref().unwrap_or("")) }
                        }
                    }
                }
            }
        },
    )
}

fn versions(table: &ReportedTable) -> Markup {
    let changed = |rows: &Option<[u64; 3]>| {
        let [inserted, updated, deleted] = rows.unwrap_or_default();
        let parts = [("+", inserted), ("~", updated), ("-", deleted)].into_iter().filter(|(_, count)| *count > 0);
        parts.map(|(sign, count)| format!("{sign}{}", number(count))).collect::<Vec<_>>().join(" ")
    };
    let row = |version: &ReportedVersion| {
        html! {
            tr {
                th scope="row" { "v" (version.version) }
                td { (version.committed_at) }
                td { (version.operation) }
                td.number { (changed(&version.rows)) }
                td { (version.mode) }
                td { (version.by) }
            }
        }
    };
    html! {
        @if !table.versions.is_empty() {
            h3 { (table.table) }
            (scrolled(&format!("Versions of {}", table.table), &html! {
                table {
                    thead {
                        tr {
                            @for name in ["Version", "Committed at", "Operation"] { th scope="col" { (name) } }
                            th.number scope="col" { "Rows" }
                            @for name in ["How", "By"] { th scope="col" { (name) } }
                        }
                    }
                    tbody { @for version in &table.versions { (row(version)) } }
                }
            }))
        }
    }
}
