//! `gogochat certs`.

use std::{io::Write as _, path::PathBuf};

use clap::Args;

use crate::issue::{self, Order};

/// Makes a private CA in a folder (or takes the one that is there) and a certificate for each node named.
#[derive(Debug, Args)]
pub(super) struct Certs {
    /// The folder for ca.pem, ca.key and NODE.pem, NODE.key. Keep ca.key away from the nodes.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A node's name; repeat it for each node.
    #[arg(long = "node", value_name = "NAME", required_unless_present = "new_ca")]
    nodes: Vec<String>,
    /// A further host name that the nodes answer to; may be repeated.
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// Nodes that have a key already get a new key and certificate, for the names that they had and
    /// those given now.
    #[arg(long)]
    renew: bool,
    /// A new CA signs from here on. ca.pem then holds it and the one before: give that to all
    /// nodes, renew them, then remove the old one from it.
    #[arg(long)]
    new_ca: bool,
}

impl Certs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { out, nodes, hosts, renew, new_ca } = self;
        let mut console = std::io::stdout().lock();
        for path in issue::cluster(&Order { out, nodes, hosts, renew, new_ca })? {
            writeln!(console, "{}", path.display())?;
        }
        Ok(())
    }
}
