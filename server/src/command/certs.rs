//! `gogochat certs`.

use std::{io::Write as _, path::PathBuf};

use clap::Args;

use crate::certificate;

/// Makes a private CA in a folder (or takes the one that is there) and a certificate for each node named.
#[derive(Debug, Args)]
pub(super) struct Certs {
    /// The folder for ca.pem, ca.key and NODE.pem, NODE.key. Keep ca.key away from the nodes.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A node's name; repeat it for each node.
    #[arg(long = "node", value_name = "NAME", required = true)]
    nodes: Vec<String>,
    /// A further host name that the nodes answer to; may be repeated.
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
}

impl Certs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        for path in certificate::cluster(&self.out, &self.nodes, &self.hosts)? {
            writeln!(out, "{}", path.display())?;
        }
        Ok(())
    }
}
