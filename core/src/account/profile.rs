//! Profiles: what users say of themselves, and who is told of a change.

use std::sync::Arc;

use gogochat_proto::{
    error::violation,
    ids::LogId,
    limits::{MAX_SIGNATURE, MAX_TITLE},
    node::EphemeralKind,
    text::trim,
    v1::{self, ephemeral::Kind, server_frame::Frame},
};
use gogochat_storage::store::{Millis, ProfileChange, Store, User};

use crate::{auth::Auth, authorize::Caller, clock::now_ms, failure, fanout::Fanout, log::person, text};

/// Profiles, and who hears of them.
pub(super) struct Profiles {
    store: Arc<dyn Store>,
    auth: Arc<Auth>,
    fanout: Arc<Fanout>,
}

impl Profiles {
    pub(super) fn new(store: Arc<dyn Store>, auth: Arc<Auth>, fanout: Arc<Fanout>) -> Self {
        Self { store, auth, fanout }
    }

    /// Changes what a user says of themselves; `before`: how they stood a moment ago.
    pub(super) async fn update(
        &self,
        before: User,
        caller: Caller,
        request: v1::UpdateAccountRequest,
    ) -> Result<v1::Account, v1::Error> {
        let change = ProfileChange {
            display_name: request.display_name.map(|given| display_name(&given, &before.name)).transpose()?,
            signature: request.signature.map(|given| signature(&given)).transpose()?,
            birthday: request.birthday.map(|given| birthday(given, now_ms())).transpose()?,
            gender: request.gender.map(gender).transpose()?,
        };
        self.auth.limits.profile_change(caller.user)?;
        let user = self.store.change_profile(caller.user, change).await.map_err(failure::store)?;
        let user = user.unwrap_or_else(|| before.clone());
        if (&user.display_name, &user.signature) != (&before.display_name, &before.signature) {
            self.tell(&user).await;
        }
        Ok(account(&user, caller))
    }

    /// Sends a new name or signature to the user's own devices, and to contacts who are there. It is
    /// committed: whoever is not told reads it with what they list next.
    async fn tell(&self, user: &User) {
        let own = LogId::from(user.id);
        let frame = |log: LogId| {
            Frame::Ephemeral(v1::Ephemeral {
                conversation_id: log.to_string(),
                user_id: user.id.to_string(),
                kind: Some(Kind::Person(Box::new(person(user)))),
            })
        };
        self.fanout.ephemeral(own, user.id, false, EphemeralKind::Person, frame(own));
        let memberships = self.store.memberships(user.id).await.unwrap_or_default();
        let heard =
            memberships.iter().filter(|one| self.fanout.is_heard(one.log)).filter_map(|one| Some((one.log, one.peer?)));
        let heard: Vec<_> = heard.collect();
        let peers: Vec<_> = heard.iter().map(|(_, peer)| *peer).collect();
        let contacts = self.store.accepted_contacts(user.id, &peers).await.unwrap_or_default();
        for (log, _) in heard.into_iter().filter(|(_, peer)| contacts.contains(peer)) {
            self.fanout.ephemeral(log, user.id, true, EphemeralKind::Person, frame(log));
        }
    }
}

/// An account as its owner sees it.
pub(super) fn account(user: &User, caller: Caller) -> v1::Account {
    v1::Account {
        user: Some(person(user)),
        device_id: caller.device.to_string(),
        created_ms: user.created_ms,
        birthday: user.birthday.clone(),
        gender: i32::try_from(user.gender).unwrap_or_default(),
        administrator: user.administrator_ms.is_some(),
    }
}

/// A display name; the name, where none is given.
///
/// # Errors
/// `invalid_argument` on `displayName`.
pub(super) fn display_name(given: &str, name: &str) -> Result<String, v1::Error> {
    match trim(given) {
        "" => Ok(name.to_owned()),
        given => text::line("displayName", given, MAX_TITLE),
    }
}

fn signature(given: &str) -> Result<String, v1::Error> {
    match trim(given) {
        "" => Ok(String::new()),
        given => text::line("signature", given, MAX_SIGNATURE),
    }
}

/// "2001-12-31", a day that has been: by the clock of any place on earth.
fn birthday(given: String, now: Millis) -> Result<String, v1::Error> {
    if given.is_empty() {
        return Ok(given);
    }
    let wrong = || violation("birthday", "a day from 1900-01-01 to today, as 2001-12-31");
    let mut parts = given.split('-');
    let mut number = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()))?;
        part.parse::<i64>().ok()
    };
    let day = number(4).zip(number(2)).zip(number(2)).filter(|_| given.len() == 10);
    let ((year, month), day) = day.ok_or_else(wrong)?;
    let days = days_before(year, month, day).ok_or_else(wrong)?;
    let today = (now + EARLIEST_ZONE_MS).div_euclid(DAY_MS);
    if year < 1900 || days > today { Err(wrong()) } else { Ok(given) }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar; `None`: there is no such day.
fn days_before(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month = usize::try_from(month.checked_sub(1)?).ok()?;
    if !(1..=*lengths.get(month)?).contains(&day) {
        return None;
    }
    let years = year - 1;
    let to_year = years * 365 + years / 4 - years / 100 + years / 400 - 719_162;
    Some(to_year + lengths.iter().take(month).sum::<i64>() + day - 1)
}

fn gender(given: i32) -> Result<i64, v1::Error> {
    v1::Gender::try_from(given).map(|known| i64::from(known as i32)).map_err(|_| violation("gender", "no known one"))
}

const DAY_MS: Millis = 24 * 3_600 * 1_000;
/// Where a day begins first: UTC+14.
const EARLIEST_ZONE_MS: Millis = 14 * 3_600 * 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_that_have_been_and_no_others() {
        assert_eq!(days_before(1970, 1, 1), Some(0));
        assert_eq!(days_before(2000, 3, 1), Some(11_017));
        assert_eq!(days_before(1900, 2, 29), None);
        // 2024-02-29, noon UTC: in Kiritimati it is the first of March already.
        let now = 1_709_208_000_000;
        for good in ["", "1900-01-01", "2000-02-29", "2024-02-29", "2024-03-01"] {
            assert_eq!(birthday(good.to_owned(), now).unwrap(), good);
        }
        for wrong in [
            "2024-03-02",
            "1899-12-31",
            "2001-02-29",
            "2001-13-01",
            "2001-00-10",
            "2001-01-00",
            "2001-1-1",
            "01-01-01",
            "2001-01-01 ",
            "+200-01-01",
            "2001-01-01-01",
            "２００１-01-01",
            "x",
        ] {
            assert_eq!(birthday(wrong.to_owned(), now).unwrap_err().violations[0].field, "birthday", "{wrong}");
        }
    }
}
