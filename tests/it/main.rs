//! Every integration test, in one binary: each further one would link the query engine again.

#![allow(clippy::disallowed_macros, clippy::disallowed_methods)]

mod support;

// By name.
mod architecture;
mod arithmetic;
mod as_it_comes;
mod athena;
mod audit_consent;
mod aws;
mod backup;
mod behind;
mod bounds;
mod broken;
mod candidates;
mod choice;
mod cli;
mod concurrency;
mod described;
mod diff;
mod digests;
mod discretion;
mod engine;
mod evolve;
mod expectations;
mod faults;
mod foreign;
mod front;
mod howto;
mod identity;
mod infer;
mod ingest;
mod killers;
mod law;
mod lineage;
mod membership;
mod migrate;
mod moved;
mod nested;
mod optimize;
mod oracle;
mod outside;
mod packaging;
mod pages;
mod pins;
mod plan;
mod reference;
mod report;
mod restore;
mod saved;
mod scripted;
#[cfg(unix)]
mod skipped;
mod sources;
mod spliced;
mod state;
mod stedi;
mod tables;
mod tpcdi;
mod tpch;
mod travel;
mod unchanged;
mod unnest;
mod vacuum;
mod walk;
