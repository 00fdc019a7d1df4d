//! Parses nginx files to a tree of directives. It handles only the syntax: words, blocks and comments.

use std::rc::Rc;

/// One directive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Directive {
    /// The name and the arguments, without quotes.
    pub(super) words: Vec<String>,
    /// The directives in the block. Empty if the directive has no block.
    pub(super) block: Vec<Directive>,
    /// The name of the file.
    pub(super) file: Rc<str>,
    /// The line of the directive's name, from 1.
    pub(super) line: usize,
}

impl Directive {
    /// Returns the name of the directive.
    pub(super) fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Returns the arguments of the directive.
    pub(super) fn rest(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// Returns the first argument, or an empty string if there is none.
    pub(super) fn first(&self) -> &str {
        self.rest().first().map_or("", String::as_str)
    }

    /// Returns the second argument, or an empty string if there is none.
    pub(super) fn second(&self) -> &str {
        self.rest().get(1).map_or("", String::as_str)
    }

    /// Returns the position of the directive: `file:line`.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

/// A syntax error.
#[derive(Debug)]
pub(super) struct SyntaxError {
    /// The line of the error, from 1.
    pub(super) line: usize,
    pub(super) reason: &'static str,
}

/// The maximum nesting of blocks. The parser recurses once per block, so this limits the stack.
const DEPTH: usize = 16;

/// Parses the whole file `file` with the content `text`.
///
/// # Errors
///
/// A [`SyntaxError`] with the line of the first error.
pub(super) fn parse(file: &Rc<str>, text: &str) -> Result<Vec<Directive>, SyntaxError> {
    let mut parser = Parser {
        rest: text.chars().peekable(),
        file: Rc::clone(file),
        line: 1,
    };
    parser.block(0)
}

enum Token {
    Word(String),
    End,
    Open,
    Close,
}

struct Parser<'t> {
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    file: Rc<str>,
    line: usize,
}

impl Parser<'_> {
    fn error(&self, reason: &'static str) -> SyntaxError {
        SyntaxError {
            line: self.line,
            reason,
        }
    }

    fn block(&mut self, depth: usize) -> Result<Vec<Directive>, SyntaxError> {
        if depth > DEPTH {
            return Err(self.error("blocks are nested too deep"));
        }
        let mut block = Vec::new();
        let mut current = Directive::default();
        loop {
            // A quoted word may contain line breaks, so the line is taken before the word is read.
            self.skip();
            let line = self.line;
            let token = self.token()?;
            match token {
                None if depth > 0 => return Err(self.error("a block is not closed")),
                None if !current.words.is_empty() => {
                    return Err(SyntaxError {
                        line: current.line,
                        reason: "a directive does not end in `;`",
                    });
                }
                None => return Ok(block),
                Some(Token::Word(word)) => {
                    if current.words.is_empty() {
                        current.line = line;
                        current.file = Rc::clone(&self.file);
                    }
                    current.words.push(word);
                }
                Some(Token::End | Token::Open) if current.words.is_empty() => {
                    return Err(self.error("a directive has no name"));
                }
                Some(Token::End) => block.push(std::mem::take(&mut current)),
                Some(Token::Open) if current.name().ends_with("_by_lua_block") => {
                    self.skip_code()?;
                    block.push(std::mem::take(&mut current));
                }
                Some(Token::Open) => {
                    current.block = self.block(depth + 1)?;
                    block.push(std::mem::take(&mut current));
                }
                Some(Token::Close) if depth == 0 || !current.words.is_empty() => {
                    return Err(self.error("`}` is not expected here"));
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

    /// Skips code in another language up to the brace that closes it.
    fn skip_code(&mut self) -> Result<(), SyntaxError> {
        let mut open = 1;
        while open > 0 {
            match self.next() {
                Some('{') => open += 1,
                Some('}') => open -= 1,
                Some(_) => {}
                None => return Err(self.error("a block is not closed")),
            }
        }
        Ok(())
    }

    /// Skips white space and comments.
    fn skip(&mut self) {
        while let Some(character) = self.rest.peek() {
            if *character == '#' {
                while self.rest.peek().is_some_and(|character| *character != '\n') {
                    self.next();
                }
            } else if character.is_whitespace() {
                self.next();
            } else {
                break;
            }
        }
    }

    fn token(&mut self) -> Result<Option<Token>, SyntaxError> {
        let token = match self.rest.peek() {
            None => return Ok(None),
            Some(';') => Token::End,
            Some('{') => Token::Open,
            Some('}') => Token::Close,
            Some(quote @ ('"' | '\'')) => {
                let quote = *quote;
                self.next();
                return self.quoted(quote).map(Some);
            }
            Some(_) => return Ok(Some(self.word())),
        };
        self.next();
        Ok(Some(token))
    }

    /// Reads the character after a backslash. nginx removes the backslash only before a quote and a backslash,
    /// and reads `\t`, `\r` and `\n` as control characters. All others, such as `\.`, stay as they are.
    fn escaped(&mut self, word: &mut String) {
        match self.next() {
            Some(character @ ('"' | '\'' | '\\')) => word.push(character),
            Some('t') => word.push('\t'),
            Some('r') => word.push('\r'),
            Some('n') => word.push('\n'),
            Some(character) => word.extend(['\\', character]),
            None => word.push('\\'),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Token, SyntaxError> {
        let begin = self.line;
        let mut word = String::new();
        loop {
            match self.next() {
                None => {
                    return Err(SyntaxError {
                        line: begin,
                        reason: "a quote is not closed",
                    });
                }
                Some('\\') => self.escaped(&mut word),
                Some(character) if character == quote => return Ok(Token::Word(word)),
                Some(character) => word.push(character),
            }
        }
    }

    fn word(&mut self) -> Token {
        let mut word = String::new();
        let mut is_in_variable = false;
        while let Some(character) = self.rest.peek().copied() {
            // `${name}` is part of a word.
            let opens_variable = character == '{' && word.ends_with('$');
            let closes_variable = character == '}' && is_in_variable;
            if character.is_whitespace()
                || (matches!(character, ';' | '{' | '}') && !opens_variable && !closes_variable)
            {
                break;
            }
            is_in_variable = opens_variable || (is_in_variable && !closes_variable);
            self.next();
            if character == '\\' {
                self.escaped(&mut word);
            } else {
                word.push(character);
            }
        }
        Token::Word(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_blocks_quotes_and_comments_are_parsed() {
        let tree = parse(
            &"f".into(),
            "a 'b c' \"d;\"; # x {\ne { f ${g}h; }\nq \"^\\.(x)$\" 'it\\'s' y\\;z \\.p 'two\nlines';\nr;",
        )
        .unwrap();
        assert_eq!(tree[0].words, ["a", "b c", "d;"]);
        assert_eq!((tree[1].name(), tree[1].line), ("e", 2));
        assert_eq!(tree[1].block[0].words, ["f", "${g}h"]);
        let words = ["q", "^\\.(x)$", "it's", "y\\;z", "\\.p", "two\nlines"];
        assert_eq!(tree[2].words, words);
        assert_eq!(tree[3].place(), "f:5");
    }

    #[test]
    fn the_code_of_a_block_in_another_language_is_skipped() {
        let text = "access_by_lua_block { if a then b({c}) end }\nd;";
        let tree = parse(&"f".into(), text).unwrap();
        assert_eq!(tree[0].words, ["access_by_lua_block"]);
        assert_eq!((tree[1].name(), tree[1].line), ("d", 2));
        assert!(parse(&"f".into(), "x_by_lua_block { {").is_err());
    }

    #[test]
    fn a_syntax_error_has_its_line() {
        for (text, line) in [
            ("a;\nb", 2),
            ("a {", 1),
            ("a {\n b;\n}\n}", 4),
            ("\n'x", 2),
            (";", 1),
            ("{ }", 1),
        ] {
            assert_eq!(parse(&"f".into(), text).unwrap_err().line, line, "{text}");
        }
        assert!(parse(&"f".into(), &"a {".repeat(100)).is_err());
    }
}
