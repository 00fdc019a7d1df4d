//! Every error of the demo origin, with the status, code, EC (detailed error code) and message of OSS.

use std::fmt;

use crate::demo::origin::options::Denial;

/// An error that the origin reports to the client as an error document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OssError {
    /// The request is anonymous but needs a signature.
    AccessDenied,
    AnonymousOverride,
    BucketNotEmpty(String),
    ContentTypeOverride,
    CorsForbidden,
    /// The signature check failed.
    Denied(Denial),
    EntityTooLarge,
    EntityTooSmall,
    FileAlreadyExists,
    IncompleteBody,
    InvalidArgument {
        name: &'static str,
        value: String,
    },
    InvalidBucketName(String),
    InvalidDigest,
    InvalidObjectName,
    InvalidPart,
    InvalidPartOrder,
    InvalidRange(u64),
    MalformedForm,
    MalformedXml,
    MethodNotAllowed(String),
    MissingArgument(&'static str),
    MissingContentLength,
    NoSuchBucket(String),
    /// The bucket or object does not have this setting. The string is OSS's error code.
    NoSuchSetting(&'static str),
    NoSuchKey(Vec<u8>),
    NoSuchUpload(String),
    NotImplemented(&'static str),
    ObjectNotAppendable,
    /// A form violates its policy. The string is OSS's message.
    PolicyViolated(&'static str),
    PositionNotEqualToLength(u64),
    PreconditionFailed(&'static str),
    /// The error is caused by a scripted fault. The number is the HTTP status.
    Scripted(u16),
    SymlinkTargetNotExist(Vec<u8>),
}

/// The status, code, EC and message of an error document.
pub(super) type ErrorParts = (u16, String, Option<String>, String);

impl OssError {
    /// Returns the parts that every error document has.
    pub(super) fn parts(&self) -> ErrorParts {
        if let Self::Denied(denial) = self {
            return (
                denial.status,
                denial.code.clone(),
                denial.ec.clone(),
                denial.message.clone(),
            );
        }
        let (status, code, ec) = self.code();
        (
            status,
            code.to_owned(),
            (!ec.is_empty()).then(|| ec.to_owned()),
            self.to_string(),
        )
    }

    fn code(&self) -> (u16, &'static str, &'static str) {
        match self {
            // This value is never used: for this variant, `parts` returns the status and code of the
            // [`Denial`].
            Self::Denied(_) => (403, "AccessDenied", ""),
            Self::AccessDenied => (403, "AccessDenied", "0003-00000001"),
            Self::AnonymousOverride => (400, "InvalidRequest", ""),
            Self::BucketNotEmpty(_) => (409, "BucketNotEmpty", ""),
            Self::ContentTypeOverride => (400, "InvalidRequest", "0017-00000902"),
            Self::CorsForbidden => (403, "AccessForbidden", ""),
            Self::EntityTooLarge => (400, "EntityTooLarge", ""),
            Self::EntityTooSmall => (400, "EntityTooSmall", ""),
            Self::FileAlreadyExists => (409, "FileAlreadyExists", "0026-00000002"),
            Self::IncompleteBody => (400, "IncompleteBody", ""),
            Self::InvalidArgument { .. } => (400, "InvalidArgument", ""),
            Self::InvalidBucketName(_) => (400, "InvalidBucketName", "0015-00000001"),
            Self::InvalidDigest => (400, "InvalidDigest", ""),
            Self::InvalidObjectName => (400, "InvalidObjectName", ""),
            Self::InvalidPart => (400, "InvalidPart", ""),
            Self::InvalidPartOrder => (400, "InvalidPartOrder", ""),
            Self::InvalidRange(_) => (416, "InvalidRange", ""),
            Self::MalformedForm => (400, "MalformedPOSTRequest", ""),
            Self::MalformedXml => (400, "MalformedXML", "0031-00000001"),
            Self::MethodNotAllowed(_) => (405, "MethodNotAllowed", ""),
            Self::MissingArgument(_) => (400, "MissingArgument", "0016-00000502"),
            Self::MissingContentLength => (411, "MissingContentLength", "0017-00000101"),
            Self::NoSuchBucket(_) => (404, "NoSuchBucket", "0015-00000101"),
            Self::NoSuchSetting(code) => (404, code, ""),
            Self::NoSuchKey(_) => (404, "NoSuchKey", "0026-00000001"),
            Self::NoSuchUpload(_) => (404, "NoSuchUpload", ""),
            Self::NotImplemented(_) => (400, "NotImplemented", ""),
            Self::ObjectNotAppendable => (409, "ObjectNotAppendable", ""),
            Self::PolicyViolated(_) => (403, "AccessDenied", ""),
            Self::PositionNotEqualToLength(_) => (409, "PositionNotEqualToLength", ""),
            Self::PreconditionFailed(_) => (412, "PreconditionFailed", ""),
            Self::Scripted(status) => (
                *status,
                match status {
                    403 => "AccessDenied",
                    404 => "NoSuchKey",
                    500 => "InternalError",
                    503 => "ServiceUnavailable",
                    _ => "Scripted",
                },
                "",
            ),
            Self::SymlinkTargetNotExist(_) => (404, "SymlinkTargetNotExist", ""),
        }
    }

    /// Returns the additional elements of the error document, as pairs of name and text.
    pub(super) fn extra(&self) -> Vec<(String, String)> {
        let one = |name: &str, value: String| vec![(name.to_owned(), value)];
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self {
            Self::Denied(denial) => denial.extra.clone(),
            Self::BucketNotEmpty(name)
            | Self::InvalidBucketName(name)
            | Self::NoSuchBucket(name) => one("BucketName", name.clone()),
            Self::InvalidArgument { name, value } => vec![
                (String::from("ArgumentName"), (*name).to_owned()),
                (String::from("ArgumentValue"), value.clone()),
            ],
            Self::InvalidRange(length) => one("ActualObjectSize", length.to_string()),
            Self::MethodNotAllowed(method) => one("Method", method.clone()),
            Self::MissingArgument(name) => one("ArgumentName", (*name).to_owned()),
            Self::NoSuchKey(key) => one("Key", lossy(key)),
            Self::NoSuchUpload(id) => one("UploadId", id.clone()),
            Self::PreconditionFailed(condition) => one("Condition", (*condition).to_owned()),
            Self::SymlinkTargetNotExist(key) => one("SymlinkTarget", lossy(key)),
            Self::AccessDenied
            | Self::AnonymousOverride
            | Self::ContentTypeOverride
            | Self::CorsForbidden
            | Self::EntityTooLarge
            | Self::EntityTooSmall
            | Self::FileAlreadyExists
            | Self::IncompleteBody
            | Self::InvalidDigest
            | Self::InvalidObjectName
            | Self::InvalidPart
            | Self::InvalidPartOrder
            | Self::MalformedForm
            | Self::MalformedXml
            | Self::MissingContentLength
            | Self::NoSuchSetting(_)
            | Self::NotImplemented(_)
            | Self::ObjectNotAppendable
            | Self::PolicyViolated(_)
            | Self::PositionNotEqualToLength(_)
            | Self::Scripted(_) => Vec::new(),
        }
    }
}

impl fmt::Display for OssError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // These are OSS's own messages. Therefore they are full sentences, unlike the other error messages of
        // the crate.
        f.write_str(match self {
            Self::Denied(denial) => return fmt::Display::fmt(denial, f),
            Self::InvalidArgument { name, .. } => {
                return write!(f, "The argument {name} is not valid.");
            }
            Self::MissingArgument(name) => return write!(f, "The argument {name} is missing."),
            Self::NotImplemented(what) => {
                return write!(f, "The sample origin does not do this: {what}.");
            }
            Self::PositionNotEqualToLength(length) => {
                return write!(f, "Position is not equal to file length {length}.");
            }
            Self::Scripted(status) => return write!(f, "Scripted answer {status}."),
            Self::AccessDenied => "You have no right to access this object because of bucket acl.",
            Self::AnonymousOverride => "Can not override response header for an anonymous user.",
            Self::BucketNotEmpty(_) => "The bucket you tried to delete is not empty.",
            Self::ContentTypeOverride => "Can not override response header on content-type.",
            Self::CorsForbidden => "CORSResponse: This CORS request is not allowed.",
            Self::EntityTooLarge => "Your proposed upload exceeds the maximum allowed size.",
            Self::EntityTooSmall => {
                "Your proposed upload is smaller than the minimum allowed size."
            }
            Self::FileAlreadyExists => "The object you specified already exists.",
            Self::IncompleteBody => "The body ended before its announced length.",
            Self::InvalidBucketName(_) => "The specified bucket is not valid.",
            Self::InvalidDigest => "The Content-MD5 you specified was invalid.",
            Self::InvalidObjectName => "The specified object is not valid.",
            Self::InvalidPart => {
                "One or more of the specified parts could not be found or have another ETag."
            }
            Self::InvalidPartOrder => "The list of parts was not in ascending order.",
            Self::InvalidRange(_) => "The requested range cannot be satisfied.",
            Self::MalformedForm => "The body of the form is not well-formed.",
            Self::PolicyViolated(how) => how,
            Self::MalformedXml => {
                "The XML you provided was not well-formed or did not validate against our schema."
            }
            Self::MethodNotAllowed(_) => {
                "The specified method is not allowed against this resource."
            }
            Self::MissingContentLength => "You must provide the Content-Length HTTP header.",
            Self::NoSuchBucket(_) => "The specified bucket does not exist.",
            Self::NoSuchSetting(_) => "The bucket does not have this configuration.",
            Self::NoSuchKey(_) => "The specified key does not exist.",
            Self::NoSuchUpload(_) => "The specified upload does not exist.",
            Self::ObjectNotAppendable => "The object is not appendable.",
            Self::PreconditionFailed(_) => {
                "At least one of the pre-conditions you specified did not hold."
            }
            Self::SymlinkTargetNotExist(_) => "The symlink target object does not exist.",
        })
    }
}

impl std::error::Error for OssError {}
