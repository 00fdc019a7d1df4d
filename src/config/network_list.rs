//! Networks of client addresses, and the files that list them.
//!
//! A file has one address or network per line. A `#` begins a comment. Empty lines, line ends of Windows and
//! a byte order mark are accepted. Any other line makes the whole file wrong, because a list that is read in
//! part would admit or refuse the wrong clients. Messages name the file and the line, but never quote the
//! line: the path may name a file with secrets by mistake.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::{Serialize, Serializer};

use crate::config::value::{Invalid, parse_range};

/// The maximum size of a file, in bytes: about a million networks.
const LARGEST: u64 = 16 << 20;
/// The maximum number of lines that one error names, and of warnings about one file.
const NAMED: usize = 10;

/// A network of client addresses, with the number of the line that contains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The network. The bits after its prefix are 0. A single address has the longest prefix.
    pub net: IpNet,
    /// The number of the line in the config or in the file of networks, from 1.
    pub line: usize,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.net.prefix_len() == self.net.max_prefix_len() {
            self.net.addr().fmt(f)
        } else {
            self.net.fmt(f)
        }
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Parses an address or a network. The bits after the prefix become 0.
///
/// # Errors
///
/// [`Invalid::Range`] for any other text.
pub(crate) fn parse_network(text: &str) -> Result<IpNet, Invalid> {
    parse_range(text).map(|net| net.trunc())
}

/// Whether `text`, from which `net` was parsed, has bits after its prefix that are not 0, such as
/// `203.0.113.7/24`. nginx warns of such a network and HAProxy ignores the bits, so ossgate does not report
/// an error either.
pub(crate) fn has_ignored_bits(text: &str, net: &IpNet) -> bool {
    let address = text.split('/').next().unwrap_or(text).parse::<IpAddr>();
    address.is_ok_and(|address| address.to_canonical() != net.network())
}

/// The message about a network for which [`has_ignored_bits`] is true.
pub(crate) const IGNORED_BITS: &str = "has bits after its prefix, which have no effect";

/// Returns the name of the address family if `net` contains every address of the family.
pub(crate) fn whole_family(net: &IpNet) -> Option<&'static str> {
    match net {
        _ if net.prefix_len() > 0 => None,
        IpNet::V4(_) => Some("IPv4"),
        IpNet::V6(_) => Some("IPv6"),
    }
}

/// The networks of one file.
#[derive(Debug)]
pub struct NetworkList {
    /// The path of the file.
    pub path: PathBuf,
    /// The networks, in the order of the file.
    pub networks: Vec<Network>,
    /// The metadata of the file just before the file was read. If the metadata differ later, the file has
    /// changed.
    pub metadata: Metadata,
    /// The warnings about networks that probably do not have the intended effect. Each warning begins with
    /// the file and the line. There are at most ten.
    pub warnings: Vec<String>,
}

/// The reason why a list of networks cannot be used. No error quotes the content of the file.
#[derive(Debug)]
pub enum ListError {
    /// The path names a pipe, a directory or a device.
    NotAFile(PathBuf),
    /// The file is larger than 16 MiB.
    TooLarge(PathBuf),
    /// The OS cannot read the file.
    Unreadable(PathBuf, io::Error),
    /// Some lines are neither empty nor a network.
    Lines {
        /// The file.
        path: PathBuf,
        /// The numbers of the first wrong lines, counted from 1. There are at least one and at most ten.
        first: Vec<usize>,
        /// The number of the other wrong lines.
        more: usize,
    },
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFile(path) => write!(f, "{} is not a regular file", path.display()),
            Self::TooLarge(path) => write!(f, "{} is larger than 16 MiB", path.display()),
            Self::Unreadable(path, error) => {
                write!(f, "{} cannot be read: {error}", path.display())
            }
            Self::Lines { path, first, more } => {
                let (line, others) = first.split_first().unwrap_or((&0, &[]));
                write!(f, "{}:{line}: the line {}", path.display(), Invalid::Range)?;
                if !others.is_empty() {
                    let others: Vec<String> = others.iter().map(usize::to_string).collect();
                    write!(f, "; also wrong: lines {}", others.join(", "))?;
                }
                if *more > 0 {
                    write!(f, " and {more} more")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ListError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(_, error) => Some(error),
            Self::NotAFile(_) | Self::TooLarge(_) | Self::Lines { .. } => None,
        }
    }
}

impl NetworkList {
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// - [`ListError::NotAFile`], [`ListError::TooLarge`] and [`ListError::Unreadable`] when the file cannot be
    ///   read
    /// - [`ListError::Lines`] when a line is not a network
    pub fn read(path: &Path) -> Result<Self, ListError> {
        let unreadable = |error| ListError::Unreadable(path.to_owned(), error);
        // Opening a pipe would block until another process opens its other end.
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(ListError::NotAFile(path.to_owned()));
        }
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        let mut bytes = Vec::new();
        let read = file.take(LARGEST + 1).read_to_end(&mut bytes);
        if read.map_err(unreadable)? as u64 > LARGEST {
            return Err(ListError::TooLarge(path.to_owned()));
        }
        Self::parse(path, &bytes, metadata)
    }

    fn parse(path: &Path, bytes: &[u8], metadata: Metadata) -> Result<Self, ListError> {
        let mut list = Self {
            path: path.to_owned(),
            networks: Vec::new(),
            metadata,
            warnings: Vec::new(),
        };
        let (mut wrong, mut more) = (Vec::new(), 0);
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            // A comment may be in any encoding, so it is cut off before the line is read as text.
            let end = memchr::memchr(b'#', line).unwrap_or(line.len());
            let text = line.get(..end).unwrap_or_default().trim_ascii();
            if text.is_empty() {
                continue;
            }
            let text = std::str::from_utf8(text).unwrap_or_default();
            match parse_network(text) {
                Ok(net) => list.add(text, net, index + 1),
                Err(_) if wrong.len() < NAMED => wrong.push(index + 1),
                Err(_) => more += 1,
            }
        }
        if wrong.is_empty() {
            return Ok(list);
        }
        Err(ListError::Lines {
            path: list.path,
            first: wrong,
            more,
        })
    }

    fn add(&mut self, text: &str, net: IpNet, line: usize) {
        let mut warn = |message: &str| {
            if self.warnings.len() < NAMED {
                let path = self.path.display();
                self.warnings.push(format!("{path}:{line}: {message}"));
            }
        };
        if has_ignored_bits(text, &net) {
            warn(&format!("the network {IGNORED_BITS}"));
        }
        if let Some(family) = whole_family(&net) {
            warn(&format!("the network allows every {family} address"));
        }
        self.networks.push(Network { net, line });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Vec<(String, usize)>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let list = NetworkList::read(file.path()).map_err(|error| error.to_string());
        let path = format!("{}:", file.path().display());
        let networks = |list: NetworkList| {
            let one = |network: &Network| (network.to_string(), network.line);
            list.networks.iter().map(one).collect()
        };
        list.map(networks)
            .map_err(|error| error.replace(&path, "list:"))
    }

    #[test]
    fn a_line_has_one_network_and_comments_may_be_in_any_encoding() {
        for content in [
            &b"203.0.113.0/24\n# \xb9\xab\xcb\xbe\n\n  2001:DB8::7\t# a\n"[..],
            b"203.0.113.0/24\r\n#\r\n\r\n2001:db8::7\r\n",
            b"\xef\xbb\xbf203.0.113.9/24# no space\n##\n \n2001:db8::7/128",
            b"::ffff:203.0.113.0/120\n\n\n2001:db8:0:0:0:0:0:7",
        ] {
            let expected = [("203.0.113.0/24", 1), ("2001:db8::7", 4)];
            let expected = expected.map(|(text, line)| (text.to_owned(), line));
            assert_eq!(read(content), Ok(expected.to_vec()), "{content:?}");
        }
        for content in [&b""[..], b"\n\n", b"# 10.0.0.1\n", b"\xef\xbb\xbf"] {
            assert_eq!(read(content), Ok(Vec::new()), "{content:?}");
        }
    }

    #[test]
    fn a_line_that_is_not_one_network_makes_the_list_wrong_and_is_not_quoted() {
        let wrong = "list:2: the line is not an address, or a range such as `10.0.0.0/8`";
        for line in [
            "10.0.0.300",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "010.0.0.0/8",
            "10.0.0.0/255.0.0.0",
            "10.0.0.1 10.0.0.2",
            "10.0.0.1,10.0.0.2",
            "10.0.0.1-10.0.0.9",
            "10.0.0.1:80",
            "[2001:db8::1]",
            "fe80::1%eth0",
            "fe80::/10%eth0",
            "allow 10.0.0.1;",
            "${PARTNER}",
            "partner.example.com",
            "\u{feff}10.0.0.1",
            "\u{0}",
            "; 10.0.0.1",
        ] {
            let content = format!("10.0.0.1\n{line}\n10.0.0.2\n");
            assert_eq!(read(content.as_bytes()), Err(wrong.to_owned()), "{line}");
        }
        for bytes in [
            &b"\n\xff\xfe1\0"[..],
            b"\n\xb9\xab",
            b"\n10.0.0.1\r10.0.0.2",
        ] {
            assert_eq!(read(bytes), Err(wrong.to_owned()), "{bytes:?}");
        }
        let many = read("x\n".repeat(30).as_bytes());
        let also = "; also wrong: lines 2, 3, 4, 5, 6, 7, 8, 9, 10 and 20 more";
        assert!(many.unwrap_err().ends_with(also));
    }

    #[test]
    fn only_a_regular_file_of_at_most_16_mib_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let error = NetworkList::read(dir.path()).unwrap_err().to_string();
        assert!(error.ends_with(" is not a regular file"), "{error}");
        let absent = NetworkList::read(&dir.path().join("absent")).unwrap_err();
        assert!(absent.to_string().contains("absent cannot be read: "));
        let large = dir.path().join("large");
        std::fs::write(&large, vec![b'\n'; 16 << 20]).unwrap();
        assert!(NetworkList::read(&large).is_ok());
        std::fs::write(&large, vec![b'\n'; (16 << 20) + 1]).unwrap();
        let error = NetworkList::read(&large).unwrap_err().to_string();
        assert!(error.ends_with(" is larger than 16 MiB"), "{error}");
    }
}
