//! The buckets and objects, in memory.
//!
//! One lock protects the whole store. It is never held across an await. It is held only briefly, because the
//! bytes of objects are reference-counted and not copied.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use http::HeaderMap;

use crate::demo::origin::content::{Content, generated_crc, generated_length};
use crate::demo::origin::error::OssError;
use crate::demo::origin::options::BucketOptions;

/// The type of an object, as `x-oss-object-type` reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Appendable,
    Multipart,
    /// A link to the object with this key.
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
    /// The ETag, without quotes.
    pub(super) etag: String,
    /// The MD5 in base64. Only objects that were uploaded by a single request have it.
    pub(super) md5: Option<String>,
    pub(super) crc: u64,
    pub(super) modified: SystemTime,
    /// The `Content-Type`, the other header fields that OSS stores, and `x-oss-meta-*`.
    pub(super) headers: HeaderMap,
    pub(super) storage_class: String,
    /// The ACL. `default` means the ACL of the bucket.
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
    /// The attributes of the future object. The content of this value is not used.
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

    /// Returns the object at `key`. A bucket with [`BucketOptions::generated`] generates objects for keys
    /// that contain a size.
    pub(super) fn object(&self, key: &[u8]) -> Option<Arc<Object>> {
        if let Some(object) = self.objects.get(key) {
            return Some(Arc::clone(object));
        }
        let length = generated_length(key).filter(|_| self.options.generated)?;
        Some(Arc::new(Object {
            kind: Kind::Multipart,
            content: Content::Generated,
            length,
            // Computing the MD5 of a large object would take seconds. So the ETag has the form of a multipart
            // upload, with a part count at the end: such an ETag need not be an MD5.
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

    /// Returns the object at `key`.
    ///
    /// # Errors
    ///
    /// [`OssError::NoSuchKey`] if there is no object at `key`.
    pub(super) fn found(&self, key: &[u8]) -> Result<Arc<Object>, OssError> {
        self.object(key)
            .ok_or_else(|| OssError::NoSuchKey(key.to_vec()))
    }

    /// Returns the object at `key` and `false`. If that object is a symlink, returns its target and `true`.
    ///
    /// # Errors
    ///
    /// [`OssError::NoSuchKey`] if there is no object at `key`; [`OssError::SymlinkTargetNotExist`] if the
    /// target does not exist or is a symlink.
    pub(super) fn resolved(&self, key: &[u8]) -> Result<(Arc<Object>, bool), OssError> {
        let object = self.found(key)?;
        let Kind::Symlink(target) = &object.kind else {
            return Ok((object, false));
        };
        match self.object(target) {
            Some(object) if !matches!(object.kind, Kind::Symlink(_)) => Ok((object, true)),
            _ => Err(OssError::SymlinkTargetNotExist(target.clone())),
        }
    }

    /// Returns the multipart upload `id` of the object `key`.
    ///
    /// # Errors
    ///
    /// [`OssError::NoSuchUpload`] if there is no such upload.
    pub(super) fn upload(&mut self, id: &str, key: &[u8]) -> Result<&mut Upload, OssError> {
        self.uploads
            .get_mut(id)
            .filter(|upload| upload.key == key)
            .ok_or_else(|| OssError::NoSuchUpload(id.to_owned()))
    }
}

/// All buckets by name.
#[derive(Debug, Default)]
pub(super) struct Store(Mutex<BTreeMap<String, Bucket>>);

impl Store {
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on bucket `name`.
    ///
    /// # Errors
    ///
    /// [`OssError::NoSuchBucket`] if there is no such bucket; otherwise the errors of `work`.
    pub(super) fn with<T>(
        &self,
        name: &str,
        work: impl FnOnce(&mut Bucket) -> Result<T, OssError>,
    ) -> Result<T, OssError> {
        match self.lock().get_mut(name) {
            Some(bucket) => work(bucket),
            None => Err(OssError::NoSuchBucket(name.to_owned())),
        }
    }

    /// Returns the bucket to which custom domain `name` is bound.
    pub(super) fn bound(&self, name: &str) -> Option<String> {
        self.lock()
            .values()
            .find(|bucket| bucket.options.domains.iter().any(|domain| domain == name))
            .map(|bucket| bucket.options.name.clone())
    }
}
