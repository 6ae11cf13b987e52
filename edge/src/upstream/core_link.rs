//! A core that this edge may use, and the gRPC channel to it.

use gogochat_proto::service::Service as Part;
use tokio::sync::watch;
use tonic::{
    body::Body,
    codegen::{Service, StdError},
};
use tower::{ServiceExt as _, util::BoxCloneSyncService};

/// What leads to the core's NodeService: a connection, or the service itself where it runs in this
/// process.
#[derive(Debug, Clone)]
pub struct CoreLink(NodeService);

/// A NodeService, whatever carries the calls to it.
pub(super) type NodeService = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, tonic::Status>;

impl CoreLink {
    /// By way of a gRPC channel or service.
    pub fn new<S>(service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: Into<StdError>,
        S::Future: Send + 'static,
    {
        Self(NodeService::new(service.map_err(|error| tonic::Status::from_error(error.into()))))
    }

    /// The service.
    pub(super) fn service(&self) -> NodeService {
        self.0.clone()
    }
}

/// A core that this edge may use.
#[derive(Debug, Clone)]
pub struct Core {
    /// Its node name.
    pub name: String,
    /// Where it is: a core of the same name elsewhere is another one.
    pub address: String,
    /// The services that it runs.
    pub services: Vec<Part>,
    /// Whether it is known to be up. One that is only configured may be down, and is not missed.
    pub lives: bool,
    /// What leads to it.
    pub link: CoreLink,
}

/// The cores there are, as they come and go.
pub type Cores = watch::Receiver<Vec<Core>>;

impl Core {
    /// The only core, with every service.
    #[must_use]
    pub fn every_service(link: CoreLink) -> Self {
        Self { name: "core".into(), address: String::new(), services: Part::ALL.into(), lives: true, link }
    }

    /// Cores that never change.
    #[must_use]
    pub fn fixed(cores: Vec<Self>) -> Cores {
        watch::Sender::new(cores).subscribe()
    }

    /// Whether it runs a service.
    #[must_use]
    pub fn runs(&self, service: Part) -> bool {
        self.services.contains(&service)
    }

    /// Whether both are the same core, with the same services.
    pub(super) fn is(&self, other: &Self) -> bool {
        (&self.name, &self.address, &self.services) == (&other.name, &other.address, &other.services)
    }
}
