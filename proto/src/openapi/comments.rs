//! The comments of the `.proto` files, which the descriptors keep as source information.

use std::{collections::HashMap, sync::LazyLock};

use prost_reflect::FileDescriptor;

use crate::method::POOL;

/// The comment above, or else behind, the element at this path of a file; empty when there is none.
pub(super) fn of(file: &FileDescriptor, path: &[i32]) -> String {
    COMMENTS.get(file.name()).and_then(|file| file.get(path)).cloned().unwrap_or_default()
}

/// The first sentence of a comment, without its full stop.
pub(super) fn summary(comment: &str) -> &str {
    let line = comment.lines().next().unwrap_or_default();
    line.split_once(". ").map_or(line, |(sentence, _)| sentence).trim_end_matches('.')
}

/// The error codes that a comment lists: "Errors: not_found, rate_limited (why)."
pub(super) fn errors(comment: &str) -> Vec<&str> {
    let Some((_, list)) = comment.split_once("Errors: ") else { return Vec::new() };
    let mut depth = 0_usize;
    let outside = |c: char| {
        depth = match c {
            '(' => depth + 1,
            ')' => depth.saturating_sub(1),
            _ => depth,
        };
        depth == 0 && (c == ',' || c == '.')
    };
    list.split(outside).filter_map(|item| item.split_whitespace().next()).collect()
}

type Comments = HashMap<Vec<i32>, String>;

static COMMENTS: LazyLock<HashMap<String, Comments>> = LazyLock::new(|| {
    POOL.files()
        .map(|file| {
            let locations = file.file_descriptor_proto().source_code_info.iter().flat_map(|info| &info.location);
            let comments = locations.filter_map(|location| {
                let text = location.leading_comments.as_deref().or(location.trailing_comments.as_deref())?;
                let lines: Vec<&str> = text.lines().map(str::trim).collect();
                Some((location.path.clone(), lines.join("\n").trim().to_owned()))
            });
            (file.name().to_owned(), comments.collect())
        })
        .collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_found() {
        let method = crate::method::find("gogochat.v1.ChatService/SendMessage").unwrap();
        let comment = of(&method.descriptor.parent_service().parent_file(), method.descriptor.path());
        assert_eq!(summary(&comment), "Commits a message and then answers: the reply is a promise");
        assert_eq!(
            errors(&comment),
            [
                "not_a_member",
                "not_a_contact",
                "muted",
                "slow_mode",
                "group_dismissed",
                "text_too_long",
                "client_msg_id_reused",
                "out_of_order",
                "unavailable"
            ]
        );
        assert_eq!(errors("Lists."), [""; 0]);
    }
}
