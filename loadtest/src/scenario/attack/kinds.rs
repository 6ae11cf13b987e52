//! The kinds of attack: what each does.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use gogochat_proto::v1;
use gogochat_testkit::attack::{
    flood::Flood,
    quic,
    tcp::{self, Crowd, Opening},
};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

/// Whom attackers attack, and as whom.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Orders {
    /// Names of kinds, all of them at once.
    pub(super) kinds: Vec<String>,
    /// "HOST:PORT" of TLS and QUIC.
    pub(super) edge: String,
    /// "HOST:PORT" of REST and WebSockets in clear.
    pub(super) http: String,
    pub(super) seconds: u64,
    /// A user's access token.
    pub(super) token: String,
    /// A conversation of that user's.
    pub(super) conversation: String,
    /// A group that the user has made.
    pub(super) group: String,
}

/// The same with addresses, for one kind.
pub(super) struct Aim {
    pub(super) edge: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) until: Instant,
    pub(super) orders: Orders,
}

/// A kind.
pub(super) struct Kind {
    pub(super) name: &'static str,
    does: Does,
}

enum Does {
    Quic(quic::Kind),
    /// Connections that say no more than that: in clear, or at the edge.
    Hold(&'static [Opening], fn(&Aim) -> SocketAddr),
    /// Something without end, from so many connections.
    Flood(usize, fn(Arc<Aim>, Flood) -> BoxFuture<'static, std::io::Result<()>>),
}

const fn quic(name: &'static str, kind: quic::Kind) -> Kind {
    Kind { name, does: Does::Quic(kind) }
}

/// Every kind.
pub(super) const KINDS: &[Kind] = &[
    quic("quic-control-frame", quic::Kind::ControlFrame),
    quic("quic-request-frames", quic::Kind::RequestFrames),
    quic("quic-connect-frame", quic::Kind::ConnectFrame),
    quic("quic-capsule", quic::Kind::Capsule),
    quic("quic-byte-frames", quic::Kind::ByteFrames),
    quic("quic-byte-data", quic::Kind::ByteData),
    quic("quic-no-streams", quic::Kind::NoStreams),
    quic("quic-silent", quic::Kind::Silent),
    quic("quic-slow-headers", quic::Kind::SlowHeaders),
    quic("quic-unfinished-posts", quic::Kind::UnfinishedPosts),
    quic("quic-unread-answers", quic::Kind::UnreadAnswers),
    quic("quic-no-hello", quic::Kind::NoHello),
    Kind { name: "tcp-half-open", does: Does::Hold(&tcp::CLEAR, |aim| aim.http) },
    Kind { name: "tls-half-open", does: Does::Hold(&tcp::TLS, |aim| aim.edge) },
    Kind {
        name: "pings",
        does: Does::Flood(SESSIONS, |aim, flood| {
            Box::pin(async move { flood.pings(aim.http, Some(&aim.orders.token)).await })
        }),
    },
    Kind {
        name: "typing",
        does: Does::Flood(SESSIONS, |aim, flood| {
            Box::pin(async move { flood.typing(aim.http, &aim.orders.token, &aim.orders.conversation).await })
        }),
    },
    Kind {
        name: "add-members",
        does: Does::Flood(SESSIONS, |aim, flood| {
            let user_ids: Vec<_> = (0..1_000).map(|_| id()).collect();
            let conversation_id = aim.orders.group.clone();
            let request = move |_| {
                let (conversation_id, user_ids) = (conversation_id.clone(), user_ids.clone());
                v1::AddMembersRequest { conversation_id, client_msg_id: id(), user_ids }.encode_to_vec()
            };
            Box::pin(async move { call(&aim, &flood, "ChatService/AddMembers", &aim.orders.group, request).await })
        }),
    },
    Kind {
        name: "create-group",
        does: Does::Flood(SESSIONS, |aim, flood| {
            let title = || "attack".to_owned();
            let request = move |_| {
                v1::CreateGroupRequest { client_msg_id: id(), title: title(), member_ids: vec![] }.encode_to_vec()
            };
            Box::pin(async move { call(&aim, &flood, "ChatService/CreateGroup", "", request).await })
        }),
    },
    Kind {
        name: "contact-requests",
        does: Does::Flood(SESSIONS, |aim, flood| {
            let request = |_| v1::RequestContactRequest { user_id: id(), note: String::new() }.encode_to_vec();
            Box::pin(async move { call(&aim, &flood, "SocialService/RequestContact", "", request).await })
        }),
    },
    Kind {
        name: "history",
        does: Does::Flood(SESSIONS, |aim, flood| {
            let from = Some(v1::list_events_request::From::BeforeSeq(0));
            let conversation_id = aim.orders.conversation.clone();
            let page = v1::ListEventsRequest { conversation_id, limit: 500, from }.encode_to_vec();
            Box::pin(async move {
                call(&aim, &flood, "ChatService/ListEvents", &aim.orders.conversation, |_| page.clone()).await
            })
        }),
    },
    Kind {
        name: "marks",
        does: Does::Flood(SESSIONS, |aim, flood| {
            let conversation_id = aim.orders.conversation.clone();
            let request = move |n: u32| {
                let seq = i64::from(n) % HISTORY + 1;
                let conversation_id = conversation_id.clone();
                v1::MarkRequest { conversation_id, delivered_seq: seq, read_seq: seq }.encode_to_vec()
            };
            Box::pin(async move { call(&aim, &flood, "ChatService/Mark", &aim.orders.conversation, request).await })
        }),
    },
    Kind {
        name: "refresh",
        does: Does::Flood(SESSIONS, |aim, flood| {
            // Well-formed, and nobody's.
            let body = |n| format!("{{\"refreshToken\":\"ggr_{n:0>42}A\"}}");
            Box::pin(async move { flood.posts(aim.http, "/v1/sessions/refresh", body).await })
        }),
    },
];

impl Kind {
    /// Attacks until the time is over; what it did.
    pub(super) async fn run(&self, aim: Arc<Aim>) -> anyhow::Result<String> {
        match &self.does {
            Does::Quic(kind) => {
                let time = aim.until.saturating_duration_since(Instant::now());
                Ok(kind.run(aim.edge, CONNECTIONS, time).await?.to_string())
            }
            Does::Hold(openings, address) => {
                let mut crowd = Crowd::default();
                let mut opened = 0;
                while Instant::now() < aim.until {
                    for opening in *openings {
                        let missing = CONNECTIONS.saturating_sub(crowd.left() / openings.len());
                        // One that is refused was not to be had.
                        let _ = timeout_at(aim.until, crowd.open(address(&aim), *opening, missing, &[])).await;
                        opened += missing;
                    }
                    sleep(Duration::from_millis(50)).await;
                }
                Ok(format!("{opened} connections"))
            }
            Does::Flood(connections, flood) => {
                let counts = Flood::default();
                let mut ended = 0;
                let mut floods = tokio::task::JoinSet::new();
                for _ in 0..*connections {
                    let (aim, counts, flood) = (aim.clone(), counts.clone(), *flood);
                    floods.spawn(async move {
                        let mut ended = 0;
                        while Instant::now() < aim.until {
                            let _ = timeout_at(aim.until, flood(aim.clone(), counts.clone())).await;
                            ended += 1;
                            sleep(Duration::from_millis(50)).await;
                        }
                        ended
                    });
                }
                while let Some(one) = floods.join_next().await {
                    ended += one.unwrap_or(0);
                }
                Ok(format!("{} sent, {} answered, {ended} ends", counts.sent(), counts.answered()))
            }
        }
    }
}

async fn call(aim: &Aim, flood: &Flood, method: &str, key: &str, body: impl Fn(u32) -> Vec<u8>) -> std::io::Result<()> {
    flood.calls(aim.http, &aim.orders.token, &format!("gogochat.v1.{method}"), key, body).await
}

/// An id that nobody has.
fn id() -> String {
    Uuid::now_v7().to_string()
}

/// Messages in the attacker's conversation.
pub(super) const HISTORY: i64 = 500;
/// Connections of each kind that only holds them.
const CONNECTIONS: usize = 64;
/// Sessions of the attacker: each may have 256 calls waiting.
const SESSIONS: usize = 16;
