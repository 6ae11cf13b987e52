//! Marks that were committed, to the edges: one item a log and edge for all that moved together. An edge
//! of the release before is sent one for each member, as it knows them.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use gogochat_proto::{
    ids::{LogId, UserId},
    node::{self, EphemeralKind, core_item::Item},
    v1::{self, server_frame::Frame},
};
use gogochat_storage::store::{Lowest, LowestMarks, MovedMark};
use prost::Message as _;

use super::{Attachment, Fanout};

/// A member's marks that moved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MarkMoved {
    pub(crate) mark: MovedMark,
    /// The attachment and the session that they came by: whoever has said it need not be told.
    pub(crate) from: Option<(u64, u64)>,
}

impl Fanout {
    /// Sends marks of a conversation to its members. `now`: how far all have got, if it is known; `before`:
    /// what was told of that last.
    pub(crate) fn publish_marks(
        &self,
        log: LogId,
        moved: &[MarkMoved],
        now: Option<&LowestMarks>,
        before: Option<&LowestMarks>,
    ) {
        self.interests.each_asked(log, |attachment| {
            if attachment.aggregates_marks {
                let item = node::MarksDown {
                    now: now.map(lowest),
                    before: before.map(lowest),
                    ..down(attachment, log, moved)
                };
                attachment.push(Item::Marks(item));
            } else {
                moved.iter().for_each(|one| attachment.push(alone(log, one)));
            }
        });
    }

    /// Sends marks of a conversation to the sessions of those alone whose marks they are.
    pub(crate) fn publish_own_marks(&self, log: LogId, moved: &[MarkMoved]) {
        let mut edges: BTreeMap<u64, (Arc<Attachment>, Vec<MarkMoved>)> = BTreeMap::new();
        for one in moved {
            self.interests.each_asked(one.mark.user.into(), |attachment| {
                let edge = edges.entry(attachment.id).or_insert_with(|| (attachment.clone(), Vec::new()));
                edge.1.push(*one);
            });
        }
        for (attachment, moved) in edges.into_values() {
            if attachment.aggregates_marks {
                attachment.push(Item::Marks(down(&attachment, log, &moved)));
            } else {
                moved.iter().for_each(|one| attachment.push(alone(one.mark.user.into(), one)));
            }
        }
    }
}

fn down(attachment: &Attachment, log: LogId, moved: &[MarkMoved]) -> node::MarksDown {
    let mark = |MarkMoved { mark, from }: &MarkMoved| node::MarkDown {
        user_id: mark.user.to_bytes(),
        delivered_seq: mark.delivered,
        read_seq: mark.read,
        // Where it has more to read, its client is told when it can count anew.
        session: from.filter(|(edge, _)| *edge == attachment.id && !mark.partly_read).map_or(0, |(_, session)| session),
    };
    node::MarksDown { log_id: log.to_bytes(), moved: moved.iter().map(mark).collect(), now: None, before: None }
}

fn lowest(marks: &LowestMarks) -> node::LowestMarks {
    let lowest = |lowest: Lowest| node::Lowest {
        seq: lowest.seq,
        holder: lowest.holder.map_or_else(Bytes::new, UserId::to_bytes),
        next: lowest.next.unwrap_or(0),
    };
    node::LowestMarks { delivered: Some(lowest(marks.delivered)), read: Some(lowest(marks.read)) }
}

/// For all who hear a log: a member's marks alone.
fn alone(log: LogId, MarkMoved { mark, .. }: &MarkMoved) -> Item {
    let frame = Frame::Watermark(v1::Watermark {
        conversation_id: mark.log.to_string(),
        user_id: mark.user.to_string(),
        delivered_seq: mark.delivered,
        read_seq: mark.read,
        ..Default::default()
    });
    Item::Ephemeral(node::EphemeralDown {
        log_id: log.to_bytes(),
        subject: mark.user.to_bytes(),
        skip_subject: false,
        kind: EphemeralKind::Watermark.into(),
        frame: v1::ServerFrame::from(frame).encode_to_vec().into(),
    })
}
