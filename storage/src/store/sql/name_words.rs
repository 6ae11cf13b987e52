//! Finding users by their display name. Each of its words has a row, with all that follows the
//! word, in the order of a key. So a search reads the rows that it gives and no others, however
//! many users there are.

use std::collections::BTreeSet;

use gogochat_proto::ids::UserId;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use unicode_normalization::UnicodeNormalization as _;

use super::Db;
use crate::store::{
    StoreError,
    entity::{Fixed, account, name_word},
};

/// Makes a user's rows be those of a display name. `old`: the one before.
pub(super) async fn replace<C: ConnectionTrait>(
    db: &Db<'_, C>,
    user: UserId,
    old: &str,
    new: &str,
) -> Result<(), StoreError> {
    let (old, new) = (words(old), words(new));
    let gone: Vec<_> = old.difference(&new).map(String::as_str).collect();
    if !gone.is_empty() {
        let gone = name_word::Entity::delete_many()
            .filter(name_word::Column::Word.is_in(gone))
            .filter(name_word::Column::UserId.eq(Fixed(user)));
        db.ask(gone.exec(db.conn)).await?;
    }
    insert(db, new.difference(&old).map(|word| row(user, word)).collect()).await
}

/// Makes the rows of all users anew, however long it takes.
pub(in crate::store) async fn rebuild<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<(), StoreError> {
    clear(db).await?;
    let mut last = Fixed(UserId::from(uuid::Uuid::nil()));
    loop {
        let page = account::Entity::find()
            .select_only()
            .columns([account::Column::Id, account::Column::DisplayName])
            .filter(account::Column::Id.gt(last))
            .order_by_asc(account::Column::Id)
            .limit(AT_ONCE as u64)
            .into_tuple::<(Fixed<UserId>, String)>();
        let page = db.ask(page.all(db.conn)).await?;
        let Some((id, _)) = page.last() else { return Ok(()) };
        last = *id;
        insert(db, page.iter().flat_map(|(id, name)| words(name).into_iter().map(|word| row(id.0, &word))).collect())
            .await?;
    }
}

/// Some thousand rows a statement.
async fn clear<C: ConnectionTrait>(db: &Db<'_, C>) -> Result<(), StoreError> {
    loop {
        let end = name_word::Entity::find()
            .order_by_asc(name_word::Column::Word)
            .order_by_asc(name_word::Column::UserId)
            .offset(CLEARED - 1)
            .limit(1);
        let end = db.ask(end.one(db.conn)).await?;
        let mut clear = name_word::Entity::delete_many();
        if let Some(end) = &end {
            let of_word = Condition::all()
                .add(name_word::Column::Word.eq(end.word.as_str()))
                .add(name_word::Column::UserId.lte(end.user_id));
            let before = Condition::any().add(name_word::Column::Word.lt(end.word.as_str())).add(of_word);
            clear = clear.filter(before);
        }
        db.ask(clear.exec(db.conn)).await?;
        if end.is_none() {
            return Ok(());
        }
    }
}

async fn insert<C: ConnectionTrait>(db: &Db<'_, C>, rows: Vec<name_word::ActiveModel>) -> Result<(), StoreError> {
    for part in rows.chunks(AT_ONCE) {
        db.ask(name_word::Entity::insert_many(part.to_vec()).exec_without_returning(db.conn)).await?;
    }
    Ok(())
}

fn row(user: UserId, word: &str) -> name_word::ActiveModel {
    name_word::Model { word: word.to_owned(), user_id: Fixed(user) }.into()
}

/// Users with a word that begins so, by the words, each once.
pub(super) async fn find<C: ConnectionTrait>(
    db: &Db<'_, C>,
    text: &str,
    limit: u32,
) -> Result<Vec<UserId>, StoreError> {
    let from: String = fold(text).chars().take(LENGTH).collect();
    let found = name_word::Entity::find()
        .filter(name_word::Column::Word.gte(&from))
        .filter(name_word::Column::Word.lt(format!("{from}{}", char::MAX)))
        .order_by_asc(name_word::Column::Word)
        .order_by_asc(name_word::Column::UserId)
        // Several words of one name may begin alike.
        .limit(u64::from(limit).saturating_mul(2));
    let mut ids = Vec::new();
    for row in db.ask(found.all(db.conn)).await? {
        if !ids.contains(&row.user_id.0) && ids.len() < limit as usize {
            ids.push(row.user_id.0);
        }
    }
    Ok(ids)
}

/// A display name from each of its words on.
fn words(name: &str) -> BTreeSet<String> {
    let folded = fold(name);
    let mut before = ' ';
    let mut words = BTreeSet::new();
    for (at, c) in folded.char_indices() {
        let begins = c.is_alphanumeric() && (!before.is_alphanumeric() || is_unspaced(c));
        // What shows and is no letter, a picture say, is found by the whole name.
        if begins || at == 0 {
            words.insert(folded.get(at..).unwrap_or_default().chars().take(LENGTH).collect());
        }
        if words.len() == MOST {
            break;
        }
        before = c;
    }
    words
}

/// A text as it is compared: without differences of letter case, width and composition.
fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).nfkc().collect()
}

/// Whether a character belongs to a script that is written without spaces between words: Han, kana.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Characters of a row.
const LENGTH: usize = 64;
/// Rows of a name.
const MOST: usize = 16;
/// Rows of a statement that clears.
const CLEARED: u64 = 5_000;
/// Rows of a statement.
const AT_ONCE: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_from_each_of_its_words_on() {
        let of = |name: &str| words(name).into_iter().collect::<Vec<_>>();
        assert_eq!(of("Kenji Tanaka"), ["kenji tanaka", "tanaka"]);
        assert_eq!(of("Jean-Luc O'Neil"), ["jean-luc o'neil", "luc o'neil", "neil", "o'neil"]);
        assert_eq!(of("李小明"), ["小明", "明", "李小明"]);
        assert_eq!(of("ＴＯＮＹ　Ｓ"), ["s", "tony s"]);
        assert_eq!(of("E\u{301}MILE"), ["émile"]);
        assert_eq!(of("ΟΔΟΣ"), ["οδοσ"]);
        assert_eq!(of("🦊"), ["🦊"]);
        assert_eq!(of("tan tan"), ["tan", "tan tan"]);
        assert!(of("").is_empty());
    }

    #[test]
    fn a_name_has_so_many_rows_of_such_a_length_and_no_more() {
        let most = words(&"語".repeat(64));
        assert_eq!(most.len(), MOST);
        assert!(most.iter().all(|word| word.chars().count() <= LENGTH));
        // One character that becomes eighteen.
        assert!(words(&"\u{fdfa}".repeat(64)).iter().all(|word| word.chars().count() <= LENGTH));
    }
}
