//! Delivery of marks that moved together: to each session one frame that says how far all others have
//! got, and its own user's marks where another session has moved them. To a client that does not want
//! aggregates, one frame for each member.

use std::{collections::HashMap, sync::Arc};

use gogochat_proto::{
    ids::{LogId, UserId},
    node,
    v1::{self, server_frame::Frame},
};
use prost::Message as _;

use super::Hub;
use crate::{
    clients::Peer,
    metrics as names,
    session::{
        queue::{Class, Pushed},
        wire::SharedFrame,
    },
};

/// Delivers them. `to` is room for those who are sent something.
pub(super) async fn deliver(hub: &Hub, marks: &node::MarksDown, to: &mut Vec<Arc<Peer>>) {
    let Some(log) = LogId::from_slice(&marks.log_id) else { return };
    let moved: HashMap<UserId, &node::MarkDown> =
        marks.moved.iter().filter_map(|mark| Some((UserId::from_slice(&mark.user_id)?, mark))).collect();
    if marks.now.is_some() {
        hub.registry.subscribers(log, to);
    } else {
        // Nobody else is told.
        to.clear();
        to.extend(moved.keys().flat_map(|user| hub.registry.user(*user)));
    }
    let mut delivery = Delivery { log, marks, moved, shared: None, each: Vec::new() };
    let mut dropped = 0;
    for (index, peer) in to.drain(..).enumerate() {
        dropped += delivery.send(&peer);
        // A large group must not keep a thread from its other work.
        if index % 128 == 127 {
            tokio::task::yield_now().await;
        }
    }
    if dropped > 0 {
        metrics::counter!(names::DROPPED, "kind" => "ephemeral").increment(dropped);
    }
}

/// What is delivered, and the frames that more than one session gets.
struct Delivery<'a> {
    log: LogId,
    marks: &'a node::MarksDown,
    moved: HashMap<UserId, &'a node::MarkDown>,
    /// How far others have got, and nothing else.
    shared: Option<(Marks, SharedFrame)>,
    /// Of each member whose marks moved.
    each: Vec<(UserId, SharedFrame)>,
}

/// Delivered and read.
type Marks = (i64, i64);

impl Delivery<'_> {
    /// Sends a session what concerns it. How many frames were dropped.
    fn send(&mut self, peer: &Peer) -> u64 {
        let (principal, aggregates) = {
            let session = peer.session.lock();
            (session.principal(), session.aggregates_marks())
        };
        let Some(user) = principal.map(|principal| principal.user) else { return 0 };
        if !aggregates {
            return self.send_each(peer, user);
        }
        let own = self.moved.get(&user).filter(|own| own.session == 0 || own.session != peer.id).copied();
        let others = self.marks.now.as_ref().map(|now| of_others(now, user)).unwrap_or_default();
        let before = self.marks.before.as_ref().map(|before| of_others(before, user));
        let has_changed = self.marks.now.is_some() && before != Some(others);
        match own {
            Some(own) => {
                let frame = SharedFrame::new(&self.frame(Some((user, own)), others));
                push(peer, &frame, self.class(Some(user)))
            }
            None if has_changed => {
                let frame = match self.shared.take() {
                    Some((same, frame)) if same == others => frame,
                    _ => SharedFrame::new(&self.frame(None, others)),
                };
                let dropped = push(peer, &frame, self.class(None));
                self.shared = Some((others, frame));
                dropped
            }
            None => 0,
        }
    }

    /// As it was before there were aggregates.
    fn send_each(&mut self, peer: &Peer, user: UserId) -> u64 {
        if self.each.is_empty() {
            let frame = |(of, mark): (&UserId, &&node::MarkDown)| {
                (*of, SharedFrame::new(&self.frame(Some((*of, mark)), (0, 0))))
            };
            self.each = self.moved.iter().map(frame).collect();
        }
        let is_told_all = self.marks.now.is_some();
        let told = self.each.iter().filter(|(of, _)| is_told_all || *of == user);
        told.map(|(of, frame)| push(peer, frame, self.class(Some(*of)))).sum()
    }

    fn frame(&self, of: Option<(UserId, &node::MarkDown)>, others: Marks) -> Vec<u8> {
        let (delivered_seq, read_seq) = of.map(|(_, mark)| (mark.delivered_seq, mark.read_seq)).unwrap_or_default();
        let watermark = v1::Watermark {
            conversation_id: self.log.to_string(),
            user_id: of.map(|(user, _)| user.to_string()).unwrap_or_default(),
            delivered_seq,
            read_seq,
            others_delivered_seq: others.0,
            others_read_seq: others.1,
        };
        v1::ServerFrame::from(Frame::Watermark(watermark)).encode_to_vec()
    }

    /// What is newer replaces what waits and says the same.
    fn class(&self, subject: Option<UserId>) -> Class {
        let subject = subject.map(|user| *user.as_bytes()).unwrap_or_default();
        Class::Ephemeral { log: self.log, subject, kind: node::EphemeralKind::Watermark.into(), keep: true }
    }
}

fn push(peer: &Peer, frame: &SharedFrame, class: Class) -> u64 {
    u64::from(matches!(peer.outlet.send_shared(frame, class), Pushed::Dropped { .. }))
}

/// The lowest marks among those who are not `user`.
fn of_others(marks: &node::LowestMarks, user: UserId) -> Marks {
    let of = |lowest: Option<&node::Lowest>| {
        lowest
            .map_or(0, |lowest| if UserId::from_slice(&lowest.holder) == Some(user) { lowest.next } else { lowest.seq })
    };
    (of(marks.delivered.as_ref()), of(marks.read.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_the_lowest_sees_the_next() {
        let (holder, other) = (UserId::new_v7(), UserId::new_v7());
        let lowest = |seq, next| Some(node::Lowest { seq, holder: holder.to_bytes(), next });
        let marks = node::LowestMarks { delivered: lowest(3, 8), read: lowest(1, 2) };
        assert_eq!(of_others(&marks, holder), (8, 2));
        assert_eq!(of_others(&marks, other), (3, 1));
        assert_eq!(of_others(&node::LowestMarks::default(), other), (0, 0));
    }
}
