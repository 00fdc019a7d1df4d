//! One request: who may ask for it, and which handler it is for.

use std::time::SystemTime;

use http::{HeaderMap, Method, StatusCode};

use crate::demo::origin::options::Acl;
use crate::demo::origin::receive::{Incoming, demand_framing};
use crate::demo::origin::refusal::Refusal;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::seen::Entry;
use crate::demo::origin::target::Query;
use crate::demo::origin::{Shared, attributes, bucket, copy, delete_many, form, list};
use crate::demo::origin::{multipart, multipart_list, read, write};
use crate::oss::addressing::is_bucket_name;

/// The longest key, in bytes.
const KEY_LIMIT: usize = 1023;

/// One request, without its body.
pub(super) struct Call<'a> {
    pub(super) shared: &'a Shared,
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
    pub(super) raw_query: Option<&'a str>,
    pub(super) query: Query,
    pub(super) host: &'a str,
    pub(super) bucket: Option<String>,
    /// Decoded once; empty for the bucket itself.
    pub(super) key: Vec<u8>,
    pub(super) entry: &'a Entry,
    pub(super) now: SystemTime,
}

impl Call<'_> {
    /// A header as text; bytes that are no UTF-8 are replaced.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// A header as bytes.
    pub(super) fn header_bytes(&self, name: &str) -> Option<&[u8]> {
        self.headers.get(name).map(http::HeaderValue::as_bytes)
    }

    /// Refuses a write to something that cannot be a key.
    pub(super) fn check_key(&self) -> Result<(), Refusal> {
        let is_good = !self.key.is_empty()
            && self.key.len() <= KEY_LIMIT
            && !matches!(self.key.first(), Some(b'/' | b'\\'))
            && std::str::from_utf8(&self.key).is_ok();
        if is_good {
            Ok(())
        } else {
            Err(Refusal::InvalidObjectName)
        }
    }

    /// The answer to this request.
    pub(super) async fn answer(&self, body: Incoming<'_>) -> Result<Reply, Refusal> {
        if let Some(name) = self.bucket.as_deref()
            && self.is_form()
        {
            return form::post(self, name, body).await;
        }
        if *self.method == Method::OPTIONS {
            return Err(Refusal::CorsForbidden);
        }
        let identity = self
            .shared
            .options
            .verify
            .verify(
                self.method,
                self.raw_query,
                self.headers,
                self.bucket.as_deref(),
                &self.key,
            )
            .map_err(Refusal::Denied)?;
        let Some(name) = self.bucket.as_deref() else {
            return match (identity, self.method) {
                (None, _) => Err(Refusal::AccessDenied),
                (Some(owner), &Method::GET) => bucket::list_all(self, &owner),
                (Some(_), method) => Err(Refusal::MethodNotAllowed(method.to_string())),
            };
        };
        if !is_bucket_name(name) {
            return Err(Refusal::InvalidBucketName(name.to_owned()));
        }
        if self.key.is_empty() && *self.method == Method::PUT {
            let owner = identity.ok_or(Refusal::AccessDenied)?;
            return bucket::put(self, name, &owner, body).await;
        }
        if identity.is_none() {
            self.check_anonymous(name)?;
        } else {
            self.shared.store.with(name, |_| Ok(()))?;
        }
        if self.key.is_empty() {
            self.answer_bucket(name, identity.as_deref(), body).await
        } else {
            self.answer_object(name, identity.as_deref(), body).await
        }
    }

    /// Whether this is PostObject, which is signed in its body.
    fn is_form(&self) -> bool {
        *self.method == Method::POST
            && self.key.is_empty()
            && self
                .header("content-type")
                .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/form-data"))
    }

    /// What a request without a signature may do.
    fn check_anonymous(&self, bucket: &str) -> Result<(), Refusal> {
        // Anything that names a sub-resource needs a signature; these do not name one.
        let is_plain = self.query.names().all(|name| {
            !crate::oss::subresource::is_subresource(name.as_bytes())
                || matches!(name, "x-oss-process" | "versionId" | "x-oss-traffic-limit")
                || name.starts_with("response-")
        });
        self.shared.store.with(bucket, |bucket| {
            let object_acl = bucket
                .objects
                .get(&self.key)
                .and_then(|object| Acl::parse(&object.acl));
            let acl = object_acl.unwrap_or(bucket.options.acl);
            let is_allowed = !self.key.is_empty()
                && is_plain
                && match *self.method {
                    Method::GET | Method::HEAD => acl != Acl::Private,
                    Method::PUT | Method::DELETE => acl == Acl::PublicReadWrite,
                    _ => false,
                };
            if is_allowed {
                Ok(())
            } else {
                Err(Refusal::AccessDenied)
            }
        })
    }

    async fn answer_bucket(
        &self,
        name: &str,
        owner: Option<&str>,
        body: Incoming<'_>,
    ) -> Result<Reply, Refusal> {
        let owner = owner.unwrap_or_default();
        match *self.method {
            Method::GET | Method::HEAD if self.query.has("uploads") => {
                multipart_list::uploads(self, name, owner)
            }
            Method::GET | Method::HEAD => match bucket::get(self, name, owner)? {
                Some(reply) => Ok(reply),
                None => list::list(self, name, owner),
            },
            Method::DELETE => bucket::delete(self, name),
            Method::POST if self.query.has("delete") => delete_many::delete(self, name, body).await,
            _ => Err(Refusal::MethodNotAllowed(self.method.to_string())),
        }
    }

    async fn answer_object(
        &self,
        name: &str,
        owner: Option<&str>,
        body: Incoming<'_>,
    ) -> Result<Reply, Refusal> {
        let has = |sub_resource| self.query.has(sub_resource);
        match *self.method {
            Method::GET | Method::HEAD => {
                if has("acl") {
                    attributes::get_acl(self, name, owner.unwrap_or_default())
                } else if has("tagging") {
                    attributes::get_tagging(self, name)
                } else if has("symlink") {
                    attributes::get_symlink(self, name)
                } else if has("uploadId") {
                    multipart_list::parts(self, name)
                } else if has("objectMeta") {
                    read::meta(self, name)
                } else {
                    read::read(self, name, owner.is_some())
                }
            }
            Method::PUT => {
                if has("acl") {
                    return attributes::put_acl(self, name);
                }
                if has("tagging") {
                    return attributes::put_tagging(self, name, body).await;
                }
                self.check_key()?;
                if has("symlink") {
                    return attributes::put_symlink(self, name);
                }
                if self.headers.contains_key("x-oss-copy-source") {
                    return if has("partNumber") {
                        copy::copy_part(self, name)
                    } else {
                        copy::copy(self, name)
                    };
                }
                demand_framing(self.headers, &body)?;
                if has("partNumber") || has("uploadId") {
                    multipart::put_part(self, name, body).await
                } else {
                    write::put(self, name, body).await
                }
            }
            Method::POST => {
                if has("append") {
                    self.check_key()?;
                    demand_framing(self.headers, &body)?;
                    write::append(self, name, body).await
                } else if has("uploads") {
                    self.check_key()?;
                    multipart::initiate(self, name)
                } else if has("uploadId") {
                    multipart::complete(self, name, body).await
                } else if has("restore") {
                    Err(Refusal::NotImplemented("restore"))
                } else {
                    Err(Refusal::NotImplemented("this POST"))
                }
            }
            Method::DELETE => {
                if has("uploadId") {
                    multipart::abort(self, name)
                } else if has("tagging") {
                    attributes::delete_tagging(self, name)
                } else {
                    self.shared.store.with(name, |bucket| {
                        bucket.objects.remove(&self.key);
                        Ok(Reply::new(StatusCode::NO_CONTENT))
                    })
                }
            }
            _ => Err(Refusal::MethodNotAllowed(self.method.to_string())),
        }
    }
}
