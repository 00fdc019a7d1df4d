//! The buckets and objects, in memory.
//!
//! One lock guards all of it and is never held across an await; bytes are reference-counted, so
//! what is done under it is short.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use http::HeaderMap;

use crate::demo::origin::body::{Content, generated_crc, generated_length};
use crate::demo::origin::options::BucketOptions;
use crate::demo::origin::refusal::Refusal;

/// How an object came to be, as `x-oss-object-type` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Appendable,
    Multipart,
    /// Stands for another key.
    Symlink(Vec<u8>),
}

impl Kind {
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Appendable => "Appendable",
            Self::Multipart => "Multipart",
            Self::Symlink(_) => "Symlink",
        }
    }
}

/// An object.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) kind: Kind,
    pub(super) content: Content,
    pub(super) length: u64,
    /// Without quotes.
    pub(super) etag: String,
    /// Base64, of objects that came in one piece.
    pub(super) md5: Option<String>,
    pub(super) crc: u64,
    pub(super) modified: SystemTime,
    /// Content-Type and the like, and `x-oss-meta-*`.
    pub(super) headers: HeaderMap,
    pub(super) storage_class: String,
    /// `default` follows the bucket.
    pub(super) acl: String,
    pub(super) tags: Vec<(String, String)>,
}

/// A part of a multipart upload.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) content: Content,
    pub(super) length: u64,
    pub(super) etag: String,
    pub(super) crc: u64,
    pub(super) modified: SystemTime,
}

/// A multipart upload that is not complete.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    pub(super) key: Vec<u8>,
    pub(super) started: SystemTime,
    /// What the object will have; its content is not used.
    pub(super) object: Object,
    pub(super) parts: BTreeMap<u16, Part>,
}

/// A bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) options: BucketOptions,
    pub(super) created: SystemTime,
    pub(super) objects: BTreeMap<Vec<u8>, Arc<Object>>,
    pub(super) uploads: BTreeMap<String, Upload>,
}

impl Bucket {
    pub(super) fn new(options: BucketOptions, created: SystemTime) -> Self {
        Self {
            options,
            created,
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
        }
    }

    /// The object at `key`, made up where the bucket does that.
    pub(super) fn object(&self, key: &[u8]) -> Option<Arc<Object>> {
        if let Some(object) = self.objects.get(key) {
            return Some(Arc::clone(object));
        }
        let length = generated_length(key).filter(|_| self.options.generated)?;
        Some(Arc::new(Object {
            kind: Kind::Multipart,
            content: Content::Generated,
            length,
            // Not the MD5, which would take seconds for a large one: hence the part count.
            etag: format!("{length:032X}-1"),
            md5: None,
            crc: generated_crc(length),
            modified: self.created,
            headers: HeaderMap::new(),
            storage_class: String::from("Standard"),
            acl: String::from("default"),
            tags: Vec::new(),
        }))
    }

    /// The object at `key`.
    pub(super) fn found(&self, key: &[u8]) -> Result<Arc<Object>, Refusal> {
        self.object(key)
            .ok_or_else(|| Refusal::NoSuchKey(key.to_vec()))
    }

    /// The object at `key`, or what it stands for if it is a symlink.
    pub(super) fn resolved(&self, key: &[u8]) -> Result<(Arc<Object>, bool), Refusal> {
        let object = self.found(key)?;
        let Kind::Symlink(target) = &object.kind else {
            return Ok((object, false));
        };
        match self.object(target) {
            Some(object) if !matches!(object.kind, Kind::Symlink(_)) => Ok((object, true)),
            _ => Err(Refusal::SymlinkTargetNotExist(target.clone())),
        }
    }

    /// The upload `id` of `key`.
    pub(super) fn upload(&mut self, id: &str, key: &[u8]) -> Result<&mut Upload, Refusal> {
        self.uploads
            .get_mut(id)
            .filter(|upload| upload.key == key)
            .ok_or_else(|| Refusal::NoSuchUpload(id.to_owned()))
    }
}

/// All buckets by name.
#[derive(Debug, Default)]
pub(super) struct Store(Mutex<BTreeMap<String, Bucket>>);

impl Store {
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work` with bucket `name`.
    pub(super) fn with<T>(
        &self,
        name: &str,
        work: impl FnOnce(&mut Bucket) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        match self.lock().get_mut(name) {
            Some(bucket) => work(bucket),
            None => Err(Refusal::NoSuchBucket(name.to_owned())),
        }
    }

    /// The bucket that custom domain `name` is bound to.
    pub(super) fn bound(&self, name: &str) -> Option<String> {
        self.lock()
            .values()
            .find(|bucket| bucket.options.domains.iter().any(|domain| domain == name))
            .map(|bucket| bucket.options.name.clone())
    }
}
