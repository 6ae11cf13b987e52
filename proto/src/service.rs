//! The services of a core, which may run on nodes of their own: an edge routes a call by its method's service.

use crate::method::{self, Method};

/// A part of a core that can be left out of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Accounts, devices and tokens.
    Account,
    /// People and contacts, as far as they are read.
    Social,
    /// Sessions of edges, everything that is committed in order, and what is read of conversations.
    Chat,
    /// What a device has missed.
    Sync,
    /// Who is connected.
    Presence,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Account, Self::Social, Self::Chat, Self::Sync, Self::Presence];

    /// Its name in configurations and in discovery.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Social => "social",
            Self::Chat => "chat",
            Self::Sync => "sync",
            Self::Presence => "presence",
        }
    }

    /// The service of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }

    /// Who carries a method out. Whatever is committed in order is chat's, whoever's method it is: who commits has to tell the edges.
    #[must_use]
    pub fn of(method: &Method) -> Self {
        let service = method.name.strip_prefix("gogochat.v1.").and_then(|name| name.split('/').next());
        match service {
            _ if method.ordered => Self::Chat,
            _ if method.name == GET_PRESENCE => Self::Presence,
            Some("AccountService" | "AdminService") => Self::Account,
            Some("SocialService") => Self::Social,
            Some("SyncService") => Self::Sync,
            _ => Self::Chat,
        }
    }

    /// Who carries the method of this name out; `None`: there is none.
    #[must_use]
    pub fn of_name(method: &str) -> Option<Self> {
        method::find(method).map(Self::of)
    }
}

const GET_PRESENCE: &str = "gogochat.v1.SocialService/GetPresence";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_a_service_and_every_service_a_method() {
        let used: std::collections::BTreeSet<Service> = method::all().map(Service::of).collect();
        assert_eq!(used.into_iter().collect::<Vec<_>>(), Service::ALL);
        let of = |name: &str| Service::of_name(&format!("gogochat.v1.{name}"));
        assert_eq!(of("AccountService/LogIn"), Some(Service::Account));
        assert_eq!(of("SocialService/FindPeople"), Some(Service::Social));
        assert_eq!(of("SocialService/AcceptContact"), Some(Service::Chat));
        assert_eq!(of("SocialService/GetPresence"), Some(Service::Presence));
        assert_eq!(of("ChatService/ListEvents"), Some(Service::Chat));
        assert_eq!(of("SyncService/Sync"), Some(Service::Sync));
        assert_eq!(of("ChatService/Nothing"), None);
    }

    #[test]
    fn names_are_read_back() {
        for service in Service::ALL {
            assert_eq!(Service::named(service.name()), Some(service));
        }
        assert_eq!(Service::named("calls"), None);
    }
}
