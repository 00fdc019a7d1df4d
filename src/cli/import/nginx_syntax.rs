//! nginx's configuration as a tree of directives. Only the syntax: words, blocks, comments.

/// One directive with its block, if it has one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Directive {
    /// Name and arguments, quotes taken off.
    pub(super) words: Vec<String>,
    /// What is in its block.
    pub(super) block: Vec<Directive>,
    /// Line of its name, from 1.
    pub(super) line: usize,
}

impl Directive {
    pub(super) fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The arguments.
    pub(super) fn rest(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    pub(super) fn first(&self) -> &str {
        self.rest().first().map_or("", String::as_str)
    }
}

/// Deepest nesting of blocks.
const DEPTH: usize = 16;

/// Reads a whole file.
///
/// # Errors
///
/// Line and reason.
pub(super) fn read(text: &str) -> Result<Vec<Directive>, (usize, &'static str)> {
    let mut reader = Reader {
        rest: text.chars().peekable(),
        line: 1,
    };
    reader.block(0)
}

enum Token {
    Word(String),
    End,
    Open,
    Close,
}

struct Reader<'t> {
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    line: usize,
}

impl Reader<'_> {
    fn block(&mut self, depth: usize) -> Result<Vec<Directive>, (usize, &'static str)> {
        if depth > DEPTH {
            return Err((self.line, "blocks are nested too deep"));
        }
        let mut block = Vec::new();
        let mut current = Directive::default();
        loop {
            let token = self.token()?;
            match token {
                None if depth > 0 => return Err((self.line, "a block is not closed")),
                None if !current.words.is_empty() => {
                    return Err((current.line, "a directive does not end in `;`"));
                }
                None => return Ok(block),
                Some(Token::Word(word)) => {
                    if current.words.is_empty() {
                        current.line = self.line;
                    }
                    current.words.push(word);
                }
                Some(Token::End | Token::Open) if current.words.is_empty() => {
                    return Err((self.line, "a directive has no name"));
                }
                Some(Token::End) => block.push(std::mem::take(&mut current)),
                Some(Token::Open) => {
                    current.block = self.block(depth + 1)?;
                    block.push(std::mem::take(&mut current));
                }
                Some(Token::Close) if depth == 0 || !current.words.is_empty() => {
                    return Err((self.line, "`}` is not expected here"));
                }
                Some(Token::Close) => return Ok(block),
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        if next == Some('\n') {
            self.line += 1;
        }
        next
    }

    fn token(&mut self) -> Result<Option<Token>, (usize, &'static str)> {
        loop {
            match self.rest.peek() {
                None => return Ok(None),
                Some(character) if character.is_whitespace() => {
                    self.next();
                }
                Some('#') => {
                    while self.rest.peek().is_some_and(|character| *character != '\n') {
                        self.next();
                    }
                }
                Some(_) => break,
            }
        }
        let token = match self.rest.peek() {
            Some(';') => Token::End,
            Some('{') => Token::Open,
            Some('}') => Token::Close,
            Some(quote @ ('"' | '\'')) => {
                let quote = *quote;
                self.next();
                return self.quoted(quote).map(Some);
            }
            Some(_) | None => return Ok(Some(self.word())),
        };
        self.next();
        Ok(Some(token))
    }

    fn quoted(&mut self, quote: char) -> Result<Token, (usize, &'static str)> {
        let begin = self.line;
        let mut word = String::new();
        loop {
            match self.next() {
                None => return Err((begin, "a quote is not closed")),
                Some('\\') => word.extend(self.next()),
                Some(character) if character == quote => return Ok(Token::Word(word)),
                Some(character) => word.push(character),
            }
        }
    }

    fn word(&mut self) -> Token {
        let mut word = String::new();
        while let Some(character) = self.rest.peek().copied() {
            // `${name}` is part of a word.
            let opens_variable = character == '{' && word.ends_with('$');
            let closes_variable = character == '}' && word.contains("${");
            if character.is_whitespace()
                || (matches!(character, ';' | '{' | '}') && !opens_variable && !closes_variable)
            {
                break;
            }
            self.next();
            word.push(character);
        }
        Token::Word(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_blocks_quotes_and_comments_are_read() {
        let read = read("a 'b c' \"d;\"; # x {\ne { f ${g}h; }\n").unwrap();
        assert_eq!(read[0].words, ["a", "b c", "d;"]);
        assert_eq!((read[1].name(), read[1].line), ("e", 2));
        assert_eq!(read[1].block[0].words, ["f", "${g}h"]);
    }

    #[test]
    fn broken_files_are_told_with_their_line() {
        for (text, line) in [
            ("a;\nb", 2),
            ("a {", 1),
            ("a {\n b;\n}\n}", 4),
            ("\n'x", 2),
            (";", 1),
            ("{ }", 1),
        ] {
            assert_eq!(read(text).unwrap_err().0, line, "{text}");
        }
        assert!(read(&"a {".repeat(100)).is_err());
    }
}
