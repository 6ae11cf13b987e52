//! A file of variables in the form of systemd's `EnvironmentFile=` (systemd.exec(5)).

use std::str::Chars;

/// Name and value.
pub(super) type Assignment = (String, String);

/// What the file sets, each with its line; `None`: the line sets nothing, and is no comment.
pub(super) fn parse(text: &str) -> Vec<(usize, Option<Assignment>)> {
    let (mut found, mut reader) = (Vec::new(), Reader { rest: text.chars(), line: 1 });
    while let Some(first) = reader.next() {
        let line = reader.line;
        match first {
            '#' | ';' => while !matches!(reader.next(), None | Some('\n')) {},
            first if first.is_whitespace() => {}
            first => {
                let name = reader.name(first);
                let set = name.map(|name| (name, reader.value()));
                found.push((line, set.filter(|(name, _)| is_name(name))));
            }
        }
    }
    found
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| !first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

struct Reader<'a> {
    rest: Chars<'a>,
    line: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.line += usize::from(next == Some('\n'));
        next
    }

    /// Up to the equals sign; `None`: the line has none.
    fn name(&mut self, first: char) -> Option<String> {
        let (mut name, mut next) = (String::new(), first);
        while next != '=' {
            if next == '\n' {
                return None;
            }
            name.push(next);
            next = self.next()?;
        }
        Some(name.trim_end().to_owned())
    }

    /// Up to the end of the line, without blanks around. Quotes count at its beginning and after
    /// other quotes alone, so that those of a list, `["a"]`, are a part of it.
    fn value(&mut self) -> String {
        let (mut value, mut length, mut is_bare) = (String::new(), 0, false);
        loop {
            match self.next() {
                None | Some('\n') => break,
                Some(quote @ ('"' | '\'')) if !is_bare => self.quoted(quote, &mut value),
                Some(blank) if blank.is_whitespace() => {
                    if is_bare {
                        value.push(blank);
                    }
                    continue;
                }
                Some('\\') => {
                    is_bare = true;
                    value.extend(self.next().filter(|next| *next != '\n'));
                }
                Some(next) => {
                    is_bare = true;
                    value.push(next);
                }
            }
            length = value.len();
        }
        value.truncate(length);
        value
    }

    fn quoted(&mut self, quote: char, value: &mut String) {
        while let Some(next) = self.next().filter(|next| *next != quote) {
            if quote == '\'' || next != '\\' {
                value.push(next);
                continue;
            }
            match self.next() {
                Some('\n') | None => {}
                Some(next @ ('"' | '\\' | '`' | '$')) => value.push(next),
                Some(next) => value.extend(['\\', next]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_as_systemd_takes_them() {
        for (text, value) in [
            ("A=b", "b"),
            ("  A = b c  ", "b c"),
            ("A=", ""),
            ("A='b c '", "b c "),
            ("A=\"b \\\"c\\\" \\n $\"", "b \"c\" \\n $"),
            ("A=[\"[::]:443\"]", "[\"[::]:443\"]"),
            ("A='[\"[::]:443\"]'", "[\"[::]:443\"]"),
            ("A=b\\\nc", "bc"),
            ("A=b\\ ", "b "),
            ("A=b#c=d;e", "b#c=d;e"),
            ("A='b'\"c\"", "bc"),
        ] {
            assert_eq!(parse(text), [(1, Some(("A".to_owned(), value.to_owned())))], "{text}");
        }
    }

    #[test]
    fn lines_are_counted_and_what_sets_nothing_is_said() {
        let text = "# A=1\n\n; B=2\nC=3\nexport D=4\n5=E\nword\n=x\nF='6\n7'\nG=8";
        let found: Vec<_> = parse(text).into_iter().map(|(line, set)| (line, set.map(|(name, _)| name))).collect();
        let named = |line, name: &str| (line, Some(name.to_owned()));
        assert_eq!(found, [named(4, "C"), (5, None), (6, None), (7, None), (8, None), named(9, "F"), named(11, "G")]);
    }
}
