//! A command as bytes in a Kafka message. It is read by programs of other versions: fields are only
//! added.

use bytes::Bytes;
use gogochat_proto::ids::{CommandId, DeviceId, UserId};
use prost::Message;

use crate::bus::{BusCommand, ReplyTo};

#[derive(Clone, PartialEq, Message)]
struct Wire {
    #[prost(fixed64, tag = "1")]
    attachment: u64,
    #[prost(uint64, tag = "2")]
    session: u64,
    #[prost(uint32, tag = "3")]
    call_id: u32,
    /// 16 bytes.
    #[prost(bytes = "bytes", tag = "4")]
    user: Bytes,
    /// 16 bytes.
    #[prost(bytes = "bytes", tag = "5")]
    device: Bytes,
    #[prost(string, tag = "6")]
    method: String,
    #[prost(bytes = "bytes", tag = "7")]
    body: Bytes,
    /// 16 bytes.
    #[prost(bytes = "bytes", tag = "8")]
    id: Bytes,
    #[prost(int64, tag = "9")]
    published_ms: i64,
    #[prost(uint32, tag = "10")]
    rows: u32,
}

pub(super) fn encode(command: BusCommand) -> Vec<u8> {
    let wire = Wire {
        attachment: command.reply_to.attachment,
        session: command.reply_to.session,
        call_id: command.reply_to.call_id,
        user: Bytes::copy_from_slice(command.user.uuid().as_bytes()),
        device: Bytes::copy_from_slice(command.device.uuid().as_bytes()),
        method: command.method,
        body: command.body,
        id: command.id.to_bytes(),
        published_ms: command.published_ms,
        rows: command.rows,
    };
    wire.encode_to_vec()
}

/// `None`: it is no command.
pub(super) fn decode(partition: u32, payload: &[u8]) -> Option<BusCommand> {
    let wire = Wire::decode(Bytes::copy_from_slice(payload)).ok()?;
    Some(BusCommand {
        // A program that draws none has published it: it is another one each time, as it was to that program.
        id: CommandId::from_slice(&wire.id).unwrap_or_else(CommandId::new_v7),
        published_ms: wire.published_ms,
        partition,
        reply_to: ReplyTo { attachment: wire.attachment, session: wire.session, call_id: wire.call_id },
        user: UserId::from_slice(&wire.user)?,
        device: DeviceId::from_slice(&wire.device)?,
        method: wire.method,
        body: wire.body,
        rows: wire.rows,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn comes_back_as_it_was(
            attachment: u64,
            session: u64,
            call_id: u32,
            method: String,
            body: Vec<u8>,
            published_ms: i64,
            rows: u32,
        ) {
            let command = BusCommand {
                id: CommandId::new_v7(),
                published_ms,
                partition: 3,
                reply_to: ReplyTo { attachment, session, call_id },
                user: UserId::new_v7(),
                device: DeviceId::new_v7(),
                method,
                body: body.into(),
                rows,
            };
            prop_assert_eq!(decode(3, &encode(command.clone())), Some(command));
        }

        #[test]
        fn takes_any_bytes(payload: Vec<u8>) {
            decode(0, &payload);
        }
    }

    #[test]
    fn what_an_older_program_has_published_is_a_command() {
        let (user, device) = (UserId::new_v7(), DeviceId::new_v7());
        let wire = Wire { user: user.to_bytes(), device: device.to_bytes(), ..Wire::default() };
        let [one, again] = [(); 2].map(|()| decode(0, &wire.encode_to_vec()).unwrap());
        assert_eq!((one.user, one.device, one.published_ms), (user, device, 0));
        assert_ne!(one.id, again.id);
    }

    #[test]
    fn a_user_is_needed() {
        assert_eq!(decode(0, &[]), None);
    }
}
