//! `bkctld`: arguments in, tables, JSON and progress out, exit codes.
#![forbid(unsafe_code)]

fn main() {}
