//! A way to a service that can be led to another one, as an address that a failover re-points. Connections
//! that are open stay where they are.

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// The way; it ends when it is dropped.
pub(crate) struct Gate {
    address: String,
    to: watch::Sender<String>,
    listening: JoinHandle<()>,
}

impl Gate {
    /// Leads to this address.
    pub(crate) async fn open(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (to, leads) = watch::channel(to);
        let listening = tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                let to = leads.borrow().clone();
                tokio::spawn(async move {
                    if let Ok(mut there) = TcpStream::connect(to).await {
                        let _ = copy_bidirectional(&mut here, &mut there).await;
                    }
                });
            }
        });
        Self { address, to, listening }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Leads to another from now on.
    pub(crate) fn lead(&self, to: String) {
        self.to.send_replace(to);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.listening.abort();
    }
}
