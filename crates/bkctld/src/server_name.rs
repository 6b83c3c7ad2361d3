//! This server's own name.

use bkctld_core::Error;
use bkctld_core::client::ServerName;
use bkctld_core::program::HOSTNAME;

use crate::exit::Failure;

/// This server's full name according to the resolver, or the kernel's name if there is none.
pub fn read() -> Result<ServerName, Failure> {
    let full = HOSTNAME.output(HOSTNAME.command().arg("--fqdn"));
    let full = full.ok().filter(|output| output.status.success());
    let full = full.map(|output| String::from_utf8_lossy(output.stdout.trim_ascii()).into_owned());
    // The short name is better than one that no other machine knows.
    let full = full.filter(|name| name != "localhost" && !name.starts_with("localhost."));
    let name = full.unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned());
    name.parse().map_err(|error: Error| {
        let error = error.wrap("cannot read this server's own name");
        error.with_hint("give it: bkctld client JAIL SERVER").into()
    })
}
